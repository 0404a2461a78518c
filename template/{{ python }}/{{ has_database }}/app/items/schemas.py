"""Items as the API shows them."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Something other than white space; and no NUL, which not every database can store.
NAME_PATTERN = r"^[^\x00]*[^\x00\p{White_Space}][^\x00]*$"


class NewItem(BaseModel):
    """What a client gives."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=NAME_PATTERN)]


class Item(BaseModel):
    """What it gets."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    created_at: datetime


class Page(BaseModel):
    """Some items, and the id to ask on after: null at the end."""

    items: list[Item]
    next: int | None

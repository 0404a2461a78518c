"""Items in the API."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Not every database can store NUL.
NO_NUL = r"^[^\u0000]*$"


class NewItem(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]


class Item(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: Annotated[int, Field(ge=1)]
    name: str
    created_at: datetime


class Page(BaseModel):
    items: list[Item]
    next: Annotated[int | None, Field(description="The `after` of the next page, null on the last.")]

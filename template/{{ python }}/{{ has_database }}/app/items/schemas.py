"""Items in the API."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.validation import Text


class NewItem(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[Text, Field(min_length=1, max_length=200)]


class Item(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: Annotated[int, Field(ge=1)]
    name: str
    created_at: datetime


class Page(BaseModel):
    items: list[Item]
    next: Annotated[int | None, Field(description="The `after` of the next page, null on the last.")]

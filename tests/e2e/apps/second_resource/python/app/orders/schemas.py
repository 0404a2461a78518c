"""Orders in the API."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, EmailStr, Field

from app.validation import Text

Customer = Annotated[Text, Field(min_length=1, max_length=100)]


class Status(StrEnum):
    NEW = "new"
    PAID = "paid"
    SHIPPED = "shipped"


class Sort(StrEnum):
    OLDEST = "oldest"
    NEWEST = "newest"


class NewOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customer: Customer
    email: Annotated[EmailStr, Field(max_length=254)]
    status: Status = Status.NEW
    gift: bool = False


class Order(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    customer: str
    email: str
    status: Status
    gift: bool
    created_at: datetime


class OrderPage(BaseModel):
    orders: list[Order]

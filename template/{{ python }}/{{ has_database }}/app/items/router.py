"""The items API."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import Field

from app.dependencies import DatabaseDep
from app.digits import Digits
from app.items.repository import Items
from app.items.schemas import Item, NewItem, Page
from app.problems import responses
from app.validation import Id


async def get_items(database: DatabaseDep) -> Items:
    """Return the items in the database."""
    return Items(database)


ItemsDep = Annotated[Items, Depends(get_items)]
# A default in the OpenAPI document would have to be an ID.
Cursor = Annotated[Id, Query(default_factory=int)]
Limit = Annotated[int, Field(ge=1, le=100), Digits]

# For the OpenAPI document: the ID of a new item is a parameter of these operations.
LINKS = {
    operation: {"operationId": operation, "parameters": {"id": "$response.body#/id"}}
    for operation in ("get_item", "delete_item")
}

router = APIRouter(prefix="/items", tags=["items"])


@router.post("", status_code=HTTPStatus.CREATED, responses={201: {"links": LINKS}, **responses(413, 415, 422)})
async def create_item(new: NewItem, items: ItemsDep, response: Response) -> Item:
    item = await items.create(new.name)
    response.headers["Location"] = f"/items/{item.id}"
    return item


@router.get("", responses=responses(422))
async def list_items(items: ItemsDep, after: Cursor, limit: Limit = 20) -> Page:
    found = await items.page(after, limit + 1)
    page = found[:limit]
    return Page(items=page, next=page[-1].id if len(found) > limit else None)


@router.get("/{id}", responses=responses(404))
async def get_item(id: Id, items: ItemsDep) -> Item:
    item = await items.get(id)
    if item is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "Item not found.")
    return item


@router.delete("/{id}", status_code=HTTPStatus.NO_CONTENT, responses=responses(404))
async def delete_item(id: Id, items: ItemsDep) -> None:
    if not await items.delete(id):
        raise HTTPException(HTTPStatus.NOT_FOUND, "Item not found.")

"""The items API."""

from email.message import Message
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request, Response

from app.items.repository import Items
from app.items.schemas import Item, NewItem, Page

MAX_ID = 2**63 - 1


async def get_items(request: Request) -> Items:
    """Take the items from the application's database."""
    return Items(request.app.state.database)


async def require_json(content_type: Annotated[str, Header(include_in_schema=False)] = "") -> None:
    """Refuse a body that does not call itself JSON."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.")


Repository = Annotated[Items, Depends(get_items)]
ItemId = Annotated[int, Path(ge=1, le=MAX_ID)]

router = APIRouter(prefix="/items", tags=["items"])


@router.post("", status_code=HTTPStatus.CREATED, dependencies=[Depends(require_json)])
async def create_item(new: NewItem, items: Repository, response: Response) -> Item:
    """Create an item."""
    item = await items.create(new.name)
    response.headers["Location"] = f"/items/{item.id}"
    return item


@router.get("")
async def list_items(
    items: Repository,
    after: Annotated[int, Query(ge=1, le=MAX_ID)] | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Page:
    """List items by id, a page at a time."""
    found = await items.page(after or 0, limit + 1)
    page = found[:limit]
    return Page(items=page, next=page[-1].id if len(found) > limit else None)


@router.get("/{id}")
async def get_item(id: ItemId, items: Repository) -> Item:
    """Return an item."""
    item = await items.get(id)
    if item is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such item.")
    return item


@router.delete("/{id}", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def delete_item(id: ItemId, items: Repository) -> None:
    """Delete an item."""
    if not await items.delete(id):
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such item.")

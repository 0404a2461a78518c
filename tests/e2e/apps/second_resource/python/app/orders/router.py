"""The orders API."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Response

from app.dependencies import DatabaseDep
from app.orders.repository import Orders
from app.orders.schemas import Customer, NewOrder, Order, OrderPage, Sort, Status
from app.problems import responses

LIMIT = 100


async def get_orders(database: DatabaseDep) -> Orders:
    """Return the orders in the database."""
    return Orders(database)


OrdersDep = Annotated[Orders, Depends(get_orders)]

router = APIRouter(prefix="/orders", tags=["orders"])


@router.post("", status_code=HTTPStatus.CREATED, responses=responses(413, 415, 422))
async def create_order(new: NewOrder, orders: OrdersDep, response: Response) -> Order:
    order = await orders.create(new)
    response.headers["Location"] = f"/orders/{order.id}"
    return order


@router.get("", responses=responses(422))
async def list_orders(
    orders: OrdersDep,
    customer: Customer | None = None,
    status: Annotated[list[Status] | None, Query()] = None,
    gift: bool | None = None,
    sort: Sort = Sort.OLDEST,
) -> OrderPage:
    return OrderPage(orders=await orders.list(customer, status, gift, sort, LIMIT))


@router.get("/{id}", responses=responses(404))
async def get_order(id: UUID, orders: OrdersDep) -> Order:
    order = await orders.get(id)
    if order is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "Order not found.")
    return order


@router.delete("/{id}", status_code=HTTPStatus.NO_CONTENT, responses=responses(404))
async def delete_order(id: UUID, orders: OrdersDep) -> None:
    if not await orders.delete(id):
        raise HTTPException(HTTPStatus.NOT_FOUND, "Order not found.")

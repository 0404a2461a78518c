"""Orders."""

from app.orders.router import router

__all__ = ["router"]

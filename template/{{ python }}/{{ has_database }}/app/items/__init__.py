"""The example resource."""

from app.items.router import router

__all__ = ["router"]

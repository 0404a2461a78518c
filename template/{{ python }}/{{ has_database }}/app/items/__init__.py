"""The example domain: replace it with your own."""

from app.items.router import router

__all__ = ["router"]

"""Rules for the bodies, IDs and texts of every route."""

from email.message import Message
from http import HTTPStatus
from typing import Annotated

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from pydantic_core import from_json

from app.digits import Digits

BODY_LIMIT = 64 * 1024
MAX_ID = 2**63 - 1
Id = Annotated[int, Field(ge=1, le=MAX_ID), Digits]
# Not every database can store NUL.
Text = Annotated[str, Field(pattern=r"^[^\u0000]*$")]


def too_large() -> HTTPException:
    """Return the error for a body over the limit."""
    return HTTPException(HTTPStatus.CONTENT_TOO_LARGE, f"The body must not exceed {BODY_LIMIT // 1024} KiB.")


async def check_body(request: Request) -> None:
    """Refuse a body that is too large or, on a route with a body, not JSON in UTF-8."""
    # A route that reads no body would never reach the limit.
    if int(request.headers.get("Content-Length", 0)) > BODY_LIMIT:
        raise too_large()
    if request.scope["route"].body_field is None:
        return
    header = Message()
    header["Content-Type"] = request.headers.get("Content-Type", "")
    if header.get_content_type() != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.")
    # Python's parser also accepts UTF-16, byte order marks and NaN.
    try:
        from_json(await request.body(), allow_inf_nan=False)
    except ValueError as error:
        invalid = {"type": "json_invalid", "loc": ("body",), "msg": "Input should be valid JSON in UTF-8"}
        raise RequestValidationError([invalid]) from error

"""Rules for the bodies and ids of every route."""

import codecs
from email.message import Message
from http import HTTPStatus
from typing import Annotated

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from app.digits import Digits

BODY_LIMIT = 64 * 1024
MAX_ID = 2**63 - 1
Id = Annotated[int, Field(ge=1, le=MAX_ID), Digits]


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
    # Python's parser also takes UTF-16 and UTF-32, in which all punctuation has a zero byte.
    body = await request.body()
    if body.startswith(codecs.BOM_UTF8) or b"\0" in body:
        error = {"type": "encoding", "loc": ("body",), "msg": "JSON should be UTF-8 without a byte order mark"}
        raise RequestValidationError([error])

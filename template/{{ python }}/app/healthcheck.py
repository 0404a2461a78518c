"""The probe of the container."""

import os
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from app import DEFAULT_PORT


def healthcheck() -> int:
    """Return 0 when the service in this container is ready."""
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or DEFAULT_PORT), timeout=2)
    try:
        connection.request("GET", "/readyz")
        return 0 if connection.getresponse().status == HTTPStatus.OK else 1
    except (OSError, HTTPException):
        return 1

"""The container's health check."""

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from app import DEFAULT_PORT


def healthcheck() -> int:
    """Return 0 if the service in this container is ready, otherwise print the reason."""
    try:
        connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or DEFAULT_PORT), timeout=2)
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        reason = f"{response.status} {response.read().decode()}"
    except (OSError, HTTPException, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
    else:
        if response.status == HTTPStatus.OK:
            return 0
    sys.stderr.write(f"{reason}\n")
    return 1

"""Load from within a network, without a proxy: a separate program, and its results."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLIENTS = 4
PAUSE = 0.01  # seconds between two requests of a client: the load is bounded


def wait_for_network(host: str, port: int) -> None:
    """Wait until the service accepts connections; network policies admit a new pod a moment after it starts."""
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


def ask(host: str, port: int, path: str, client: int) -> None:
    """Ask forever, on a new connection each time, and print what became of each request."""
    for number in itertools.count():
        name = f"{client}-{number}"
        told: dict[str, Any] = {"name": name}
        connection = http.client.HTTPConnection(host, port, timeout=30)
        try:
            if path == "/items":
                connection.request("POST", path, json.dumps({"name": name}), {"Content-Type": "application/json"})
            else:
                connection.request("GET", path)
            response = connection.getresponse()
            told["status"], told["body"] = response.status, response.read().decode()
        except OSError as error:
            told["error"] = repr(error)
        except http.client.HTTPException as error:
            told["error"] = repr(error)
        finally:
            connection.close()
        print(json.dumps(told), flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    wait_for_network(sys.argv[1], int(sys.argv[2]))
    for client in range(CLIENTS):
        arguments = (sys.argv[1], int(sys.argv[2]), sys.argv[3], client)
        threading.Thread(target=ask, args=arguments).start()


def command(host: str, port: int, database: str) -> list[str]:
    """What runs the load in an image with Python: items are added where there is a database."""
    path = "/" if database == "none" else "/items"
    return ["python", "-c", Path(__file__).read_text(), host, str(port), path]


class Load:
    """What is known of a load that runs somewhere."""

    TIMEOUT = 240

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    def requests(self) -> list[dict[str, Any]]:
        """Every request that has ended."""
        lines = self._read().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def failed(self) -> list[dict[str, Any]]:
        """Every request that was not answered well."""
        return [request for request in self.requests() if not is_answered(request)]

    def told(self) -> str:
        """How many there were, and how many of them failed."""
        return f"{len(self.requests()):,}, {len(self.failed())} failed"

    def stored(self) -> list[str]:
        """The names of the items of which the service has said that it keeps them."""
        return sorted(request["name"] for request in self.requests() if is_answered(request))

    def wait_for(self, more: int) -> None:
        """Wait until as many more requests were answered."""
        goal, deadline = len(self.stored()) + more, time.monotonic() + self.TIMEOUT
        while len(self.stored()) < goal:
            assert time.monotonic() < deadline, self._read()[-2000:]
            time.sleep(0.2)


def is_answered(request: dict[str, Any]) -> bool:
    """Tell whether a request was answered as it should be."""
    return request.get("status") in (200, 201)

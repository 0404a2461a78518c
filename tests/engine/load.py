"""Clients that add and read items, each as fast as it is answered, and what became of each of their requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

import httpx

from tests.engine.engine import PATIENCE
from tests.engine.project import Client

CLIENTS = 4


class Load:
    """A bounded load: four clients, one request each at a time."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]
        self.answered = 0
        self.stored: list[int] = []
        """Items of which the service said that it keeps them."""
        self.refused: list[Exception] = []
        """Requests that found nobody who listens."""
        self.broken: list[object] = []
        """Requests that were taken and then not answered, or not well."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, when every request is done."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, requests: int) -> None:
        """Wait until as many more were answered."""
        goal, deadline = self.answered + requests, time.monotonic() + PATIENCE
        while self.answered < goal:
            assert time.monotonic() < deadline, (self.refused[-1:], self.broken[-1:])
            time.sleep(0.05)

    def _ask(self, number: int) -> None:
        with self._client() as client:
            while not self._end.is_set():
                try:
                    response = client.post("/items", json={"name": f"of client {number}"})
                    if response.status_code == httpx.codes.CREATED:
                        self.stored.append(response.json()["id"])
                        response = client.get(f"/items/{self.stored[-1]}")
                    if not response.is_success:
                        self.broken.append((response.status_code, response.text))
                    self.answered += 1
                except httpx.ConnectError as error:
                    self.refused.append(error)
                    time.sleep(0.05)
                except httpx.TransportError as error:
                    self.broken.append(error)

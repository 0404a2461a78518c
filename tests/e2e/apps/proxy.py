"""A TCP proxy between a service and its database."""

import socket
import threading
import time
from contextlib import suppress
from typing import Self


class Proxy:
    """A TCP proxy; new connections go to the port that `target` names, open ones stay where they are."""

    def __init__(self, target: int, delay: float = 0) -> None:
        self.target = target
        self.delay = delay
        self.accepted = 0
        self.open = 0
        self.peak = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that is blocked in accept() notices a shutdown, but not a close.
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self) -> None:
        """Take connections until the listener closes."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.accepted += 1
                threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        """Copy both directions of a connection."""
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as server:
            with self.lock:
                self.open += 1
                self.peak = max(self.peak, self.open)
            requests = threading.Thread(target=self.copy, args=[client, server, 0], daemon=True)
            requests.start()
            self.copy(server, client, self.delay)
            requests.join()
            with self.lock:
                self.open -= 1

    def copy(self, source: socket.socket, target: socket.socket, delay: float) -> None:
        """Copy one direction until it ends, then end the other one too."""
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(delay)
                target.sendall(data)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

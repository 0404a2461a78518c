"""The process that serves."""

import asyncio
import os
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.metrics import serve_metrics
from app.settings import Settings
from app.web import create_app

# Load balancers keep idle connections for up to 60 seconds, and one that closes first loses no request.
KEEP_ALIVE = 75
STOP_TIMEOUT = 20


class Server(uvicorn.Server):
    """Uvicorn, except that a signal ends readiness first, a second one ends the process, and the exit status is 0."""

    def __init__(self, app: FastAPI, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host="",  # every interface, IPv4 and IPv6
                port=port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=STOP_TIMEOUT,
            )
        )
        self.state = app.state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to stop. Uvicorn's own method would also note the signal, to die of it after the shutdown."""
        if self.should_exit:
            os._exit(1)
        self.state.stopping = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting a moment before the rest: Uvicorn would overlook, and wait for, a connection still set up."""
        for server in self.servers:
            for listener in server.sockets:
                asyncio.get_running_loop().remove_reader(listener)
        await asyncio.sleep(0.1)
        await super().shutdown(sockets)


def serve(settings: Settings) -> int:
    """Serve until a signal, then let running requests finish and the database close before the metrics go."""
    server = Server(create_app(settings), settings.port)
    metrics, thread = serve_metrics(settings.metrics_port)
    server.run()
    metrics.shutdown()
    thread.join()
    return 0

"""Runs the app behind uvicorn."""

from collections.abc import Awaitable, Callable
from socket import socket

from uvicorn import Config, Server

from .bridge import App, Bridge
from .connections import Connection


class StoppableServer(Server):
    """Tells the app of a stop before it waits for the requests under way."""

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Turn away the requests that wait, and answer those that are being graded."""
        self.config.app.app.stop()  # type: ignore[union-attr]  # a Bridge
        await super().shutdown(sockets)


def new_server(app: App, grace_s: int, alive: Callable[[], Awaitable[None]] | None = None) -> StoppableServer:
    """Return a server of the app that is not started yet.

    Args:
        app: The app as WSGI.
        grace_s: Seconds that running requests have after a stop.
        alive: Called regularly to show that the process lives.
    """
    config = Config(
        Bridge(app),
        interface="asgi3",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=grace_s,
        callback_notify=alive,
        timeout_notify=1,
    )
    return StoppableServer(config)

"""The production server: gunicorn with threads where processes can fork, waitress elsewhere."""

import ctypes
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask

from kneeoa_hub.settings import Settings

from . import KneeOAApp, create_app
from .guards import read_keys
from .store import Readings

THREADS = 24
"""Requests held at a time: most of them wait for their turn to be graded, and pages and health answer meanwhile."""
TIMEOUT_SECONDS = 120
MEMORY = "/dev/shm"
ALLOCATOR = {-8: 1, -3: 32 * 2**20, -1: 32 * 2**20}
"""mallopt(3): one arena; blocks of 32 MiB and more go back to the system when they are freed, and of the rest what is
over 32 MiB at the end. As it comes, glibc keeps a gigabyte for the threads that have graded large films; where all goes
back, every film of usual size has its memory made anew, which takes a tenth of the time."""
GRACE_SECONDS = 40
"""After a stop, for the requests that are being graded; more than what one has for it. Those that wait are told to come
back."""
MOST_CONNECTIONS = 500
"""Held at a time, with a head that is still to come or between two requests."""
POLL_SECONDS = 0.5


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on a bound socket until stopped."""
    # Drawn before the fork: the pages that one worker has made are good for the next.
    settings = replace(settings, secret_key=settings.secret_key or secrets.token_hex(32))
    # Read before the fork, too: a file that is gone or half written is no reason for the next worker not to start.
    keys = read_keys(Path(settings.api_keys)) if settings.api_keys else None

    def load() -> KneeOAApp:
        return create_app(settings, keys=keys, make_readings=False)

    if hasattr(os, "fork"):
        _serve_forked(load, listener)
    else:
        _serve_threaded(load, listener)


def _serve_forked(load_app: Callable[[], KneeOAApp], listener: socket.socket) -> None:
    from gunicorn.app.base import BaseApplication  # not importable on Windows

    from .worker import Log, Worker

    class Server(BaseApplication):
        def load_config(self) -> None:
            options = {
                "bind": f"fd://{listener.fileno()}",
                "worker_class": Worker,
                "logger_class": Log,
                "loglevel": "warning",
                "threads": THREADS,
                "worker_connections": MOST_CONNECTIONS,
                "timeout": TIMEOUT_SECONDS,
                "graceful_timeout": GRACE_SECONDS,
                "control_socket_disable": True,
                # The worker's sign of life is a file without content; in memory it lives when the disk is full.
                "worker_tmp_dir": MEMORY if os.access(MEMORY, os.W_OK) else None,
                # Otherwise a header SCRIPT_NAME from this machine, such as by a proxy, changes which path is asked for.
                "forwarder_headers": "",
                "forwarded_allow_ips": "",
                "preload_app": False,  # onnxruntime's threads do not survive a fork
                "post_worker_init": lambda worker: _warm(worker.wsgi),
            }
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            with suppress(AttributeError):  # where the C library has no such call
                for what, value in ALLOCATOR.items():
                    ctypes.CDLL(None).mallopt(what, value)
            return load_app()

    Server().run()


def _serve_threaded(load_app: Callable[[], KneeOAApp], listener: socket.socket) -> None:
    from waitress import wasyncore
    from waitress.server import create_server

    app = load_app()
    _warm(app)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where whoever started this ignores them
        signal.signal(number, lambda *_: stopped.set())
    most = app.config["MAX_CONTENT_LENGTH"]
    connections: dict[int, Any] = {}
    # A body within the limit stays in memory: waitress would spool it to a file from inbuf_overflow on.
    server: Any = create_server(
        app,
        map=connections,
        sockets=[listener],
        threads=THREADS,
        max_request_body_size=most,
        inbuf_overflow=most + 1,
        outbuf_overflow=most,
        ident=None,
    )
    while not stopped.is_set():
        wasyncore.loop(POLL_SECONDS, map=connections, count=1)
    # waitress's own end gives the requests under way five seconds, and drops those that no thread has begun.
    app.stop()
    server.accepting = False
    end = time.monotonic() + GRACE_SECONDS
    while (
        any(channel.requests or channel.total_outbufs_len for channel in server.active_channels.values())
        and time.monotonic() < end
    ):
        wasyncore.loop(POLL_SECONDS, map=connections, count=1)
    server.task_dispatcher.shutdown()
    server.close()


def _warm(app: Flask) -> None:
    app.extensions["kneeoa"].warm()
    if readings := Readings.of(app):
        threading.Thread(target=readings.ask, name="readings", daemon=True).start()

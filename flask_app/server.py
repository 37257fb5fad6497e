"""The production server: gunicorn with threads where processes can fork, waitress elsewhere."""

import ctypes
import os
import secrets
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flask import Flask

from kneeoa_hub.settings import Settings

from . import create_app

THREADS = 24
"""Requests held at a time: most of them wait for their turn to be graded, and pages and health answer meanwhile."""
TIMEOUT_SECONDS = 120
MEMORY = "/dev/shm"
ALLOCATOR = {-8: 1, -3: 8 * 2**20, -1: 32 * 2**20}
"""mallopt(3): one arena; blocks of 8 MiB and more go back to the system when they are freed, and of the rest what is over 32 MiB at the end.
As it comes, glibc keeps a gigabyte for the threads that have graded large films."""
GRACE_SECONDS = 40
"""After a stop, for the requests under way; more than what one has to be graded in."""


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on a bound socket until stopped."""
    # Drawn before the fork: the pages that one worker has made are good for the next.
    settings = replace(settings, secret_key=settings.secret_key or secrets.token_hex(32))
    if hasattr(os, "fork"):
        _serve_forked(settings, listener)
    else:
        _serve_threaded(settings, listener)


def _serve_forked(settings: Settings, listener: socket.socket) -> None:
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
                "timeout": TIMEOUT_SECONDS,
                "graceful_timeout": GRACE_SECONDS,
                "control_socket_disable": True,
                # The worker's sign of life is a file without content; in memory it lives when the disk is full.
                "worker_tmp_dir": MEMORY if os.access(MEMORY, os.W_OK) else None,
                "preload_app": False,  # onnxruntime's threads do not survive a fork
                "post_worker_init": lambda worker: _warm(worker.wsgi),
            }
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            with suppress(AttributeError):  # where the C library has no such call
                for what, value in ALLOCATOR.items():
                    ctypes.CDLL(None).mallopt(what, value)
            return create_app(settings)

    Server().run()


def _serve_threaded(settings: Settings, listener: socket.socket) -> None:
    import waitress

    app = create_app(settings)
    _warm(app)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where whoever started this ignores them
        signal.signal(number, _stop)
    most = app.config["MAX_CONTENT_LENGTH"]
    # A body within the limit stays in memory: waitress would spool it to a file from inbuf_overflow on.
    waitress.serve(
        app,
        sockets=[listener],
        threads=THREADS,
        max_request_body_size=most,
        inbuf_overflow=most + 1,
        outbuf_overflow=most,
        ident=None,
    )


def _stop(*_: object) -> None:
    """waitress then closes its sockets and lets its threads end."""
    raise SystemExit


def _warm(app: Flask) -> None:
    app.extensions["kneeoa"].warm()

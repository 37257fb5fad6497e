"""Runs the production server: uvicorn in a process that gunicorn replaces when it ends, or alone without fork."""

import asyncio
import ctypes
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask

from kneeoa_hub.settings import Settings

from . import KneeOAApp, create_app
from .keys import read_keys
from .store import Readings
from .uvicorn_server import new_server

TIMEOUT_SECONDS = 120
"""gunicorn replaces a process whose event loop has not run for two minutes."""
MEMORY = "/dev/shm"
ALLOCATOR = {-8: 1, -3: 32 * 2**20, -1: 32 * 2**20}
"""mallopt(3) gets these settings: one arena; freed blocks of 32 MiB and more return to the system, and so does what
exceeds 32 MiB of the rest. By default glibc keeps a gigabyte for the threads that have graded large films. If all
memory returned, every film of usual size would get its memory anew, which takes a tenth of the time.
"""
GRACE_SECONDS = 40
"""After a stop, requests that are being graded have 40 seconds, more than a turn takes; others get 503."""


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on a bound socket until stopped."""
    # The key is drawn before the fork, so that forms of one process are good in the next.
    settings = replace(settings, secret_key=settings.secret_key or secrets.token_hex(32))
    # The keys are read before the fork, so that a file that vanishes does not keep the next process from starting.
    keys = read_keys(Path(settings.api_keys)) if settings.api_keys else None

    def load() -> KneeOAApp:
        return create_app(settings, keys=keys, make_readings=False)

    if hasattr(os, "fork"):
        _serve_forked(load, listener)
    else:
        _serve_alone(load, listener)


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
                "timeout": TIMEOUT_SECONDS,
                "graceful_timeout": GRACE_SECONDS,
                "control_socket_disable": True,
                # The sign of life of the process is a file without content; in memory it lives when the disk is full.
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
            return load_app()

    Server().run()


def _serve_alone(load_app: Callable[[], KneeOAApp], listener: socket.socket) -> None:
    app = load_app()
    _warm(app)
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises a signal again when it has stopped
        signal.signal(number, lambda *_: None)
    asyncio.run(new_server(app, GRACE_SECONDS).serve(sockets=[listener]))


def _warm(app: Flask) -> None:
    app.extensions["kneeoa"].warm()
    if readings := Readings.of(app):
        threading.Thread(target=readings.ask, name="readings", daemon=True).start()

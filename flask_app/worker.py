"""Runs gunicorn's process around uvicorn. gunicorn replaces it when it ends or hangs."""

import asyncio
import os
import signal
from typing import Any, cast

from gunicorn.config import Config as GunicornConfig
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker as BaseWorker

from .uvicorn_server import new_server
from .watch import log_as_json


class Worker(BaseWorker):
    """Runs the app in an event loop until gunicorn sends a stop."""

    def init_signals(self) -> None:
        """Leave the signals to uvicorn."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def run(self) -> None:
        """Serve, and tell gunicorn each second that the loop runs."""
        self._server = new_server(cast(Any, self.wsgi), self.cfg.graceful_timeout, self._alive)
        asyncio.run(self._server.serve(sockets=[listener.sock for listener in cast(Any, self.sockets)]))

    async def _alive(self) -> None:
        self.notify()
        if self.ppid != os.getppid():  # gunicorn was killed; its next start needs the port
            self._server.should_exit = True


class Log(Logger):
    """Puts gunicorn's own messages among the app's, in one form."""

    def setup(self, cfg: GunicornConfig) -> None:
        """Set the log up; gunicorn calls this once a process."""
        super().setup(cfg)
        log_as_json()
        self.error_log.handlers.clear()
        self.error_log.propagate = True

"""Runs the DICOM node: `python -m flask_app.node --help`."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout

from kneeoa_hub.errors import KneeOAError
from kneeoa_hub.escaping import CommandParser
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.report import DISCLAIMER
from kneeoa_hub.settings import Settings

from ..watch import log_as_json
from .queue import Queue
from .settings import NodeSettings

RESTART_SECONDS = 1
"""A worker that ended is started again after a second."""
LONGEST_RESTART = 60
"""A worker that ends at once again and again is started again after a minute at most."""
HEALTHY_SECONDS = 60
"""A worker that ran for a minute was well started."""
GRACE_SECONDS = 40
PACKAGES = ("pydicom", "pynetdicom", "highdicom")
LOOPBACK = ("127.0.0.1", "::1", "localhost")

log = logging.getLogger("flask_app.node")


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped. Return 0 after a stop and 1 when the node cannot start; exit with 2 for wrong usage."""
    log_as_json()
    parser = CommandParser(
        "python -m flask_app.node",
        description="Take knee films over DICOM, grade each study, and send a structured report to the archive.",
        epilog=f"All settings are variables, KNEEOA_NODE_FOLDER first; docs/settings.md lists them. {DISCLAIMER}",
    )
    parser.parse_args(arguments)
    for package in PACKAGES:
        if not find_spec(package):
            return _fail(f"the node needs {package}; install it with: pip install -e '.[node]' in the checkout.")
    try:
        settings, limits = NodeSettings.from_environ(), Settings.from_environ()
    except KneeOAError as error:
        parser.error(error.message)
    try:
        with FileLock(_folder(settings) / "node.lock", timeout=0):
            return _serve(settings, Limits(limits.max_bytes, limits.max_pixels))
    except KneeOAError as error:
        parser.error(error.message)
    except Timeout:
        return _fail("another node works in KNEEOA_NODE_FOLDER; stop it, or give this one its own folder.")
    except sqlite3.Error as error:
        return _fail(f"the queue in KNEEOA_NODE_FOLDER can't be opened ({error}); give the node a sound folder.")
    except OSError as error:
        place = f"{settings.host} port {settings.port}"
        return _fail(f"can't listen on {place} or use the folder ({error.strerror}); choose another.")


def _folder(settings: NodeSettings) -> Path:
    folder = Path(settings.folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _serve(settings: NodeSettings, limits: Limits) -> int:
    from .receive import Receiver, silence_libraries

    silence_libraries()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    queue = Queue(Path(settings.folder), settings.max_bytes)
    receiver = Receiver(queue, settings, limits)
    port = receiver.start()
    print(f"{settings.ae_title} listens on {settings.host}:{port} (Ctrl+C stops it). {DISCLAIMER}", flush=True)
    if not settings.tls_cert and settings.host not in LOOPBACK:
        log.warning("Other machines can reach the node, and films travel unencrypted. Set KNEEOA_NODE_TLS_CERT.")
    try:
        _supervise(stop)
    finally:
        receiver.stop()
        queue.close()
    return 0


def _supervise(stop: threading.Event) -> None:
    """Keep a worker running until `stop` is set."""
    wait = RESTART_SECONDS
    while not stop.is_set():
        began = time.monotonic()
        worker = subprocess.Popen([sys.executable, "-m", "flask_app.node.worker", str(os.getpid())])
        while worker.poll() is None and not stop.wait(0.1):
            pass
        if stop.is_set():
            worker.terminate()
            try:
                worker.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
            return
        wait = RESTART_SECONDS if time.monotonic() - began > HEALTHY_SECONDS else wait
        log.error("The worker ended with %s; it starts again in %s s", worker.returncode, wait)
        stop.wait(wait)
        wait = min(2 * wait, LONGEST_RESTART)


def _fail(message: str) -> int:
    print(f"flask_app.node: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""Runs the worker process, which grades what is due, sends reports, and deletes what is old. The node restarts it."""

import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kneeoa_hub.errors import ArchiveError, KneeOAError
from kneeoa_hub.settings import Settings

from ..source import from_settings
from ..watch import log_as_json
from .deliver import Delivery
from .grade import StudyGrader
from .queue import Queue
from .receive import silence_libraries
from .retention import sweep
from .settings import NodeSettings

NAME = "flask_app.node.worker"
"""The logger has this name, also if the module is the program."""
PAUSE_SECONDS = 0.2
"""The worker looks every 0.2 seconds at a queue in which nothing is due."""
FAULT_SECONDS = 5
"""The worker rests for five seconds after a fault of the disk."""
SENDING_FAULT_SECONDS = 60
"""Sending rests for a minute after a fault that no archive has made."""
LOOK_SECONDS = 1
"""The worker looks at this interval whether somebody has asked to send a report again."""
SWEEP_SECONDS = 600
ROOMY = 0.8
"""Films of answered studies go early while the queue uses more than 80% of its largest size."""

log = logging.getLogger(NAME)


def main(arguments: list[str] | None = None) -> int:
    """Work until a signal comes or the node ends; return 1 if the settings or the model cannot be used.

    Args:
        arguments: The process ID of the node. The node can end before this process could ask for its parent.
    """
    (node,) = map(int, sys.argv[1:] if arguments is None else arguments)
    if os.getppid() != node:
        return 0
    log_as_json()
    silence_libraries()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = NodeSettings.from_environ()
        grader = from_settings(Settings.from_environ())()
    except KneeOAError as error:  # a file of the settings, or the model, has changed since the node started
        log.error("The worker can't start: %s", error.message)
        return 1
    queue = Queue(Path(settings.folder))
    studies = StudyGrader(queue, grader, capture=bool(settings.capture), dead=settings.dead)
    outgoing = Queue(queue.folder)
    delivery = Delivery(outgoing, settings)
    threads = [
        threading.Thread(target=_deliver, args=(delivery, outgoing, stop), name="delivery", daemon=True),
        threading.Thread(target=_sweep, args=(Queue(queue.folder), settings, stop), name="retention", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        while not stop.is_set() and os.getppid() == node:
            _step(studies.grade_next, stop)
    except Exception as error:  # the node starts a new process; Python's own message might repeat a header
        log.error("The worker failed", exc_info=error)
        return 1
    stop.set()
    threads[0].join(settings.timeout)
    return 0


def _deliver(delivery: Delivery, queue: Queue, stop: threading.Event) -> None:
    while not stop.is_set():
        began = queue.clock()
        try:
            _step(delivery.send_due, stop)
        except ArchiveError as error:
            log.warning("%s", error.message, extra={"fields": {"next_try_seconds": delivery.wait_seconds}})
            rest(queue, began, delivery.wait_seconds, stop)
        except KneeOAError as error:  # such as a certificate that was deleted: reports wait, and grading goes on
            log.error("%s", error.message)
            rest(queue, began, SENDING_FAULT_SECONDS, stop)
        except Exception as error:  # a defect
            log.error("Sending failed", exc_info=error)
            stop.wait(SENDING_FAULT_SECONDS)


def rest(queue: Queue, began: float, seconds: float, stop: threading.Event) -> None:
    """Wait so many seconds, or until somebody asks to send a report again.

    Args:
        queue: The queue, which has the time of the newest request.
        began: The time at which the last try began. Requests since then end the rest.
        seconds: The seconds.
        stop: Ends the rest when it is set.
    """
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0 and not stop.wait(min(LOOK_SECONDS, left)):
        with suppress(sqlite3.Error):  # the next step logs it
            if queue.newest_request() > began:
                return


def _sweep(queue: Queue, settings: NodeSettings, stop: threading.Event) -> None:
    def sweep_once() -> bool:
        roomy, sends = int(ROOMY * settings.max_bytes), bool(settings.archive)
        sweep(queue, settings.keep_films, settings.keep_days, roomy, sends=sends)
        settings.dead.sweep(time.time())
        return True

    while not stop.is_set():
        _step(sweep_once, stop)
        stop.wait(SWEEP_SECONDS)


def _step(work: Callable[[], bool], stop: threading.Event) -> None:
    """Do some work, and rest if there was none or if the disk does not take it."""
    try:
        if not work():
            stop.wait(PAUSE_SECONDS)
    except sqlite3.Error as error:
        log.error("The queue can't be written or read (%s)", type(error).__name__)
        stop.wait(FAULT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

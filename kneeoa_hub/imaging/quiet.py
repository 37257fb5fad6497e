"""Keeps the reading of a film out of every log.

The readers of headers report the values that they find wrong, and such a value may identify a patient.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = (
    "pydicom",
    "PIL.TiffImagePlugin",
    "PIL.PngImagePlugin",
    "dicomweb_client.web",
    "highdicom.base",
    "highdicom.image",
    "highdicom.sc.sop",
    "highdicom.sr.sop",
    "highdicom.sr.content",
    "highdicom.sr.templates",
)
"""The libraries that read and write headers log by these names."""
_this_thread = threading.local()
_one_at_a_time = threading.Lock()


class _NotWhileReading(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_this_thread, "reads", False)


for _name in LOGGERS:
    logging.getLogger(_name).addFilter(_NotWhileReading())


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Keep LOGGERS from logging what this thread does in the block."""
    before, _this_thread.reads = getattr(_this_thread, "reads", False), True
    try:
        yield
    finally:
        _this_thread.reads = before


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """Suppress every warning of the block.

    Python's warning filters belong to the process, so one thread at a time enters the block: keep it short.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

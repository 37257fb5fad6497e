"""Reading a film without a word in any log: the readers of headers tell values, at least those that they find wrong,
and such may be a patient's.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = (
    *("pydicom", "PIL.TiffImagePlugin", "PIL.PngImagePlugin"),
    *(
        "highdicom.base",
        "highdicom.image",
        "highdicom.sc.sop",
        "highdicom.sr.sop",
        "highdicom.sr.content",
        "highdicom.sr.templates",
    ),
)
_this_thread = threading.local()
_one_at_a_time = threading.Lock()


class _NotWhileReading(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_this_thread, "reads", False)


for _name in LOGGERS:
    logging.getLogger(_name).addFilter(_NotWhileReading())


@contextmanager
def unheard() -> Iterator[None]:
    """What this thread does in the block is not logged by the LOGGERS."""
    before, _this_thread.reads = getattr(_this_thread, "reads", False), True
    try:
        yield
    finally:
        _this_thread.reads = before


@contextmanager
def unwarned() -> Iterator[None]:
    """Nothing that the block does warns.

    One thread at a time, since Python's filters of warnings belong to the process: keep it short.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""Each step has a command line: options, and the call that they become.

A step's module is imported when the step runs, because most of them load TensorFlow, which takes seconds.
"""

from .bundle import EVALUATE, EXPORT, PUBLISH
from .films import ADAPT, AUDIT
from .networks import GATE, LOCATOR, MARKERS
from .search import SEARCH, SEARCH_REPORT
from .train import TRAIN

COMMANDS = (
    AUDIT,
    SEARCH,
    SEARCH_REPORT,
    TRAIN,
    EVALUATE,
    LOCATOR,
    MARKERS,
    GATE,
    EXPORT,
    PUBLISH,
    ADAPT,
)
"""All subcommands are listed in the order of the loop; those outside the loop come before the step that uses them, or
last."""

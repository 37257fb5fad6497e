"""Who asks a chief for a trial: a worker's name, machine and process, in the one text that Keras Tuner sends."""

import secrets
import socket
from dataclasses import dataclass

BETWEEN = "\0"
"""This character stands in no name of a worker or of a machine."""


@dataclass(frozen=True)
class Asker:
    """A process that asks for trials.

    Attributes:
        name: The name of the worker, which a restarted one may have again.
        machine: Its machine; "" for that of the oracle.
        process: Tells it from other processes of that name; "" where it asks the oracle itself.
    """

    name: str
    machine: str = ""
    process: str = ""

    @classmethod
    def parse(cls, text: str) -> "Asker":
        """Return the asker that a text names."""
        return cls(*text.split(BETWEEN, 2))

    @property
    def elsewhere(self) -> bool:
        """Whether it runs on another machine than this one."""
        return self.machine not in ("", socket.gethostname())

    def __str__(self) -> str:
        """Return the text that is sent."""
        return BETWEEN.join((self.name, self.machine, self.process))


def this_process() -> tuple[str, str]:
    """Return this machine and a mark that no other process has."""
    return socket.gethostname(), secrets.token_hex(8)

"""Defines the faults of grading that may pass: the machine may have been busy or short of memory.

Each of them is an error of its public class. A server that keeps its films may try again.
"""

from ..errors import DamagedFilm, FilmError, FilmTooLarge


class PassingFault(FilmError):
    """The film was not graded, perhaps by no fault of its own."""


class SlowDecoding(PassingFault, FilmTooLarge):
    """The decoding took too long."""


class EndedDecoding(PassingFault, DamagedFilm):
    """The process that decoded the film has ended."""

"""Finds which bits of its cells a DICOM film's values take, from the header and the pixels (PS3.5 8.1.1).

A header may name too few bits, the wrong ones, or the wrong sign. Values then wrap, and bright bone turns black in the
middle of its edge. Pixels show it, since neighbours differ little in any film.
"""

from dataclasses import dataclass, replace

import numpy as np

SAMPLE_ROWS = 128
"""A film is judged by 128 of its rows."""
LEAST_EVIDENCE = 0.0005
"""Two readings are compared if at least 0.0005 of the neighbours differ between them. A wrong reading of 73 films
changed 0.001 to 0.06 of them, but for films whose values do not reach the bit in question."""
BELONGS, CHANGES_SIGN = 0.6, 0.9
"""Another reading is right if it brings more than 0.6 of those neighbours nearer to each other, or more than 0.9 if it
is one of another sign alone. In 72 real films and two synthetic ones, a right reading left at most 0.09 to be improved
(99th percentile), one of wrong bits at least 0.83 (1st percentile), and one of the wrong sign at least 0.97 (2nd
percentile). On a page of text, a right reading leaves 0.8 to be improved by another sign."""
SPIKE = 2
"""Padding and shutters have more than twice as many pixels as the gray next to theirs."""
FEWEST_BITS = 6
"""A film has more than 64 grays, so its values take at least six bits, whatever its header says."""
CONTRADICTED = "The film's header gives its values other bits than they take; the grays follow the values themselves."
"""A film whose header was not believed gets this warning."""


@dataclass(frozen=True)
class Bits:
    """Says where the values lie in unsigned cells.

    Attributes:
        stored: How many bits a value has.
        high: The place of its highest bit, counted from 0.
        signed: Whether the highest bit is the sign.
    """

    stored: int
    high: int
    signed: bool

    @property
    def low(self) -> int:
        """The place of the lowest bit."""
        return self.high + 1 - self.stored


def possible_bits(said: Bits, width: int) -> Bits:
    """Return the bits that a header gives to cells of a width, or those that one of its two numbers allows.

    If neither number can be right, the values take the whole cell.
    """
    if FEWEST_BITS <= said.stored <= said.high + 1 <= width:
        return said
    stored = next((one for one in (said.stored, said.high + 1) if FEWEST_BITS <= one <= width), width)
    return Bits(stored, stored - 1, said.signed)


def fitting_bits(cells: np.ndarray, said: Bits) -> Bits:
    """Return the bits that fit a film of unsigned cells [H,W]: the header's, unless others surely fit better.

    Other bits of a cell may hold an overlay, as older machines put it there. It makes neighbours differ more.
    """
    width, used = 8 * cells.itemsize, int(cells.max()).bit_length()
    rows = cells[:: max(1, len(cells) // SAMPLE_ROWS)]
    if said.low and (used <= said.stored or _levels(values_of(rows.copy(), said)) < 2**FEWEST_BITS <= _levels(rows)):
        said = replace(said, stored=max(used, said.stored), high=max(used, said.stored) - 1)
    whole = replace(said, stored=width - said.low, high=width - 1)
    others = (replace(said, signed=not said.signed), whole, replace(whole, signed=not said.signed))
    if not said.low and not said.signed and used <= said.stored:
        others = others[:1]  # the values of a whole cell are the same
    plain = _plain(rows)
    best, steps = said, _steps(rows, plain, said)
    for other in dict.fromkeys(others):
        if other == best:
            continue
        found = _steps(rows, plain, other)
        if _fits_better(found, steps, BELONGS if other.stored != best.stored else CHANGES_SIGN):
            best, steps = other, found
    return best


def _levels(values: np.ndarray) -> int:
    return len(np.unique(values))


def _plain(rows: np.ndarray) -> np.ndarray:
    """Return which cells of rows [N,W] are grays.

    The highest and the lowest cell may be padding, a shutter or a marker, which lie far from any gray. It counts
    as one if there are more than SPIKE times as many of it as of the next cell.
    """
    plain = np.ones(rows.shape, bool)
    for end, next_to in ((rows.max(), np.max), (rows.min(), np.min)):
        others = rows[rows != end]
        following = np.count_nonzero(others == next_to(others)) if others.size else 0
        if rows.size - others.size > SPIKE * following:
            plain &= rows != end
    return plain


@dataclass(frozen=True)
class _Steps:
    """Measures how far neighbours lie from each other in a reading of their bits, and how far all values spread."""

    sizes: np.ndarray
    spread: float


def _steps(rows: np.ndarray, plain: np.ndarray, bits: Bits) -> _Steps:
    """Return the steps between neighbours in rows [N,W] of cells, of which those that are `plain` count."""
    values = values_of(rows.copy(), bits).astype(np.float32 if rows.itemsize <= 2 else np.float64)
    sizes = np.abs(np.diff(values, axis=1))[plain[:, 1:] & plain[:, :-1]]
    return _Steps(sizes, float(values[plain].std()) if plain.any() else 0.0)


def _fits_better(new: _Steps, old: _Steps, least: float) -> bool:
    """Tell whether more than a proportion of those steps that differ are smaller in a new reading than in an old one.

    The steps of each reading are measured by its own spread, since values that wrap into few bits have small steps too.
    """
    differ = new.sizes != old.sizes
    nearer = int(np.count_nonzero((new.sizes * old.spread < old.sizes * new.spread)[differ]))
    count = int(np.count_nonzero(differ))
    return count > LEAST_EVIDENCE * max(new.sizes.size, 1) and nearer > least * count


def values_of(cells: np.ndarray, bits: Bits) -> np.ndarray:
    """Return the values in unsigned cells. Writable cells are changed in place.

    Raises ValueError for bits that no cell has.
    """
    width = 8 * cells.itemsize
    if not 0 < bits.stored <= bits.high + 1 <= width:
        raise ValueError(f"{bits.stored} bits up to {bits.high} of {width}")
    if not bits.signed and not bits.low and cells.max() < 2**bits.stored:  # the cells are the values
        return cells
    values = cells
    if bits.stored < width:
        values = np.left_shift(cells, width - 1 - bits.high, out=cells if cells.flags.writeable else None)
    if bits.signed:
        values = values.view(values.dtype.str.replace("u", "i"))
    return np.right_shift(values, width - bits.stored, out=values) if bits.stored < width else values

"""A mutated film gives a film or an error of the FilmError family.

This is a short, fixed part of what `benchmarks/fuzz_reader.py` does for hours, guided by coverage.
"""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from benchmarks.film_kinds import film_files
from benchmarks.fuzz_reader import FORMATS
from benchmarks.fuzz_seeds import small
from benchmarks.fuzz_target import PIXELS, with_checksums
from kneeoa_hub.errors import FilmError
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.film import Limits
from kneeoa_hub.imaging.phantom import knee_film

pytestmark = pytest.mark.slow

LIMITS = Limits(max_pixels=PIXELS, min_side=1)
TELLING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\x80", b"\x01")
"""Bytes that a reader is likeliest to stumble over."""


@cache
def seeds(form: str) -> tuple[bytes, ...]:
    """A small film in every kind of file of a format."""
    return tuple(file.content for file in film_files(small(knee_film(3, 3, bits=16).pixels)) if file.form == form)


def mutated(content: bytes, edits: list[tuple[str, int, bytes | int | None]]) -> bytes:
    for kind, place, what in edits:
        at = place % max(1, len(content))
        if isinstance(what, bytes):
            content = content[:at] + what + content[at + len(what) :]
        elif what is None:
            content = content[:at]
        else:
            content = (
                content[:at] + content[at + what :] if kind == "leave out" else content[: at + what] + content[at:]
            )
    return content


@pytest.mark.filterwarnings(
    "ignore"
)  # decoders warn where they read on; as errors, the warnings would end a film that users get
@pytest.mark.parametrize("form", FORMATS)
def test_a_mutated_film_is_a_film_or_an_error_of_the_package(form):
    from hypothesis import given, settings
    from hypothesis import strategies as st

    # A place in a file; the first ones twice as often, where most formats have their header.
    places = st.one_of(st.integers(0, 300), st.integers(0, 20_000))
    edits = st.one_of(
        st.tuples(st.just("write"), places, st.sampled_from(TELLING)),
        st.tuples(st.just("write"), places, st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("leave out"), places, st.integers(1, 64)),
        st.tuples(st.just("repeat"), places, st.integers(1, 64)),
        st.tuples(st.just("end"), places, st.none()),
    )
    outcomes: Counter[str] = Counter()

    @settings(max_examples=300, derandomize=True, database=None, deadline=None)
    @given(st.sampled_from(seeds(form)), st.lists(edits, min_size=1, max_size=4))
    def tried(content: bytes, chosen: list[tuple[str, int, bytes | int | None]]) -> None:
        changed = mutated(content, chosen)
        try:
            film = decode(with_checksums(changed) if form == "PNG" else changed, LIMITS)
        except FilmError as error:
            outcomes[error.code] += 1
            return
        outcomes["read"] += 1
        assert film.pixels.ndim == 2
        assert film.pixels.dtype == np.float32
        assert film.pixels.size <= PIXELS
        assert np.isfinite(film.pixels).all()
        assert 0 <= film.colour <= 1

    tried()
    assert outcomes.total() >= 200
    if form != "PNG":  # whose pixels have a checksum of their own, so that a changed one is hardly ever read
        assert outcomes["read"] >= 2  # the changes are small enough to reach the decoders
    assert {"film-damaged", "film-unsupported"} <= set(outcomes)

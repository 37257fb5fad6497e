"""The benchmark of the screener's special cases says which of them a film needs."""

import numpy as np

from benchmarks.special_cases import CountedFilm, judged, measured
from kneeoa_hub.imaging.phantom import two_knee_film


def test_a_turned_film_is_graded_by_one_special_case_alone_and_an_upright_one_by_none(grader):
    upright = two_knee_film((1, 3), seed=4).pixels
    films = [CountedFilm("upright", upright, 2), CountedFilm("turned", np.rot90(upright), 2)]
    rows = {row.case: row for row in measured(grader.screener, films)}
    assert rows.pop("another pose").finds == ("turned",)
    assert not any(row.finds or row.costs or row.lets_through or row.keeps_out for row in rows.values())


def test_a_special_case_is_judged_by_the_knees_that_a_film_shows():
    assert [judged(2, 2, 1), judged(1, 2, 1), judged(1, 1, 1)] == ["finds", "costs", ""]
    assert [judged(0, 1, 0), judged(0, 0, 1), judged(0, 1, 2)] == ["lets through", "keeps out", ""]
    assert [judged(None, 1, 0), judged(None, 2, 1)] == ["finds", ""]

"""The time of a search is divided among parts, and none is left out."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import search_overhead as overhead


@pytest.mark.slow
@pytest.mark.keras
def test_the_parts_of_a_search_sum_to_the_whole(loop):
    kept = json.loads((loop / "search-overhead.json").read_text("utf-8"))
    assert sum(kept["parts"].values()) == pytest.approx(kept["whole"], abs=0.05)
    never = {overhead.START, overhead.WATCHING}  # this search had one process, which ran before
    assert {part for part, seconds in kept["parts"].items() if seconds > 0} == set(overhead.PARTS) - never


def test_while_a_worker_trains_its_parts_take_the_place_of_the_waiting_chief():
    chief = {overhead.START: [9, 8], overhead.WORKER: [70, 2], overhead.FILES: [1, 1], overhead.REPORT: [5, 5]}
    worker = {overhead.START: [10, 8], overhead.STEPS: [45, 60], overhead.COST: [5, 4], overhead.FILES: [5, 1]}
    spent = overhead.together(np.array([90.0, 92.0]), [chief, worker])
    np.testing.assert_allclose(sum(spent.values()), [90, 92])
    assert spent[overhead.START].tolist() == [9 + 10 + 10, 8 + 8 + 3]  # with the start and the end of both processes
    np.testing.assert_allclose(overhead.added(spent), [45 / 90, 32 / 92])
    assert "| what the search adds to its trials | | 50.0% | | 34.8% |" in overhead.table(spent)


def test_the_published_table_is_that_of_its_evidence():
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "benchmarks.md").read_text("utf-8")
    for folder in (docs / "evidence" / "search_overhead").iterdir():
        kept = json.loads((folder / "overhead.json").read_text("utf-8"))
        spent = {part: np.array([both["seconds"], both["processor_seconds"]]) for part, both in kept["parts"].items()}
        assert (folder / "overhead.md").read_text("utf-8") == overhead.table(spent)
        clock, processors = overhead.added(spent)
        assert f"{processors:.0%} of the processors' time and {clock:.0%} of the clock" in page
        assert folder.name != "films-1500" or overhead.table(spent) in page

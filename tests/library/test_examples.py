"""The examples in the docstrings of the public names run and print what they show."""

import copy
import doctest
from importlib import import_module

import pytest

import kneeoa_hub

ELSEWHERE = ("grade_dataset",)
"""Public names whose examples run in a test file of their own: one start of Ray serves all tests that need it."""
MODULES = ("grader", "knee", "opening", "report", "hub.address", "hub.presets", "hub.pull_push")
EXAMPLES = [
    example
    for name in MODULES
    for example in doctest.DocTestFinder().find(import_module(f"kneeoa_hub.{name}"))
    if example.examples
]
NEED_EXAMPLES = {
    "kneeoa_hub.grader.KneeGrader.grade",
    "kneeoa_hub.grader.KneeGrader.grade_batch",
    *(
        f"{getattr(kneeoa_hub, name).__module__}.{name}"
        for name in kneeoa_hub.__all__
        if name not in ("KneeOAError", *ELSEWHERE)
    ),
}
"""All public names but the error, which is raised and not called, and those whose examples run elsewhere."""


def test_every_public_name_has_an_example():
    assert {example.name for example in EXAMPLES} >= NEED_EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_prints_what_it_shows(example: doctest.DocTest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output: list[str] = []
    fresh = copy.copy(example)
    fresh.globs = example.globs.copy()  # a run clears them
    failed, _ = doctest.DocTestRunner().run(fresh, out=output.append)
    assert not failed, "".join(output)


def test_public_names_are_completed_before_they_are_first_used():
    assert set(dir(kneeoa_hub)) == {*kneeoa_hub.__all__, "__version__"}

"""The examples in the docstrings of the public names run and print what they show."""

import doctest
import inspect
from collections.abc import Iterator

import pytest

import kneeoa_hub
from kneeoa_hub.hub import address

PUBLIC = {name: getattr(kneeoa_hub, name) for name in kneeoa_hub.__all__}
NEED_EXAMPLES = {name: value for name, value in PUBLIC.items() if name != "KneeOAError"}
"""An error is raised, not called."""


def examples() -> Iterator[doctest.DocTest]:
    """The examples of every public name, and of the methods of every public class."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name, value in [*PUBLIC.items(), ("parse_address", address.parse_address)]:
        yield from finder.find(value, name, inspect.getmodule(value), globs=dict(vars(address)))


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_an_example_runs_as_it_is_shown(example: doctest.DocTest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    failed, tried = doctest.DocTestRunner().run(example, out=told.append)
    assert tried
    assert not failed, "".join(told)


@pytest.mark.parametrize("name", NEED_EXAMPLES)
def test_every_public_name_has_an_example(name: str):
    assert ">>>" in (inspect.getdoc(NEED_EXAMPLES[name]) or "")
    for method in ("grade", "grade_batch") if name == "KneeGrader" else ():
        assert ">>>" in (inspect.getdoc(getattr(NEED_EXAMPLES[name], method)) or "")


def test_public_names_are_completed_before_they_are_first_used():
    assert set(kneeoa_hub.__all__) < set(dir(kneeoa_hub))

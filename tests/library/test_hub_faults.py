"""Every fault of the table in docs/hub-faults.md ends as the table says."""

from pathlib import Path

import pytest

from ..support.hub_faults import HEAD, ROWS, line, observe_all

TABLE = Path(__file__).parents[2] / "docs" / "hub-faults.md"


@pytest.fixture(scope="module")
def all_observed() -> dict[str, str]:
    return observe_all()


@pytest.mark.slow
@pytest.mark.timeout(1500)  # the first row waits for all of them
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_a_fault_ends_as_expected_and_as_the_docs_say(row, all_observed):
    observed = all_observed[row.fault]
    parts = observed.split("; then ")
    wanted = row.expected.split("; ")
    assert len(parts) == len(wanted)
    assert all(part.startswith(want) for part, want in zip(parts, wanted, strict=True)), observed
    assert line(row, observed) in TABLE.read_text("utf-8")


def test_the_docs_list_these_faults_and_no_others():
    text = TABLE.read_text("utf-8")
    assert text.startswith(HEAD)
    assert [row.split(" | ")[0].removeprefix("| ") for row in text.removeprefix(HEAD).splitlines()] == [
        row.fault for row in ROWS
    ]

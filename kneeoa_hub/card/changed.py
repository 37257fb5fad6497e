"""Writes the card's section on films that are changed in ways that leave a reader able to grade them."""

from collections.abc import Mapping, Sequence
from statistics import mean

from ..evidence import ChangeEvidence, RobustnessEvidence
from ..imaging.film import MIN_SIDE
from ..sources import collection_title
from .text import escaped, listed, section, table

COLUMNS = {"same grade": "same", "QWK": "qwk", "shift": "bias", "refused": "refused"}
"""Each heading of the table shows this field of a row."""


def changed(evidence: RobustnessEvidence | None, figures: str) -> str:
    """Describe what each change of the films does to their grades, with a picture of the intervals."""
    if not evidence:
        return ""
    collections = evidence.collections
    headings = [f"{heading}, {escaped(collection_title(name))}" for heading in COLUMNS for name in collections]
    films = [f"{rows[0].qwk.n} ({escaped(collection_title(name))})" for name, rows in collections.items()]
    return section(
        "## Do the grades hold when a film is changed?",
        f"{listed(films)} validation films were changed in {len(evidence.changes) - 1} ways that leave a reader able to"
        " grade them, and graded as any film is. Networks learn from other random changes. Shift: the mean change of"
        " severity, the mean grade, in grades. Refused: the proportion of the films that are graded without the"
        f" change. {_left_out(evidence)}",
        table(("films", *headings), [(name, *_cells(name, collections)) for name in evidence.changes]),
        f"The films were graded with {evidence.grader.name}, revision `{evidence.grader.revision}`. A bundle that holds"
        " these measures has another revision. evidence.json has their 95% intervals, the accuracy, the AUC and the"
        " coverage.",
        f"![How many films keep their grade, by change]({figures}robustness.png)",
    )


def _left_out(evidence: RobustnessEvidence) -> str:
    """Say which films a row does not count."""
    said = (
        "Where several knees are found on a film, the largest one counts, and a false second one is not seen. A film"
        f" with fewer than {MIN_SIDE} pixels on a side gives an error in place of a grade. Films that a change makes so"
        " small are left out"
    )
    fewer: dict[str, list[str]] = {}
    for name, rows in evidence.collections.items():
        for row in rows:
            if row.refused.n < rows[0].refused.n:
                fewer.setdefault(row.change, []).append(f"{row.refused.n} ({escaped(collection_title(name))})")
    if fewer:
        counted = (f'"{escaped(change)}" counts {listed(counts)} films' for change, counts in fewer.items())
        said += f": {', '.join(counted)}"
    if any(len(rows) < len(evidence.changes) for rows in evidence.collections.values()):
        said += '; "-" stands where no film is left'
    return f"{said}."


def worst(evidence: RobustnessEvidence | None) -> str:
    """Say in words how many films keep their grade on the mean of all changes and under the worst one."""
    if not evidence:
        return ""
    means, lowest = [], []
    for name, rows in evidence.collections.items():
        least = min(rows[1:], key=lambda row: row.same.value)
        means.append(f"{mean(row.same.value for row in rows[1:]):.2f} ({escaped(collection_title(name))})")
        lowest.append(f"{least.same.value:.2f} ({least.change}; {escaped(collection_title(name))})")
    return (
        "A film that was cut, compressed or exposed differently may get another grade. On average over all measured"
        f" changes, {listed(means)} of the films keep their grade; under the worst change, {listed(lowest)}."
    )


def _cells(change: str, collections: Mapping[str, Sequence[ChangeEvidence]]) -> list[str]:
    rows = [next((row for row in rows if row.change == change), None) for rows in collections.values()]
    return [f"{getattr(row, field).value:z.2f}" if row else "-" for field in COLUMNS.values() for row in rows]

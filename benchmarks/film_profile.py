"""The profile of one warm film shows where its time goes, now and in an earlier version.

    git worktree add --detach ../before e6f0d71    # 0.8.0, for example
    python -m benchmarks.film_profile --before ../before --out docs/evidence/profile

Writes profile.json and profile.md. Each version grades the same two films with its own networks, on one thread, under
Python's profiler. It counts the processor time of that thread, so other work on the machine changes little. The
profiler slows many small calls in Python down more than a few long ones.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kneeoa_hub.card.text import table as markdown_table

from .load import LARGE, SMALL, films
from .measuring import ROOT, Machine, ended, machine, measured_on, write_figures
from .speed.warm import two_knees

ROUNDS, FILMS_A_ROUND = 3, 20
LONGEST = 12
"""The list of the longest functions holds this many."""
IN_A_VERSION = """
import cProfile, json, pstats, sys, time
import kneeoa_hub
path, count = sys.argv[1], int(sys.argv[2])
grader = kneeoa_hub.from_pretrained(threads=1)
for _ in range(3):
    assert grader.grade(path).knees
profile = cProfile.Profile(time.thread_time)
profile.enable()
for _ in range(count):
    grader.grade(path)
profile.disable()
found = pstats.Stats(profile).stats
print(json.dumps([[file, name, 1000 * own / count] for (file, _, name), (_, _, own, _, _) in found.items()]))
"""
PARTS = {
    "the networks, in onnxruntime": ("onnxruntime",),
    "resizing and pictures, in Pillow": ("PIL", "Imaging", "_imaging"),
    "arrays, in NumPy": ("numpy",),
    "reading DICOM, in pydicom": ("pydicom",),
    "the package, with the arithmetic that it asks of NumPy": ("kneeoa_hub",),
}
"""A function belongs to the first part of which its file or its name holds a word."""
OTHER = "Python's own library"


@dataclass(frozen=True)
class Profile:
    """A profile is of one kind of film in one version.

    Attributes:
        version: "before" or "now".
        film: The kind of film.
        total: Milliseconds of processor time of a film.
        parts: Milliseconds of it in each of PARTS.
        longest: The functions with the most time of their own, and its milliseconds.
    """

    version: str
    film: str
    total: float
    parts: dict[str, float]
    longest: tuple[tuple[str, float], ...]


def profile(checkout: Path, film: Path, version: str, kind: str) -> Profile:
    """Grade a film many times in a process that imports the package from a checkout.

    Args:
        checkout: The folder of the checkout.
        film: The film's file.
        version: "before" or "now".
        kind: The kind of film.

    Returns:
        Where the time of a film went.
    """
    environ = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_VERSION, str(film), str(FILMS_A_ROUND)],
        check=True,
        capture_output=True,
        text=True,
        env=environ,
        cwd=checkout,
    )
    functions: list[tuple[str, str, float]] = json.loads(done.stdout.splitlines()[-1])
    parts = dict.fromkeys((*PARTS, OTHER), 0.0)
    for file, name, own in functions:
        parts[_part(file, name)] += own
    longest = sorted(functions, key=lambda one: -one[2])[:LONGEST]
    named = tuple((_name(file, name), own) for file, name, own in longest)
    return Profile(version, kind, sum(parts.values()), parts, named)


def _part(file: str, name: str) -> str:
    place = name if file == "~" else file.rpartition("site-packages")[2] or file
    return next((part for part, marks in PARTS.items() if any(mark in place for mark in marks)), OTHER)


def _name(file: str, name: str) -> str:
    if file == "~":
        return name.strip("<>").partition(" at 0x")[0]
    place = Path(file)
    return f"{place.parent.name}/{place.name}: {name}"


def table(profiles: Sequence[Profile], where: Machine) -> str:
    """Return the parts of each kind of film before and now, and then the longest functions of now, as Markdown."""
    parts = ["Milliseconds of processor time for one warm film on one thread, under the profiler."]
    for kind in dict.fromkeys(one.film for one in profiles):
        found = {one.version: one for one in profiles if one.film == kind}
        versions = [version for version in ("before", "now") if version in found]
        rows = [(part, *(f"{found[one].parts[part]:.1f}" for one in versions)) for part in (*PARTS, OTHER)]
        rows.append(("all", *(f"{found[one].total:.1f}" for one in versions)))
        longest = [(f"`{name}`", f"{own:.1f}") for name, own in found["now"].longest]
        parts.append(markdown_table((kind, *versions), rows))
        parts.append(markdown_table((f"{kind}, now: functions with the most time of their own", "ms"), longest))
    return "\n\n".join([*parts, measured_on(where)]) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Profile both kinds of film in turns of the versions, and write the middle round of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--out", type=Path, required=True, help="folder for profile.json and profile.md")
    asked = parser.parse_args(arguments)
    checkouts = {"now": ROOT} | ({"before": asked.before.resolve()} if asked.before else {})
    where, chosen = machine(), []
    with TemporaryDirectory() as folder:
        paths = {SMALL: Path(folder) / "knee.png", f"{LARGE}, two knees": Path(folder) / "knees.dcm"}
        for path, content in zip(paths.values(), (films()[SMALL], two_knees()), strict=True):
            path.write_bytes(content)
        for kind, path in paths.items():
            rounds = [[profile(place, path, name, kind) for name, place in checkouts.items()] for _ in range(ROUNDS)]
            for versions in zip(*rounds, strict=True):
                middle = statistics.median_low([one.total for one in versions])
                chosen.append(next(one for one in versions if one.total == middle))
    document = {"machine": asdict(ended(where)), "profiles": [asdict(one) for one in chosen]}
    write_figures(asked.out, "profile", document, table(chosen, where))


if __name__ == "__main__":
    main()

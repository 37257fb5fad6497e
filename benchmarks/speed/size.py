"""Memory is measured beside Keras with the same weights, and the size of an install beside that of the usual stack."""

import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from kneeoa_hub.imaging.phantom import sample_films

from ..measuring import BUNDLE, ROOT, in_turns
from .figure import Figure, compared
from .start import KERAS

ROUNDS = 2
FILMS = 20
RESIDENT = """
from benchmarks.processes import megabytes
print(megabytes())
"""
GRADER = """
import sys
import kneeoa_hub
grader = kneeoa_hub.from_pretrained()
for _ in range(int(sys.argv[3])):
    assert grader.grade(sys.argv[2]).knees
"""
STACK = ("tensorflow", "gradio", "flask")


def measure() -> list[Figure]:
    """Read the memory of both processes after twenty films, and add up the files of both installs."""
    with TemporaryDirectory() as folder:
        film = Path(folder) / "film.png"
        Image.fromarray(sample_films()["moderate"].pixels).save(film)
        memory = in_turns({"grader": lambda: _resident(GRADER, film), "keras": lambda: _resident(KERAS, film)}, ROUNDS)
    installed, stack = _megabytes(("kneeoa-hub",)), _megabytes(STACK)
    return [
        compared(
            "memory after grading twenty films",
            "Keras after as many predictions of the same weights",
            "MB",
            memory["grader"],
            memory["keras"],
            floor=1 / 4,
            aim=1 / 8,
        ),
        compared(
            "an install that grades, unpacked",
            "tensorflow, gradio and flask with what they need",
            "MB",
            [installed],
            [stack],
            floor=1 / 6,
            aim=1 / 10,
        ),
    ]


def _resident(code: str, film: Path) -> float:
    """Return the megabytes of a process at its end: its proportional set size, as Linux counts it."""
    command = [sys.executable, "-c", code + RESIDENT, str(BUNDLE), str(film), str(FILMS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return float(done.stdout.split()[-1])


def _megabytes(projects: tuple[str, ...]) -> float:
    """Return the megabytes of projects and of everything that they need, as installed here."""
    return sum(map(_of_distribution, with_needs(projects).values())) / 1e6


def with_needs(requirements: Iterable[str]) -> dict[str, Distribution]:
    """Return the projects of these requirements and everything that they need, as installed here, by their names."""
    found: dict[str, Distribution] = {}
    waiting = list(map(Requirement, requirements))
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        found[name] = distribution(name)
        for need in map(Requirement, found[name].requires or []):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in {"", *wanted.extras}):
                waiting.append(need)
    return found


def _of_distribution(installed: Distribution) -> int:
    if installed.metadata["Name"] == "kneeoa-hub":  # installed from this checkout: its files are here
        files = [path for path in (ROOT / "kneeoa_hub").rglob("*") if "__pycache__" not in path.parts]
    else:
        files = [Path(str(installed.locate_file(file))) for file in installed.files or []]
    return sum(path.stat().st_size for path in files if path.is_file())

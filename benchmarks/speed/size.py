"""Memory while grading beside Keras with the same weights, and an install that grades beside one of the usual stack."""

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

from .figure import BUNDLE, ROOT, Figure, compared, in_turns

ROUNDS = 2
RESIDENT = """
import re
from pathlib import Path
print(re.findall(r"^Pss:\\s+(\\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)[0])
"""
GRADER = """
import sys
import kneeoa_hub
grader = kneeoa_hub.from_pretrained()
for _ in range(20):
    assert grader.grade(sys.argv[2]).knees
"""
KERAS = """
import sys, numpy, keras
from PIL import Image
model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
height, width = model.input_shape[1:3]
film = numpy.asarray(Image.open(sys.argv[2]).resize((width, height)), "float32")
image = (film - film.mean()) / film.std()
for _ in range(20):
    model.predict(image[None, ..., None], verbose=0)
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
    command = [sys.executable, "-c", code + RESIDENT, str(BUNDLE), str(film)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return int(done.stdout.split()[-1]) * 1024 / 1e6


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

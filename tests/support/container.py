"""The Dockerfile's steps are done by hand, for machines without a container engine, in a folder of this machine."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = r"/(?:opt|var/lib)/"
"""The image keeps what it adds to its base in these folders."""


@dataclass
class Image:
    """An image is the result of the steps.

    Attributes:
        root: The folder that stands for the image's own.
        env: The variables that it sets.
        user: The number of its user.
    """

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: Path = Path("/")
    user: int = 0
    entrypoint: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)


def build(root: Path) -> Image:
    """Run every step. A step of an unknown kind raises KeyError, so that no step is left out."""
    image = Image(root)
    steps = {
        "RUN": _run,
        "COPY": _copy,
        "ENV": _env,
        "WORKDIR": _workdir,
        "USER": _user,
        "ENTRYPOINT": _entrypoint,
        "HEALTHCHECK": _healthcheck,
    }
    left_out = dict.fromkeys(("ARG", "FROM", "LABEL", "EXPOSE", "VOLUME"), lambda image, text: None)
    for kind, text in instructions():
        (steps | left_out)[kind](image, text)
    return image


def instructions() -> Iterator[tuple[str, str]]:
    """Yield each instruction of the Dockerfile and what follows it."""
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line:
            kind, _, text = line.partition(" ")
            yield kind, text


def _here(image: Image, text: str) -> str:
    return re.sub(FOLDERS, lambda found: f"{image.root}{found[0]}", text)


def _run(image: Image, text: str) -> None:
    command = re.sub(r"(^|&& )python ", rf"\1{sys.executable} ", _here(image, text))
    # Packages are compiled where they are imported: a server imports a small part of them.
    subprocess.run(["sh", "-ec", command], check=True, cwd=image.root, env=os.environ | {"PIP_NO_COMPILE": "1"})


def _copy(image: Image, text: str) -> None:
    if text.startswith("--from="):  # both stages share one folder here
        return
    source, target = text.split()
    into = Path(_here(image, target))
    into.parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(ROOT / source, into)


def _env(image: Image, text: str) -> None:
    image.env |= dict(pair.split("=", 1) for pair in _here(image, text).split())


def _workdir(image: Image, text: str) -> None:
    image.workdir = Path(_here(image, text))


def _user(image: Image, text: str) -> None:
    image.user = int(text.split(":")[0])


def _entrypoint(image: Image, text: str) -> None:
    image.entrypoint = json.loads(text)


def _healthcheck(image: Image, text: str) -> None:
    image.healthcheck = json.loads(text[text.index("[") :])

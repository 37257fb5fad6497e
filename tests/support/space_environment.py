"""An environment with only the packages that Hugging Face would install for the Space."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .space_serving import ROOT


def packages_of_the_space() -> dict[str, Distribution]:
    """Return the packages by name: those of requirements.txt, the Gradio of the header, and what these need.

    Hugging Face would add Gradio's extra `oauth`, for Spaces with a log-in.
    """
    header = yaml.safe_load((ROOT / "spaces" / "README.md").read_text("utf-8").split("---\n")[1])
    asked = (ROOT / "spaces" / "requirements.txt").read_text("utf-8").splitlines()
    return _needed([*asked, f"gradio[mcp]=={header['sdk_version']}"])


def environment_with(packages: Mapping[str, Distribution], folder: Path) -> Path:
    """Make an environment with these packages alone, and return its Python. Files are links: pip would copy them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (libraries,) = (folder / "lib").glob("python*/site-packages")
    for package in packages.values():
        for file in package.files or ():
            link = libraries / file
            if ".." not in file.parts and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(str(package.locate_file(file)))
    return folder / "bin" / "python"


def _needed(requirements: Sequence[str]) -> dict[str, Distribution]:
    """Return the packages of this environment that the requirements need, each of a version that all of them allow."""
    found: dict[str, Distribution] = {}
    left, seen = list(map(Requirement, requirements)), set()
    while left:
        one = left.pop()
        package = found.setdefault(canonicalize_name(one.name), distribution(one.name))
        assert one.specifier.contains(package.version, prereleases=True), (str(one), package.version)
        if str(one) not in seen:
            seen.add(str(one))
            below = map(Requirement, package.requires or ())
            extras = one.extras or {""}
            left += [
                need for need in below if not need.marker or any(need.marker.evaluate({"extra": e}) for e in extras)
            ]
    return found

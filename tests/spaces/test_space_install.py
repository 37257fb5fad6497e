"""The Space in an environment with only the packages that Hugging Face would install for it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kneeoa_hub import KneeGrader
from spaces.deploy import space_files

from ..support.space_serving import ROOT, lay_out, space

BUNDLE = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"


@pytest.fixture(scope="module")
def packages() -> dict[str, Distribution]:
    """What Hugging Face would install, by name: requirements.txt, the Gradio of the header, and what these need.

    It would add Gradio's extra `oauth`, for Spaces with a log-in.
    """
    header = yaml.safe_load((ROOT / "spaces" / "README.md").read_text("utf-8").split("---\n")[1])
    asked = (ROOT / "spaces" / "requirements.txt").read_text("utf-8").splitlines()
    return needed([*asked, f"gradio[mcp]=={header['sdk_version']}"])


def needed(requirements: Sequence[str]) -> dict[str, Distribution]:
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


@pytest.fixture(scope="module")
def python(packages: dict[str, Distribution], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with these packages alone. Its files are links: pip would only copy them."""
    environment = tmp_path_factory.mktemp("space") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (libraries,) = (environment / "lib").glob("python*/site-packages")
    for package in packages.values():
        for file in package.files or ():
            link = libraries / file
            if ".." not in file.parts and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(str(package.locate_file(file)))
    return environment / "bin" / "python"


@pytest.mark.slow
def test_the_requirements_are_all_that_the_space_needs(
    packages: dict[str, Distribution], python: Path, grader: KneeGrader, films: dict[str, Path], tmp_path: Path
):
    from gradio_client import Client, handle_file

    assert not {"tensorflow", "keras", "flask"} & packages.keys()
    folder = lay_out(tmp_path / "space", space_files("lab/kneeoa", "0" * 40))
    with space(
        folder, python=str(python), KNEEOA_MODEL=str(BUNDLE), HF_HUB_OFFLINE="1", HOME=os.environ["HOME"]
    ) as url:
        client = Client(url, verbose=False)
        for name in ("severe", "both-knees", "sixteen-bit"):
            assert client.predict(handle_file(films[name]), api_name="/grade") == grader.grade(films[name]).to_dict()

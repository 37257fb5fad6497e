"""The version, the licences and the Pythons have one source, pyproject.toml; whatever repeats them says the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import kneeoa_hub
from kneeoa_hub.hub.presets import PRESETS

ROOT = Path(__file__).parents[2]
TOML = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = TOML["project"]


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def front(name: str) -> dict:
    """The metadata at the head of a Markdown file."""
    return yaml.safe_load(text(name).split("---\n")[1])


def test_the_version_is_that_of_the_package():
    assert PROJECT["dynamic"] == ["version"]
    assert TOML["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "kneeoa_hub.__version__"}
    assert yaml.safe_load(text("CITATION.cff"))["version"] == kneeoa_hub.__version__
    images = re.findall(r"kneeoa-hub:(\d[\d.]*\d)", text("compose.yaml") + text("docs/self-hosting.md"))
    assert len(images) > 2
    assert set(images) == {kneeoa_hub.__version__}
    assert f"\n## {kneeoa_hub.__version__} " in text("CHANGELOG.md")


def test_the_licence_of_the_code_is_that_of_the_project():
    assert yaml.safe_load(text("CITATION.cff"))["license"] == PROJECT["license"]
    assert f'org.opencontainers.image.licenses="{PROJECT["license"]}"' in text("Dockerfile")
    assert f"Code: {PROJECT['license']}." in text("README.md")
    assert f"Code: {PROJECT['license']}." in text("model_card.md")


def test_the_licence_of_the_weights_is_that_of_their_card():
    (licence,) = {preset.licence for preset in PRESETS.values()}
    assert front("model_card.md")["license"] == licence.lower().replace(" ", "-")
    for name in ("README.md", "model_card.md"):
        assert f"Weights: {licence}." in text(name)


@pytest.mark.parametrize("name", ["README.md", "docs/install.md", "CONTRIBUTING.md"])
def test_the_pythons_of_a_page_are_those_of_the_project(name: str):
    least, below = bounds()
    assert f"Python 3.{least} to 3.{below - 1}" in text(name)


def test_the_image_the_space_and_the_types_are_for_a_python_of_the_project():
    least, below = bounds()
    image = re.search(r"^ARG PYTHON=3\.(\d+)$", text("Dockerfile"), re.MULTILINE)
    assert image
    assert least <= int(image[1]) < below
    assert least <= int(front("spaces/README.md")["python_version"].partition(".")[2]) < below
    assert TOML["tool"]["pyright"]["pythonVersion"] == f"3.{least}"


def bounds() -> tuple[int, int]:
    """The first supported minor version of Python 3, and the first later one that is not supported."""
    found = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"])
    assert found
    return int(found[1]), int(found[2])

"""The Space in an environment with only the packages that Hugging Face would install for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kneeoa_hub import KneeGrader
from spaces.deploy import space_files

from ..support.space_serving import ROOT, lay_out, space

BUNDLE = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with requirements.txt and the Gradio of the header, as Hugging Face adds it.

    This Python's pip fills it, and compiles nothing: an app imports a small part of what its packages hold.
    """
    header = yaml.safe_load((ROOT / "spaces" / "README.md").read_text("utf-8").split("---\n")[1])
    environment = tmp_path_factory.mktemp("space") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    found = environment / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        found,
        "install",
        "--quiet",
        "--no-compile",
        "-r",
        ROOT / "spaces" / "requirements.txt",
        f"gradio[oauth,mcp]=={header['sdk_version']}",
    ]
    subprocess.run(install, check=True)
    return found


@pytest.mark.slow
def test_the_requirements_are_all_that_the_space_needs(
    python: Path, grader: KneeGrader, films: dict[str, Path], tmp_path: Path
):
    from gradio_client import Client, handle_file

    listed = [sys.executable, "-m", "pip", "--python", python, "list", "--format=freeze"]
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    assert "tensorflow" not in names
    folder = lay_out(tmp_path / "space", space_files("lab/kneeoa", "0" * 40))
    with space(
        folder, python=str(python), KNEEOA_MODEL=str(BUNDLE), HF_HUB_OFFLINE="1", HOME=os.environ["HOME"]
    ) as url:
        client = Client(url, verbose=False)
        for name in ("severe", "both-knees", "sixteen-bit"):
            assert client.predict(handle_file(films[name]), api_name="/grade") == grader.grade(films[name]).to_dict()

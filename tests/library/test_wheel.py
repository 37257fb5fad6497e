"""The wheel: kneeoa_hub alone, typed, with the shipped weights, grading in an environment without other packages."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GRADES = """
import sys
import kneeoa_hub
from kneeoa_hub.imaging.phantom import sample_films
report = kneeoa_hub.from_pretrained().grade(sample_films()["moderate"].pixels)
print(len(report.knees), kneeoa_hub.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    root = tmp_path_factory.mktemp("wheel")
    source = root / "source"
    shutil.copytree(ROOT / "kneeoa_hub", source / "kneeoa_hub", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", root, source)
    (built,) = root.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of a new environment with the wheel and what it needs."""
    environment = tmp_path_factory.mktemp("installed") / "env"
    _run(sys.executable, "-m", "venv", "--without-pip", environment)
    programs = next(path for path in (environment / "bin", environment / "Scripts") if path.is_dir())
    _run(sys.executable, "-m", "pip", "--python", programs / "python", "install", "--quiet", "--no-compile", wheel)
    return programs


def _run(*command: object, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_the_wheel_holds_the_library_its_weights_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"kneeoa_hub"}
    shipped = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "kneeoa_hub" / "pretrained").rglob("*") if path.is_file()
    }
    assert shipped <= set(names)
    assert "kneeoa_hub/py.typed" in names


@pytest.mark.slow
def test_its_types_are_complete(installed, tmp_path):
    # where pyright looks for packages
    environment = os.environ | {"PATH": f"{installed}{os.pathsep}{os.environ['PATH']}"}
    pyright = Path(sys.executable).with_name("pyright")
    done = subprocess.run(
        [pyright, "--verifytypes", "kneeoa_hub", "--ignoreexternal"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert "Type completeness score: 100%" in done.stdout, done.stdout


@pytest.mark.slow
def test_installed_alone_it_grades_and_its_command_runs(installed, tmp_path):
    knees, place = _run(installed / "python", "-c", GRADES, cwd=tmp_path).split(maxsplit=1)
    assert knees == "1"
    assert str(installed.parent) in place
    assert "kneeoa-cnn" in _run(installed / "kneeoa", "list", cwd=tmp_path)

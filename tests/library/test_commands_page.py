"""The examples of docs/commands.md, which are those of each `--help`, run in a shell as written."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.film_kinds import dicom

from ..support.dicom_films import knee
from ..support.hub_people import Person
from ..support.hub_server import HubServer

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"^ {4}(kneeoa .+)$", (ROOT / "docs" / "commands.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.slow
def test_every_example_runs(grader, films, tmp_path):
    desk = tmp_path / "desk"
    shutil.copytree(grader.bundle.folder, desk / "my-bundle")
    (desk / "films").mkdir()
    shutil.copy(films["mild"], desk / "films")
    shutil.copy(films["severe"], desk / "films")
    shutil.copy(films["moderate"], desk / "knee.png")
    (desk / "knee.dcm").write_bytes(dicom(knee()))
    with HubServer() as hub:
        person = Person(tmp_path / "home", hub.url, "w")
        assert "answer" in person.does("push", desk / "my-bundle", "lab/name", tag="v1.0", private=True)
        for line in EXAMPLES:
            shell = f'kneeoa() {{ "{sys.executable}" -m kneeoa_hub.cli "$@"; }}; {line.replace("org/", "lab/")}'
            environment = person.environment | {"PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                ["sh", "-c", shell], cwd=desk, env=environment, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == 0, (line, done.stderr)
    assert {line.split()[1] for line in EXAMPLES} == {
        "grade",
        "pull",
        "push",
        "info",
        "verify",
        "card",
        "list",
    }
    assert (
        (desk / "out.csv").read_text("utf-8").count("\n") == (desk / "grades.csv").read_text("utf-8").count("\n") == 3
    )
    assert {Image.open(overlay).mode for overlay in (desk / "seen").iterdir()} == {"RGB"}
    assert (desk / "knee.pdf").read_bytes().startswith(b"%PDF")
    assert (desk / "hub" / "kneeoa" / "refs").exists()

"""docs/publish.md, followed by its own commands from a bundle to a tagged repo, the Flask app and the Space."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.hub_people import Person
from ..support.hub_server import HubServer

ROOT = Path(__file__).parents[2]
LINES = re.findall(
    r"^ {4,}((?:[A-Z_]+=\S+ )*(?:kneeoa|python|make) .*)$",
    (ROOT / "docs" / "publish.md").read_text("utf-8"),
    re.MULTILINE,
)
MODULES = {"kneeoa": ["kneeoa_hub.cli"], "python": []}


@pytest.mark.slow
def test_the_page_leads_from_a_bundle_to_a_tagged_repo_a_space_and_an_app(grader, films, tmp_path, monkeypatch):
    from flask_app import create_app
    from spaces.demo.pinned import PIN

    shutil.copytree(grader.bundle.folder, tmp_path / "runs" / "bundle")
    shutil.copy(films["moderate"], tmp_path / "knee.png")
    with HubServer() as hub:
        person = Person(tmp_path / "home", hub.url, "w")
        person.environment["PYTHONPATH"] = str(ROOT)
        said, served = {}, []
        for line in LINES:
            words = shlex.split(line.replace("ORG/", "lab/"))
            if words[-2:] == ["make", "app"]:
                served.append(dict(word.split("=") for word in words[:-2]))
                continue
            program, *arguments = words
            command = [sys.executable, "-m", *MODULES[program], *(arguments if program == "kneeoa" else arguments[1:])]
            done = subprocess.run(
                command, cwd=tmp_path, env=person.environment, capture_output=True, text=True, timeout=200
            )
            assert done.returncode == 0, (line, done.stderr)
            said[" ".join(words)] = done.stdout
        assert "would send    model.onnx" in said["kneeoa push runs/bundle lab/my-knees --tag v1.0 --dry-run"]
        assert hub.refs("lab/my-knees")["v1.0"] == hub.commits("lab/my-knees")[-1]
        assert "knee.png" in said["kneeoa grade knee.png --model lab/my-knees@v1.0"]
        assert json.loads(hub.files("lab/my-demo", "spaces")[PIN])["revision"] == hub.refs("lab/my-knees")["v1.0"]
        folder = person.pulls("lab/my-knees@v1.0")
    assert served == [{"KNEEOA_MODEL": "lab/my-knees", "KNEEOA_REVISION": "v1.0"}]
    monkeypatch.setenv("KNEEOA_MODEL", str(folder))  # the app's own process would have pulled it as the command has
    with (tmp_path / "knee.png").open("rb") as film:
        answer = create_app().test_client().post("/api/v1/grade", data={"film": (film, "knee.png")})
    assert answer.get_json()["revision"] == hub.refs("lab/my-knees")["v1.0"]

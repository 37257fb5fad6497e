"""A Space is made in one commit. The uploaded files start and answer as on Hugging Face, with the Space's packages."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from kneeoa_hub.settings import Settings
from spaces.demo.pinned import PIN, settings_of

from ..support.hub_people import Person
from ..support.hub_server import HubServer
from ..support.space_environment import environment_with, packages_of_the_space
from ..support.space_serving import ROOT, lay_out, space, visitor

BUNDLE = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"
MODEL = "lab/kneeoa"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A Hub that holds the shipped bundle as lab/kneeoa@v1.0."""
    with HubServer() as hub:
        owner = Person(tmp_path_factory.mktemp("owner"), hub.url, "w")
        assert "answer" in owner.does("push", BUNDLE, MODEL, tag="v1.0")
        yield hub


def deploys(hub: HubServer, home: Path, *arguments: str, token: str = "w") -> tuple[int, str]:
    """Run the command `spaces.deploy` in a fork. Return its exit code and what it printed."""
    done = Person(home, hub.url, token).does("deploy", *arguments)
    return int(done["code"]), done["log"]


def header_of(readme: bytes) -> dict:
    return yaml.safe_load(readme.decode().split("---\n")[1])


def test_the_uploaded_space_starts_with_its_requirements_alone_and_answers_as_the_library(hub, tmp_path, grader, films):
    from gradio_client import handle_file

    code, said = deploys(hub, tmp_path / "home", "lab/knees", "--model", f"{MODEL}@v1.0")
    assert code == 0, said
    assert len(hub.commits("lab/knees", "spaces")) == 2  # the first is the Hub's own
    files = hub.files("lab/knees", "spaces")
    commit = hub.refs(MODEL)["v1.0"]
    assert json.loads(files[PIN]) == {"model": MODEL, "revision": commit}
    assert header_of(files["README.md"])["models"] == [MODEL]
    assert header_of(files["README.md"])["preload_from_hub"][0].endswith(commit)
    assert not any(name.startswith(("spaces/", "kneeoa_hub/pretrained/", "tests/")) for name in files)

    folder = lay_out(tmp_path / "space", files)
    spec = "import importlib.util as u; print(u.find_spec('spaces'), u.find_spec('kneeoa_hub').origin)"
    found = subprocess.run(
        [sys.executable, "-c", spec],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert found == ["None", str(folder / "kneeoa_hub" / "__init__.py")]
    packages = packages_of_the_space()
    assert not {"tensorflow", "keras", "flask"} & packages.keys()
    python = environment_with(packages, tmp_path / "environment")
    pulls = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    with space(folder, str(python), **pulls) as url:
        client = visitor(url)
        assert client.predict(api_name="/model") == {"model": grader.model, "revision": commit}
        for name in ("severe", "both-knees", "sixteen-bit"):
            answer = client.predict(handle_file(films[name]), api_name="/grade")
            assert answer == grader.grade(films[name]).to_dict() | {"revision": commit}


def test_deploying_the_same_again_changes_nothing_and_a_newer_demo_takes_away_what_it_left(hub, tmp_path):
    for _ in range(2):
        assert deploys(hub, tmp_path, "lab/twice", "--model", f"{MODEL}@v1.0")[0] == 0
    assert len(hub.commits("lab/twice", "spaces")) == 2
    hub.repos["spaces", "lab/twice"].add(hub.files("lab/twice", "spaces") | {"demo/old.py": b"", "notes.md": b"mine"})
    assert deploys(hub, tmp_path, "lab/twice", "--model", f"{MODEL}@v1.0")[0] == 0
    files = hub.files("lab/twice", "spaces")
    assert "demo/old.py" not in files
    assert files["notes.md"] == b"mine"


def test_a_dry_run_lists_the_files_and_changes_nothing(hub, tmp_path):
    command = [sys.executable, "-m", "spaces.deploy", "lab/dry", "--model", f"{MODEL}@v1.0", "--dry-run"]
    environment = Person(tmp_path, hub.url, "r").environment
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert {"app.py", "README.md", PIN, "demo/page.py", "kneeoa_hub/grader.py"} <= set(done.stdout.split())
    assert ("spaces", "lab/dry") not in hub.repos


@pytest.mark.parametrize(
    ("arguments", "token", "code", "says"),
    [
        (["lab/knees", "--model", MODEL], "w", 2, "is not pinned"),
        (["lab/knees", "--model", "./hub/kneeoa@v1.0"], "w", 2, "is not pinned"),
        (["knees", "--model", f"{MODEL}@v1.0"], "w", 2, "give ORG/NAME"),
        (["lab/knees", "--model", f"{MODEL}@v9"], "w", 1, "has no revision 'v9'"),
        (["lab/denied", "--model", f"{MODEL}@v1.0"], "r", 1, "HF_TOKEN"),
    ],
)
def test_an_impossible_deployment_is_an_error_without_a_traceback(hub, tmp_path, arguments, token, code, says):
    found, said = deploys(hub, tmp_path, *arguments, token=token)
    assert found == code
    assert says in said
    assert "Traceback" not in said


def test_a_private_model_is_left_to_the_running_space_to_fetch(hub, tmp_path):
    repo = hub.add_repo("lab/secret", private=True)
    repo.add(hub.files(MODEL))
    code, said = deploys(hub, tmp_path, "lab/private", "--model", "lab/secret@main")
    assert code == 0, said
    assert "preload_from_hub" not in header_of(hub.files("lab/private", "spaces")["README.md"])


def test_the_settings_of_a_space_come_before_its_pin(tmp_path):
    (tmp_path / PIN).write_text('{"model": "lab/kneeoa", "revision": "abc"}', "utf-8")
    assert settings_of(tmp_path, {}) == Settings(model="lab/kneeoa", revision="abc")
    assert settings_of(tmp_path, {"KNEEOA_MODEL": "me/mine"}) == Settings(model="me/mine")
    assert settings_of(tmp_path / "elsewhere", {}) == Settings()


def test_the_requirements_are_those_of_the_package_with_dicom():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dicom"]
    assert (ROOT / "spaces" / "requirements.txt").read_text("utf-8").split("\n") == [*wanted, ""]

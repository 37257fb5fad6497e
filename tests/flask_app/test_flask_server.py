"""The process that serves the Flask app, and its documentation."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from flask_app import create_app
from flask_app.metrics import Metrics
from flask_app.problems import HTTP_ERRORS, ShownError
from flask_app.source import ModelUnavailable
from kneeoa_hub import KneeGrader
from kneeoa_hub.errors import FilmError, KneeOAError
from kneeoa_hub.settings import Settings

from ..support.flask_serving import ROOT, command, ended, ready, serving
from ..support.pictures import noise

DOCUMENTATION = (ROOT / "docs" / "flask.md").read_text("utf-8")


def test_every_route_setting_and_problem_is_documented(grader: KneeGrader):
    app = create_app(Settings(), grader)
    routes = {
        f"`{method} {rule.rule}`"
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method in ("GET", "POST")
    }
    kinds = {FilmError, ModelUnavailable, *_below(FilmError), *(_below(ShownError) - {ShownError})}
    codes = {f"| `{kind.code}` | {kind.status} |" for kind in kinds} | {
        f"| `{code}` |" for code, _ in HTTP_ERRORS.values()
    }
    settings = {f"`KNEEOA_{name.upper()}`" for name in Settings.__dataclass_fields__ if name != "data"}
    assert {words for words in routes | codes | settings if words not in DOCUMENTATION} == set()


def test_every_figure_of_the_app_is_documented():
    guide = (ROOT / "docs" / "self-hosting.md").read_text("utf-8")
    families = {
        family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        for family in Metrics().registry.collect()
    }
    assert len(families) == 9
    assert {name for name in families if f"`{name}`" not in guide} == set()


def _below(kind: type[KneeOAError]) -> set[type[KneeOAError]]:
    return {kind, *(deeper for below in kind.__subclasses__() for deeper in _below(below))}


def test_the_documented_examples_run(films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "knee.png").write_bytes(films["both-knees"].read_bytes())
    (tmp_path / "other.png").write_bytes(noise())
    shell, python = (re.search(rf"```{kind}\n(.*?)```", DOCUMENTATION, re.DOTALL) for kind in ("bash", "python"))
    assert shell
    assert python
    with serving() as (address, _):
        curl = subprocess.run(
            shell[1].replace("http://127.0.0.1:8000", address).split(), capture_output=True, text=True
        )
        exec(compile(python[1].replace("http://127.0.0.1:8000", address), "docs/flask.md", "exec"), {})
    assert '"side":"left"' in curl.stdout, curl
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("[('right', ")
    assert printed[1].startswith("not graded: ")


@pytest.mark.parametrize("fork", [True, False])
def test_the_server_answers_at_the_address_that_it_prints_until_it_is_stopped(
    films: dict[str, Path], tmp_path: Path, fork: bool
):
    with serving(fork=fork, log=tmp_path / "log", anew=True) as (address, process):
        assert address.startswith("http://127.0.0.1:")
        assert requests.get(f"{address}/health/live", timeout=60).json() == {"status": "live"}
        ready(address)
        state = requests.get(f"{address}/health/ready", timeout=60).json()
        assert state["status"] == "ready"
        assert state["model"] == "kneeoa-cnn"
        with films["severe"].open("rb") as film:
            answer = requests.post(f"{address}/api/v1/grade", files={"film": film}, timeout=60)
        assert len(answer.json()["films"][0]["knees"]) == 1
        over = requests.post(
            f"{address}/api/v1/grade",
            data=bytes(140 * 2**20),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
            timeout=60,
        )
        assert over.status_code == 413
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text("utf-8").splitlines()]
    assert "answered" in {line["message"] for line in lines}
    assert not any("trace" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "variables", "status", "words"),
    [
        (["--port", "70000"], {}, 2, "'70000' is no port; give a whole number from 0 to 65535."),
        ([], {"KNEEOA_PORT": "70000"}, 2, "port 70000 does not exist"),
        ([], {"KNEEOA_PORT": "http"}, 2, "KNEEOA_PORT is 'http'"),
        (
            [],
            {"KNEEOA_API_KEY": "keys"},
            2,
            "did you mean KNEEOA_API_KEYS?",
        ),
        (["--threads", "-1"], {}, 2, "is no number of threads"),
        ([], {"KNEEOA_API_KEYS": "/nowhere"}, 2, "KNEEOA_API_KEYS: /nowhere can't be read"),
        ([], {"KNEEOA_RATE_LIMIT": "often"}, 2, "give a rate such as 60 per minute"),
        ([], {"KNEEOA_READER_DB": "bogus"}, 2, "KNEEOA_READER_DB can't be used"),
        (["--model", "./nowhere"], {}, 1, "nowhere"),
        (["--model", "kneeoa-cmm"], {}, 1, "kneeoa-cnn"),
        (["--host", "192.0.2.1"], {}, 1, "can't listen on 192.0.2.1"),
    ],
)
def test_a_failed_start_says_why(
    options: list[str], variables: dict[str, str], status: int, words: str, tmp_path: Path
):
    *found, reason = ended(*options, log=tmp_path / "log", **variables)
    assert found == [status, ""]
    assert words in reason
    assert "Traceback" not in reason


def test_on_loopback_it_answers_under_this_machine_s_names_alone():
    """To a browser, a foreign name that resolves to 127.0.0.1 (DNS rebinding) is the same site."""
    with serving() as (address, _):
        port = address.rpartition(":")[2]
        for name in ("localhost", "127.0.0.1", "[::1]"):
            assert requests.get(f"{address}/", headers={"Host": f"{name}:{port}"}, timeout=60).status_code == 200
        for name in (f"evil.example:{port}", "127.0.0.1.evil.example"):
            assert requests.get(f"{address}/", headers={"Host": name}, timeout=60).status_code == 400
    with serving(KNEEOA_TRUSTED_HOSTS="knees.hospital.example") as (address, _):
        assert requests.get(f"{address}/", headers={"Host": "knees.hospital.example"}, timeout=60).status_code == 200


def test_the_documented_command_of_gunicorn_logs_json_and_answers_under_the_names_that_it_is_given(tmp_path: Path):
    found = re.search(r"```\n(gunicorn .+?)```", DOCUMENTATION, re.DOTALL)
    assert found
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    program, *options = shlex.split(found[1].replace("\\\n", " "))
    with (tmp_path / "log").open("w") as log:
        environ = os.environ | {"KNEEOA_TRUSTED_HOSTS": "127.0.0.1"}
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / program), "--bind", address, *options], cwd=ROOT, env=environ, stderr=log
        )
        try:
            ready(f"http://{address}")
            assert requests.get(f"http://{address}/", timeout=60).status_code == 200
            assert requests.get(f"http://{address}/", headers={"Host": "evil.example"}, timeout=60).status_code == 400
        finally:
            process.terminate()
            assert process.wait(60) == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text("utf-8").splitlines()]
    assert {"flask_app.watch"} <= {line["logger"] for line in lines}


def test_a_port_in_use_is_an_error_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(command("--port", str(port)), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"can't listen on 127.0.0.1 port {port} (Address already in use); choose another" in done.stderr


def test_help_shows_examples():
    done = subprocess.run(command("--help"), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "python -m flask_app --port 8080" in done.stdout

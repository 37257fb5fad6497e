"""The image that hospitals build: its Dockerfile's steps by hand, and what they make as the user that it names."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from shutil import which

import pytest
import requests
import yaml

from flask_app.node.settings import NodeSettings
from kneeoa_hub.settings import Settings

from ..support.container import ROOT, Image, build, instructions
from ..support.flask_serving import ready, serving, workers
from ..support.ports import free_port
from ..support.waiting import until

BIN = Path(sys.executable).parent


def test_the_dockerfile_and_the_compose_file_have_no_lint():
    for command in (
        ["hadolint", "Dockerfile"],
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
    ):
        ended = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_locks_of_the_app_and_of_trainings_hold_the_versions_that_are_tested():
    pins = {
        name: {line.split()[0] for line in (ROOT / name).read_text("utf-8").splitlines() if "==" in line}
        for name in _LOCKS
    }
    assert pins["flask_app/requirements.lock"] <= pins["requirements.lock"]
    for_a_gpu = {pin for pin in pins["tuning/requirements.lock"] if not pin.startswith(("nvidia-", "jax-cuda"))}
    assert for_a_gpu <= pins["requirements.lock"]
    assert pins["tuning/requirements.lock"] - for_a_gpu
    for name in _LOCKS:
        text = (ROOT / name).read_text("utf-8")
        assert all("--hash=sha256:" in block for block in re.findall(r"^\S+==(?:.*\\\n)+.*", text, re.MULTILINE))
        assert "http" not in re.sub(r"httpcore\S*|httpx\S*|httptools\S*", "", text)


_LOCKS = ("requirements.lock", "flask_app/requirements.lock", "tuning/requirements.lock")


def test_compose_is_closed_by_default():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["kneeoa"]
    assert (service["read_only"], service["cap_drop"], service["security_opt"]) == (
        True,
        ["ALL"],
        ["no-new-privileges:true"],
    )
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    # where the read-only root can be written
    assert service["environment"]["HF_HOME"].startswith("${HF_HOME:-/var/lib/kneeoa/")
    assert service["environment"]["HF_HUB_OFFLINE"] == "${HF_HUB_OFFLINE:-0}"
    # the operator's file of keys, at the path in the app's settings
    keys = "".join(f"${{{name}:+/run/secrets/api_keys}}" for name in ("KNEEOA_API_KEYS", "API_KEY_FILE"))
    assert service["environment"]["KNEEOA_API_KEYS"] == keys
    assert service["secrets"] == ["api_keys"]
    assert ("USER", "10001:10001") in set(instructions())


def test_compose_passes_every_setting_of_the_host_that_is_not_its_own():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    library = {f"KNEEOA_{one.name.upper()}" for one in fields(Settings)}
    node = {f"KNEEOA_NODE_{one.name.upper()}" for one in fields(NodeSettings)}
    assert library - services["kneeoa"]["environment"].keys() == {"KNEEOA_HOST", "KNEEOA_PORT", "KNEEOA_DATA"}
    assert node - services["node"]["environment"].keys() == {"KNEEOA_NODE_PORT"}
    for name, given in (one for service in ("kneeoa", "node") for one in services[service]["environment"].items()):
        assert name == "KNEEOA_NODE_HOST" or f"${{{name}:" in given


def test_the_memory_limit_of_compose_is_enough_for_every_thread(films: dict[str, Path]):
    """The limit holds for a host with any number of cores."""
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["kneeoa"]
    threads = re.fullmatch(r"\$\{KNEEOA_THREADS:-(\d+)\}", service["environment"]["KNEEOA_THREADS"])
    assert threads
    film = films["mild"].read_bytes()
    with serving(KNEEOA_THREADS=threads[1]) as (address, process), ThreadPoolExecutor(40) as pool:
        ready(address)
        answers = [
            pool.submit(requests.post, f"{address}/api/v1/grade", files={"film": film}, timeout=120) for _ in range(40)
        ]
        answers += [pool.submit(requests.get, f"{address}/about", timeout=120) for _ in range(40)]
        assert {answer.result().status_code for answer in answers} <= {200, 503}
        held = sum(len(list(Path(f"/proc/{number}/task").iterdir())) for number in (process.pid, *workers(process)))
    assert 20 < held < service["pids_limit"] / 2


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's own, which other users can't enter
        Path(folder).chmod(0o755)
        yield build(Path(folder))


def as_its_user(image: Image) -> dict[str, object]:
    """Arguments with which subprocess runs as the image's user, where permissions allow it."""
    base = Path(sys.executable).resolve()
    reachable = all(folder.stat().st_mode & 0o001 for folder in [base, *base.parents])
    return {"user": image.user, "group": image.user, "extra_groups": []} if os.geteuid() == 0 and reachable else {}


@pytest.mark.slow
@pytest.mark.skipif(which("install") is None, reason="the image's base has coreutils, this machine has not")
def test_the_image_answers_as_its_user_writes_nothing_and_stops_cleanly(
    image: Image, films: dict[str, Path], tmp_path: Path
):
    port = str(free_port())
    # Loopback in place of every address: this is no container. The Hub is a port where nothing listens.
    env = image.env | {"KNEEOA_HOST": "127.0.0.1", "KNEEOA_PORT": port, "HF_ENDPOINT": "http://127.0.0.1:9"}
    env["PATH"] = image.env["PATH"].replace("$PATH", os.defpath)
    python = str(image.root / "opt/venv/bin/python")
    before = _files(image)
    kinds = {"cwd": image.workdir, "env": env, "text": True, **as_its_user(image)}

    def healthy() -> bool:
        return not subprocess.run([python, *image.healthcheck[1:]], capture_output=True, **kinds).returncode  # type: ignore[call-overload]

    assert not healthy()  # nothing listens yet
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen([python, *image.entrypoint[1:]], stdout=log, stderr=log, **kinds)  # type: ignore[call-overload]
    try:

        def answers() -> bool:
            assert server.poll() is None, (tmp_path / "log").read_text("utf-8")
            try:
                return requests.get(f"http://127.0.0.1:{port}/health/ready", timeout=10).status_code == 200
            except requests.RequestException:
                return False

        until(answers)
        assert healthy()
        with films["moderate"].open("rb") as film:
            answer = requests.post(f"http://127.0.0.1:{port}/api/v1/grade", files={"film": film}, timeout=60)
        assert len(answer.json()["films"][0]["knees"]) == 1
        for page in ("/", "/docs", "/openapi.json", "/about", "/api/v1/model", "/metrics", "/static/style.css"):
            assert requests.get(f"http://127.0.0.1:{port}{page}", timeout=60).status_code == 200, page
    finally:
        server.terminate()
        assert server.wait(60) == 0
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")
    assert _files(image) == before


def _files(image: Image) -> set[Path]:
    return {
        path
        for path in image.root.rglob("*")
        if "__pycache__" not in path.parts or image.root / "opt/kneeoa" in path.parents
    }

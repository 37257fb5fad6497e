"""The demo answers programs as the library answers its caller, stores nothing, and serves many visitors at once."""

import ast
import asyncio
import base64
import html
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import yaml
from PIL import Image

from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.manifest import write_manifest
from kneeoa_hub.settings import Settings
from spaces.demo.pinned import PIN

from ..support.bundles import changed
from ..support.space_films import BAD, FILES, bad_file, film_files
from ..support.space_serving import ROOT, served, serving, upload, visitor
from ..support.waiting import until

VISITORS = 20
QUEUING = 8
"""So many visitors come to a demo that grades one film while one waits."""
EXAMPLE_ADDRESS = "http://127.0.0.1:7860/"


@pytest.fixture(scope="module")
def url(grader):
    with serving(grader) as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    return visitor(url)


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory):
    return film_files(tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize("body", [b'{"data": [' + b"[]," * 60_000 + b"0]}", b" " * (Settings.max_bytes * 2)])
@pytest.mark.parametrize("path", ["call/grade", "queue/join"])
def test_a_request_that_would_take_a_machines_memory_is_rejected_while_it_arrives(url, path, body):
    request = Request(f"{url}gradio_api/{path}", body, {"Content-Type": "application/json"})
    with pytest.raises((HTTPError, ConnectionError, URLError)) as rejected:
        urlopen(request)
    assert getattr(rejected.value, "code", 413) == 413


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_film_is_graded_as_by_the_library(client, grader, every_kind, kind):
    from gradio_client import handle_file

    path = every_kind[kind]
    answer = client.predict(handle_file(path), api_name="/grade")
    assert answer == grader.grade(path).to_dict()
    assert bool(answer["refused"]) == (kind in ("colour photograph", "blank"))


def test_sixteen_bits_are_kept(client, tmp_path):
    """All detail lies in the lowest of 256 steps, so a film reduced to 8 bits on its way is blank."""
    from gradio_client import handle_file

    deep = knee_film(2, 16, bits=16).pixels
    Image.fromarray((deep // 256).astype(np.uint16)).save(tmp_path / "dark.png")
    assert client.predict(handle_file(tmp_path / "dark.png"), api_name="/grade")["refused"] is None


@pytest.mark.parametrize(("name", "says"), BAD.items())
def test_a_bad_file_is_an_error_that_says_what_it_is(client, tmp_path, name, says):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    path = tmp_path / name
    path.write_bytes(bad_file(name))
    with pytest.raises(AppError, match=says):
        client.predict(handle_file(path), api_name="/grade")


@pytest.mark.parametrize("sent", ["Mrs Smith.png", 5, {"a": 1}, []])
def test_an_input_that_is_not_a_file_is_an_error_that_says_so_and_is_not_logged(client, capfd, sent):
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match="Send the film as a file"):
        client.predict(sent, api_name="/grade")
    assert "Traceback" not in "".join(capfd.readouterr())


def test_the_model_is_named(client, grader):
    assert client.predict(api_name="/model") == {"model": grader.model, "revision": grader.revision}


def test_only_the_two_endpoints_are_for_programs(client):
    described = client.view_api(return_format="dict")
    assert set(described["named_endpoints"]) == {"/grade", "/model"}
    assert described["unnamed_endpoints"] == {}
    assert [value["parameter_name"] for value in described["named_endpoints"]["/grade"]["parameters"]] == ["film"]


def example(language: str, url: str) -> str:
    text = (ROOT / "docs" / "space.md").read_text("utf-8")
    (code,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert EXAMPLE_ADDRESS in code
    return code.replace(EXAMPLE_ADDRESS, url)


def test_the_python_example_runs(url, grader, films, tmp_path, monkeypatch, capsys):
    shutil.copy(films["both-knees"], tmp_path / "knee.png")
    monkeypatch.chdir(tmp_path)
    exec(example("python", url), {})
    said = capsys.readouterr().out
    assert str(grader.revision) in said
    assert [line.split()[0] for line in said.splitlines()[-2:]] == ["right", "left"]


def test_the_javascript_example_runs(url, films, tmp_path):
    from playwright._impl._driver import compute_driver_executable

    shutil.copy(films["both-knees"], tmp_path / "knee.png")
    (tmp_path / "example.mjs").write_text(example("javascript", url), "utf-8")
    node, _ = compute_driver_executable()
    done = subprocess.run([node, "example.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["right", "left"]


def test_an_assistant_can_grade_a_film(url, grader, films):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    film = "data:image/png;base64," + base64.b64encode(films["severe"].read_bytes()).decode()

    async def visit():
        async with (
            streamable_http_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            return tools, await session.call_tool(
                next(tool.name for tool in tools if tool.name.endswith("grade")), {"film": film}
            )

    tools, answer = asyncio.run(visit())
    assert len(tools) == 2
    assert all("Kellgren-Lawrence" in str(tool.description) or "revision" in str(tool.description) for tool in tools)
    assert not answer.isError
    assert ast.literal_eval(answer.content[0].model_dump()["text"]) == grader.grade(films["severe"]).to_dict()


def test_twenty_visitors_at_once_are_all_answered(url, grader, films):
    from gradio_client import handle_file

    paths = list(films.values())
    expected = {path: grader.grade(path).to_dict() for path in paths}

    def visit(number: int) -> bool:
        path = paths[number % len(paths)]
        return visitor(url).predict(handle_file(path), api_name="/grade") == expected[path]

    with ThreadPoolExecutor(VISITORS) as crowd:
        assert list(crowd.map(visit, range(VISITORS))) == [True] * VISITORS


def test_a_full_queue_rejects_visitors_with_a_message(grader, films, monkeypatch):
    from gradio_client import Client, handle_file

    from spaces.demo import page

    monkeypatch.setattr(page, "QUEUE", 1)
    expected = grader.grade(films["severe"]).to_dict()
    with served(page.build_demo(grader, 1)) as url:
        visitors = [visitor(url) for _ in range(QUEUING)]

        def visit(client: Client) -> object:
            try:
                return client.predict(handle_file(films["severe"]), api_name="/grade")
            except Exception as error:  # of gradio_client, whose kind differs
                return str(error)

        with ThreadPoolExecutor(QUEUING) as crowd:
            answers = list(crowd.map(visit, visitors))
        assert expected in answers
        away = [answer for answer in answers if answer != expected]
        assert away
        assert all("full" in str(answer).lower() for answer in away), away
        assert visit(visitors[0]) == expected


def test_nothing_is_recorded_and_nothing_is_sent_to_third_parties(url):
    config = json.loads(urlopen(f"{url}config").read())
    assert config["analytics_enabled"] is False
    assert config["run_history"] is False
    assert config["show_error"] is False
    assert "flag" not in json.dumps(config["dependencies"])
    with pytest.raises(HTTPError, match=r"40[34]"):
        urlopen(f"{url}monitoring/summary")


def test_an_upload_is_deleted_and_the_page_goes_on(grader, films, monkeypatch):
    from gradio_client import handle_file

    from spaces.demo import page

    monkeypatch.setattr(page, "DELETE_EVERY_S", 1)
    monkeypatch.setattr(page, "DELETE_AFTER_S", 1)
    with serving(grader) as url:
        (path,) = upload(url, films["mild"].read_bytes())
        assert Path(path).is_file()
        client = visitor(url)
        stored = {"path": path, "meta": {"_type": "gradio.FileData"}}
        assert client.predict(stored, api_name="/grade")["knees"]
        until(lambda: not Path(path).exists())
        assert client.predict(handle_file(films["mild"]), api_name="/grade")["knees"]


def test_a_film_over_the_limit_is_not_taken(films):
    """Nor are more films than a visitor may send, or a field that would fill the memory."""
    from spaces.demo import page

    film, field = (f'Content-Disposition: form-data; name="files"{name}\r\n\r\n' for name in ('; filename="a"', ""))
    with served(page.unavailable("none"), Settings(max_bytes=1000)) as url:
        for body in (
            film.encode() + films["mild"].read_bytes(),
            f"\r\n--x\r\n{film}".join(["", *["x" * 900] * 400]).encode()[7:],
            field.encode() + bytes(100_000),
        ):
            form = b"--x\r\n" + body + b"\r\n--x--\r\n"
            sent = Request(f"{url}gradio_api/upload", form, {"Content-Type": "multipart/form-data; boundary=x"})
            with pytest.raises(HTTPError) as refused:
                urlopen(sent)
            assert refused.value.code == 413


def test_films_that_come_together_are_unpacked_one_at_a_time(grader, films, monkeypatch):
    from spaces.demo import page

    grade_batch, unpacked = grader.grade_batch, []

    def one_at_a_time(paths):
        for path in paths:
            assert not any(report() for report in unpacked)
            (report,) = grade_batch([path])
            unpacked.append(weakref.ref(report))
            yield report
            del report

    monkeypatch.setattr(grader, "grade_batch", one_at_a_time)
    shown, reports = page.grade_films(grader, list(map(str, films.values())))
    assert [len(unpacked), len(reports["films"]), str(shown).count("<article")] == [len(films)] * 3


@pytest.mark.parametrize(
    ("settings", "says"), [(Settings(model="./no-such-bundle"), "no-such-bundle"), (Settings(model="a b c"), "a b c")]
)
def test_a_missing_model_gives_a_page_that_says_so(settings, says):
    from spaces.app import load_demo

    config = str(load_demo(settings).get_config_file())
    assert "The model is not available" in config
    assert says in config


def test_a_model_that_was_changed_gives_a_page_that_says_so(grader, tmp_path, monkeypatch):
    from spaces.app import demo_of

    folder = shutil.copytree(grader.bundle.folder, tmp_path / "bundle")
    with (folder / "model.onnx").open("r+b") as file:
        file.write(b"changed")
    (tmp_path / PIN).write_text(json.dumps({"model": "lab/kneeoa", "revision": "0" * 40}), "utf-8")
    monkeypatch.setenv("KNEEOA_MODEL", str(folder))  # it comes before the pin
    demo, settings = demo_of(tmp_path)
    with served(demo, settings) as url:
        page = urlopen(f"{url}config").read().decode()
    assert "The model is not available" in page
    assert "model.onnx differs from the manifest" in page


@pytest.mark.parametrize(("variable", "value"), [("KNEEOA_THREADS", "many"), ("KNEEOA_MAX_BYTES", "-1")])
def test_a_setting_that_can_t_be_read_gives_a_page_that_says_so(tmp_path, monkeypatch, variable, value):
    from spaces.app import demo_of

    monkeypatch.setenv(variable, value)
    demo, settings = demo_of(tmp_path)
    assert settings == Settings()
    config = html.unescape(str(demo.get_config_file()))
    assert "The model is not available" in config
    assert f"{variable} is '{value}'" in config


@pytest.mark.parametrize("content", ["{", "[]", '{"model": "lab/kneeoa"}', "null"])
def test_a_pin_that_can_t_be_read_gives_a_page_that_says_so(tmp_path, content):
    from spaces.app import demo_of

    (tmp_path / PIN).write_text(content, "utf-8")
    demo, _ = demo_of(tmp_path)
    assert "model.json does not name a model and its revision" in str(demo.get_config_file())


def test_deploying_does_not_wait_for_gradio():
    code = "import sys, spaces.deploy; print({'gradio', 'onnxruntime', 'tensorflow'} & set(sys.modules))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        == "set()"
    )


def test_the_header_is_valid_and_names_the_locked_gradio():
    header = yaml.safe_load((ROOT / "spaces" / "README.md").read_text("utf-8").split("---\n")[1])
    assert header["sdk_version"] == importlib.metadata.version("gradio")
    assert (ROOT / "spaces" / header["app_file"]).is_file()
    assert len(header["short_description"]) <= 60
    assert header["suggested_hardware"] == "cpu-basic"
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {header["colorFrom"], header["colorTo"]} <= colours


def test_films_of_two_patients_or_in_the_wrong_order_are_not_compared(grader, tmp_path):
    from spaces.demo.compare import compared

    from ..support.dicom_films import study

    headers = {
        "then": {"StudyDate": "20190101"},
        "now": {},
        "other patient": {"PatientID": "2"},
        "left": {"ImageLaterality": "L"},
        "no side": {"ImageLaterality": None},
    }
    for name, header in headers.items():
        (tmp_path / name).write_bytes(study(knee_film(2, 7, bits=16).pixels >> 4, **header))
    paths = {name: str(tmp_path / name) for name in headers}
    answers = dict(zip(headers, grader.grade_batch(paths.values()), strict=True))

    def page(then: str, now: str) -> str:
        return str(compared((paths[then], paths[now]), answers[then], answers[now]))

    assert "Change: Right knee" in page("then", "now")
    assert "message warning" not in page("then", "now")
    for then, now, reason in (
        ("then", "other patient", "two different patients"),
        ("now", "then", "Exchange the two films"),
        ("then", "left", "no knee in common"),
    ):
        assert reason in page(then, now)
        assert "Change:" not in page(then, now)
    assert "12345" not in page("then", "now")
    for then in ("no side", "then"):
        assert "does not name the side of its knee" in page(then, "no side")


def test_the_report_of_a_search_is_shown_with_its_pictures_also_where_members_joined_later(grader, tmp_path):
    from spaces.demo.about import search_record

    trials, kappa = ({"value": value, "low": value, "high": value, "n": 0} for value in (20, 0.7))
    search = {"tuner": "hyperband", "trials": trials, "best_val_qwk": kappa, "best_json_sha256": "0" * 64}
    choices = grader.bundle.config.members[0]["architecture"] | {"learning_rate": 2e-3 / 3}
    winner = {"name": "winner-0", "architecture": choices}
    folder = changed(grader.bundle.folder, tmp_path / "searched", evidence={"search": search}, members=[winner])
    (folder / "figures" / "search").mkdir()
    shutil.copyfile(folder / "figures" / "sets.png", folder / "figures" / "search" / "search.png")
    (folder / "search.md").write_text("# Search\n\n## Rungs\n\n![Choices](figures/search/search.png)\n", "utf-8")
    write_manifest(folder)
    (_, said), _, (_, choices), (_, heading), (_, picture), _ = search_record(read_bundle(folder))
    assert "tried 20 architectures" in said
    assert "0.000667" in choices
    assert "size, pixels" in choices
    assert heading.strip() == "## Rungs"
    assert "data:image/png" in picture
    joined = changed(folder, tmp_path / "joined", evidence={"search": {**search, "trials": {**trials, "value": 0}}})
    (_, said), *shown = search_record(read_bundle(joined))
    assert "A search had found members of that training" in said
    assert shown[-2] == ("html", picture)


def test_an_architecture_without_a_search_says_so_and_shows_its_choices(grader):
    from spaces.demo.about import search_record

    (_, said), *shown = search_record(grader.bundle)
    assert "chosen by name, not by a search" in said
    assert "lite0" in "".join(text for _, text in shown)

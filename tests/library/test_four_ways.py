"""Library, command line, Flask and Space give one answer for the same real films."""

import csv
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from kneeoa_hub.cli import main
from kneeoa_hub.settings import Settings

FILMS_EACH = 12


@pytest.fixture(scope="module")
def real_films(data, tmp_path_factory) -> list[Path]:
    """Real films of both sets, 16-bit ones among them; on the test machine's disk only."""
    folder = tmp_path_factory.mktemp("real")
    with (data / "gornale_labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    deep = [row["file"] for row in rows if row["mode"].startswith("I")][:10]
    plain = [row["file"] for row in rows if not row["mode"].startswith("I")][:: len(rows) // FILMS_EACH][:FILMS_EACH]
    paths = []
    with tarfile.open(data / "gornale_original_png.tar") as archive:
        for name in deep + plain:
            paths.append(folder / f"{len(paths)}.png")
            file = archive.extractfile(name)
            assert file
            paths[-1].write_bytes(file.read())
    with zipfile.ZipFile(data / "oai_val.zip") as archive:
        for name in [name for name in archive.namelist() if name.endswith(".jpg")][:: 800 // FILMS_EACH]:
            paths.append(folder / f"{len(paths)}.jpg")
            paths[-1].write_bytes(archive.read(name))
    assert len(deep) == 10
    assert len(paths) >= 30
    return paths


def answers(report: dict) -> list[float]:
    return [p for knee in report["knees"] for p in knee["probabilities"]]


def test_four_ways_in_give_the_same_probabilities(real_films, grader, capsys):
    from gradio_client import Client, handle_file

    from flask_app import create_app
    from spaces.app import build_demo

    library = [grader.grade(path).to_dict() for path in real_films]
    assert main(["grade", "--json", *map(str, real_films)]) == 0
    command = [json.loads(line)["report"] for line in capsys.readouterr().out.splitlines()]
    client = create_app(Settings(), grader).test_client()
    flask = []
    for start in range(0, len(real_films), 10):
        upload = {"film": [(io.BytesIO(path.read_bytes()), path.name) for path in real_films[start : start + 10]]}
        flask += client.post("/api/v1/grade", data=upload).get_json()["films"]
    demo = build_demo(grader)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        visitor = Client(url, verbose=False)
        space = [visitor.predict(handle_file(str(path)), api_name="/grade") for path in real_films]
    finally:
        demo.close()
    for way in (command, flask, space):
        assert len(way) == len(library)
        for mine, other in zip(library, way, strict=True):
            assert answers(other) == pytest.approx(answers(mine), abs=1e-6)
    assert sum(bool(answers(report)) for report in library) >= len(library) * 0.95

"""The same knee gets the same grade in any kind of file. Library, command line, Flask and Space give one answer."""

import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks.film_kinds import film_files
from benchmarks.inputs import CLOSE, CLOSE_LOSSY, real_films
from kneeoa_hub import FilmReport
from kneeoa_hub.cli import main
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.settings import Settings

KINDS = {
    ("PNG", "8-bit gray"),
    ("PNG", "16-bit gray"),
    ("PNG", "8-bit RGB"),
    ("PNG", "16-bit RGB"),
    ("PNG", "8-bit palette"),
    ("PNG", "16-bit gray and alpha"),
    ("JPEG", "8-bit, EXIF orientation 6"),
    ("TIFF", "16-bit, EXIF orientation 8"),
    ("TIFF", "16-bit gray and alpha"),
    ("BMP", "8-bit gray"),
    ("WebP", "8-bit RGB, lossless"),
    ("DICOM", "12-bit MONOCHROME1, Explicit VR Little Endian"),
    ("DICOM", "12-bit, JPEG 2000 Image Compression (Lossless Only)"),
    ("DICOM", "12-bit MONOCHROME1, JPEG 2000 Image Compression (Lossless Only)"),
    ("DICOM", "16-bit, JPEG-LS Lossless Image Compression"),
    ("DICOM", "12-bit, RLE Lossless"),
    ("DICOM", "12-bit with an overlay in the bits above, RLE Lossless"),
    ("DICOM", "12-bit in the upper bits of 16, Explicit VR Little Endian"),
    ("PNG", "12-bit gray above 20000"),
    ("DICOM", "12-bit above 8000 of 14 bits"),
    ("DICOM", "12-bit with a rescale intercept of -30000"),
    ("DICOM", "12-bit with a rescale intercept of 30000"),
    ("DICOM", "12-bit MONOCHROME1 with a marker of 65535"),
    ("DICOM", "12-bit MONOCHROME1 with pixel padding of 65535"),
}


@pytest.fixture(scope="module")
def knees(data, tmp_path_factory) -> list[list[Path]]:
    """The files of each knee, on the disk of the test machine only."""
    folder = tmp_path_factory.mktemp("parity")
    films = [knee_film(3, 5, bits=16).pixels, *map(small, islice(real_films(1), 0, None, 2))]
    return [
        [written(folder / f"{number}-{place}", file) for place, file in enumerate(chosen(film))]
        for number, film in enumerate(films)
    ]


@pytest.fixture(scope="module")
def reports(knees, grader) -> list[list[FilmReport]]:
    """The library's report of each of these files."""
    return [[grader.grade(path) for path in paths] for paths in knees]


def small(film: np.ndarray) -> np.ndarray:
    """Every n-th pixel of a film, so that no side is much over 500: large files take long to write and to read."""
    step = max(1, max(film.shape) // 500)
    return np.ascontiguousarray(film[::step, ::step])


def chosen(film: np.ndarray) -> list:
    files = [file for file in film_files(film) if (file.form, file.kind) in KINDS]
    assert len(files) == len(KINDS)
    return files


def written(path: Path, file) -> Path:
    path = path.with_suffix(".dcm" if file.form == "DICOM" else f".{file.form.lower()}")
    path.write_bytes(file.content)
    return path


@pytest.fixture(scope="module")
def of_both_sets(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Films as the two sets hold them, some of 16 bits; on the disk of the test machine only."""
    folder = tmp_path_factory.mktemp("real")
    with (data / "gornale_labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    deep, plain = ([row["file"] for row in rows if row["mode"].startswith("I") == is_deep] for is_deep in (True, False))
    paths = []
    with tarfile.open(data / "gornale_original_png.tar") as archive:
        for name in every(deep, 4) + every(plain, 5):
            file = archive.extractfile(name)
            assert file
            paths.append(folder / f"{len(paths)}.png")
            paths[-1].write_bytes(file.read())
    with zipfile.ZipFile(data / "oai_val.zip") as archive:
        for name in every([name for name in archive.namelist() if name.endswith(".jpg")], 5):
            paths.append(folder / f"{len(paths)}.jpg")
            paths[-1].write_bytes(archive.read(name))
    return paths


def every(names: Sequence[str], count: int) -> list[str]:
    """Return so many names, from all parts of a list."""
    return list(names[:: len(names) // count][:count])


@pytest.fixture(scope="module")
def ways(grader) -> Iterator[dict[str, Callable[[list[Path]], list[dict]]]]:
    """Flask and Space, as functions from films to their reports, as JSON."""
    from gradio_client import handle_file

    from flask_app import create_app
    from spaces.app import build_demo

    from ..support.space_serving import visitor

    client = create_app(Settings(), grader).test_client()
    demo = build_demo(grader)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    client_of_space = visitor(url)

    def flask(paths: list[Path]) -> list[dict]:
        upload = [(io.BytesIO(path.read_bytes()), path.name) for path in paths]
        return client.post("/api/v1/grade", data={"film": upload}).get_json()["films"]

    yield {
        "flask": flask,
        "space": lambda paths: [client_of_space.predict(handle_file(str(path)), api_name="/grade") for path in paths],
    }
    demo.close()


def test_the_same_knee_gets_the_same_answer_in_any_file(knees, reports):
    assert len(knees) == 3
    for paths, graded in zip(knees, reports, strict=True):
        (first,) = graded[0].knees
        for path, report in zip(paths, graded, strict=True):
            (knee,) = report.knees
            away = np.abs(np.subtract(knee.probabilities, first.probabilities)).max()
            assert knee.grade == first.grade, path.name
            assert away < (CLOSE_LOSSY if path.suffix == ".jpeg" else CLOSE), (path.name, away)


def test_four_ways_in_give_one_answer(knees, reports, of_both_sets, ways, grader, capsys):
    """Decoder and grader are the same. The films are one knee in every kind of file, and films of both sets."""
    films = [*knees[1], *of_both_sets]
    expected = [report.to_dict() for report in (*reports[1], *map(grader.grade, of_both_sets))]
    assert main(["grade", "--json", *map(str, films)]) == 0
    answers = {"command": [json.loads(line)["report"] for line in capsys.readouterr().out.splitlines()]}
    answers |= {name: way(films) for name, way in ways.items()}
    for name, others in answers.items():
        for film, mine, other in zip(films, expected, others, strict=True):
            assert [knee["grade"] for knee in other["knees"]] == [knee["grade"] for knee in mine["knees"]], (name, film)
            assert probabilities(other) == pytest.approx(probabilities(mine), abs=1e-6), (name, film.name)
    assert sum(bool(report["knees"]) for report in expected) >= 0.95 * len(films)


def probabilities(report: dict) -> list[float]:
    return [one for knee in report["knees"] for one in knee["probabilities"]]

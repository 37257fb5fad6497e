"""The same knee in any kind of file, by any of the four ways in: the same grade, and probabilities within a
hundredth.
"""

import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks.film_kinds import film_files
from benchmarks.inputs import CLOSE, CLOSE_LOSSY, real_films
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
def ways(grader) -> Iterator[dict[str, Callable[[list[Path]], list[dict]]]]:
    """From films to their reports, as JSON."""
    from gradio_client import Client, handle_file

    from flask_app import create_app
    from spaces.app import build_demo

    client = create_app(Settings(), grader).test_client()
    demo = build_demo(grader)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    visitor = Client(url, verbose=False)

    def flask(paths: list[Path]) -> list[dict]:
        return client.post(
            "/api/v1/grade", data={"film": [(io.BytesIO(path.read_bytes()), path.name) for path in paths]}
        ).get_json()["films"]

    yield {
        "library": lambda paths: [grader.grade(path).to_dict() for path in paths],
        "flask": flask,
        "space": lambda paths: [visitor.predict(handle_file(str(path)), api_name="/grade") for path in paths],
    }
    demo.close()


def test_the_same_knee_gets_the_same_answer_in_any_file_by_any_way(knees, ways, capsys):
    def command(paths: list[Path]) -> list[dict]:
        assert main(["grade", "--json", *map(str, paths)]) == 0
        return [json.loads(line)["report"] for line in capsys.readouterr().out.splitlines()]

    graded = 0
    for paths in knees:
        answers = {name: way(paths) for name, way in {**ways, "command": command}.items()}
        first = answers["library"][0]
        assert len(first["knees"]) == 1, first["refused"]
        for name, reports in answers.items():
            assert len(reports) == len(paths)
            for path, report in zip(paths, reports, strict=True):
                assert [knee["grade"] for knee in report["knees"]] == [first["knees"][0]["grade"]], (name, path.name)
                away = np.abs(
                    np.subtract(report["knees"][0]["probabilities"], first["knees"][0]["probabilities"])
                ).max()
                assert away < (CLOSE_LOSSY if path.suffix == ".jpeg" else CLOSE), (name, path.name, away)
                graded += 1
        for name, reports in answers.items():
            for mine, other in zip(answers["library"], reports, strict=True):
                assert other["knees"][0]["probabilities"] == pytest.approx(
                    mine["knees"][0]["probabilities"], abs=1e-6
                ), name
    assert graded == len(knees) * len(KINDS) * 4
    assert len(knees) == 3

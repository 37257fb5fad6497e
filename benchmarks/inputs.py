"""The page docs/inputs.md shows every kind of input, and what the grader does with it.

    python -m benchmarks.inputs --real 3 > docs/inputs.md

One phantom per grade and, with KNEEOA_DATA, real films of both collections are graded in every kind of file of
benchmarks.film_kinds, and must get the same grades as the film's own array. Then come files with faults and files that
show no knee. Nothing of a real film is kept. The exit code is 1 when one kind of file is read differently
from another, beyond what compression took.
"""

import argparse
import csv
import io
import json
import struct
import sys
import tarfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from kneeoa_hub import FilmReport, KneeGrader, KneeOAError, from_pretrained
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.imaging.compression import REFUSED_QUALITY, WARNED_QUALITY
from kneeoa_hub.imaging.phantom import knee_film, sample_films
from kneeoa_hub.settings import Settings

from .film_kinds import dicom, eight, film_files, picture
from .odd_films import answer as in_words
from .odd_films import odd_films

BEFORE = Path(__file__).with_name("odd_films_before.json")
"""This file says what commit bf51a5f, which did not read these kinds, made of the films of odd_films."""

CLOSE, CLOSE_LOSSY, FAR_LOSSY = 0.03, 0.05, 0.15
"""A probability may differ by these between kinds of file, some of which hold fewer bits; for files that lost a part of
the film; and for such a file that is read rightly."""
LOSSY = ("lossy", "Near-Lossless", "marker", "JPEG Baseline", "JPEG Extended")
"""Kinds that lost a part of the film have these words in their names."""


@dataclass
class Row:
    """A row says what came of one kind of file.

    Attributes:
        outcomes: Number of files by outcome.
        agreed: Number of films with the grades of the film's own array.
        compared: Number of films that were compared.
        away: Largest difference of a probability.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    agreed: int = 0
    compared: int = 0
    away: float = 0.0


def main() -> int:
    """Try every kind of input, and print the page; returns 1 when a film is read differently."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=int, default=3, help="real films of each collection and depth (default 3)")
    real = parser.parse_args().real
    grader = from_pretrained()
    drawn, given = [knee_film(grade, 7, bits=16).pixels for grade in range(5)], list(real_films(real))
    kinds: dict[tuple[str, str], Row] = defaultdict(Row)
    for film in (*drawn, *given):
        wanted = answer(grader, film)
        for file in film_files(film):
            enter(kinds[file.form, file.kind], answer(grader, file.content), wanted)
    others: dict[tuple[str, str], Row] = defaultdict(Row)
    for group, kind, content in (*faults(), *unsuitable()):
        enter(others[group, kind], answer(grader, content), None)
    print(page(grader, len(drawn), len(given), kinds, others))
    print(before_and_now(grader))
    return int(any(errors(row) or is_misread(*named, row) for named, row in kinds.items()))


def is_misread(form: str, kind: str, row: Row) -> bool:
    """Tell whether a kind of file is read differently, beyond what compression took: that may move a borderline film to
    the next grade.

    Args:
        form: The format.
        kind: The kind.
        row: What came of its files.
    """
    if is_lossy(form, kind):
        return row.away > FAR_LOSSY
    return row.agreed < row.compared or row.away > CLOSE


def is_lossy(form: str, kind: str) -> bool:
    """Tell whether files of a kind have lost a part of the film."""
    return form == "JPEG" or kind.endswith("JPEG 2000 Image Compression") or any(word in kind for word in LOSSY)


def close(form: str, kind: str) -> float:
    """Return the largest difference of a probability that a kind of file of this form may show."""
    return CLOSE_LOSSY if is_lossy(form, kind) else CLOSE


def answer(grader: KneeGrader, film: bytes | np.ndarray) -> FilmReport | KneeOAError:
    """Return the report of a film, or the error."""
    (report,) = grader.grade_batch([film])
    return report


def enter(row: Row, got: FilmReport | KneeOAError, wanted: FilmReport | KneeOAError | None) -> None:
    """Count an answer.

    Args:
        row: The row that counts it.
        got: The answer for a file.
        wanted: The answer for the film's own array; None where nothing is compared.
    """
    if isinstance(got, KneeOAError):
        row.outcomes[f"error `{got.code}`"] += 1
        return
    row.outcomes[
        f"refused `{got.refused.reason}`" if got.refused else "graded, warned" if got.warnings else "graded"
    ] += 1
    if isinstance(wanted, FilmReport) and (got.knees or wanted.knees):
        row.compared += 1
        row.agreed += [knee.grade for knee in got.knees] == [knee.grade for knee in wanted.knees]
        for mine, other in zip(got.knees, wanted.knees, strict=False):
            row.away = max(row.away, float(np.abs(np.subtract(mine.probabilities, other.probabilities)).max()))


def errors(row: Row) -> int:
    """Return the number of errors."""
    return sum(count for outcome, count in row.outcomes.items() if outcome.startswith("error"))


def real_films(count: int) -> Iterator[np.ndarray]:
    """Yield OAI films and Gornale films of 8 and of 16 bits, [H,W] uint16; none without KNEEOA_DATA."""
    data = Settings.from_environ().data
    if not data or not count:
        return
    with zipfile.ZipFile(Path(data) / "oai_val.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        contents = [archive.read(name) for name in names[:: len(names) // count][:count]]
    with (Path(data) / "gornale_labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["width"]) < 2 * int(row["height"])]
    with tarfile.open(Path(data) / "gornale_original_png.tar") as archive:
        for deep in (False, True):
            chosen = [row["file"] for row in rows if row["mode"].startswith("I") == deep]
            files = (archive.extractfile(name) for name in chosen[:: max(1, len(chosen) // count)][:count])
            contents += [file.read() for file in files if file]
    for content in contents:
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        if pixels.ndim == 3:
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))
        yield pixels.astype(np.uint16) * (257 if pixels.dtype == np.uint8 else 1)


def faults() -> Iterator[tuple[str, str, bytes]]:
    """Yield group, kind and content of files that can't be read as one film, or not as they are."""
    film = knee_film(2, 7, bits=16).pixels
    for form in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"):
        whole = picture(Image.fromarray(eight(film)), form)
        for kept in (0.1, 0.5, 0.9):
            yield "cut off", f"{form}, {kept:.0%} left", whole[: round(kept * len(whole))]
    for file in film_files(film):
        if file.form == "DICOM" and file.kind.startswith("12-bit,"):
            yield "cut off", f"DICOM {file.kind}, half left", file.content[: len(file.content) // 2]
    twelve = film >> 4
    yield (
        "several films",
        "TIFF of two pages",
        picture(Image.fromarray(film), "TIFF", save_all=True, append_images=[Image.fromarray(film)]),
    )
    yield (
        "several films",
        "animated WebP",
        picture(Image.fromarray(eight(film)), "WEBP", save_all=True, append_images=[Image.new("L", film.shape)]),
    )
    yield "several films", "DICOM of two frames", dicom(twelve, NumberOfFrames=2)
    yield "over a limit", "PNG of 50,000 x 50,000", _png_header(50_000, 50_000)
    yield "over a limit", "DICOM of 60,000 x 60,000", dicom(twelve, Rows=60_000, Columns=60_000)
    yield "over a limit", "127 pixels high", picture(np.zeros((127, 400), np.uint8), "PNG")
    yield "over a limit", "no bytes", b""
    yield "another format", "GIF", picture(Image.fromarray(eight(film)), "GIF")
    yield "another format", "PDF", b"%PDF-1.7\n" + bytes(2000)
    yield "another format", "text", b"Patient: none\n" * 40
    yield "DICOM header", "colour", dicom(eight(film), PhotometricInterpretation="RGB")
    yield "DICOM header", "window of no width", dicom(twelve, WindowCenter=2000, WindowWidth=0)
    yield "DICOM header", "window of -5200 to -4800", dicom(twelve, WindowCenter=-5000, WindowWidth=400)
    yield "DICOM header", "window of a CT, -160 to 240", dicom(twelve, WindowCenter=40, WindowWidth=400)
    yield (
        "DICOM header",
        "rescale slope of 1e300",
        dicom(twelve, RescaleSlope="1e300", RescaleIntercept=0, RescaleType="US"),
    )
    yield "DICOM header", "modality MR", dicom(twelve, Modality="MR")
    yield "DICOM header", "body part CHEST", dicom(twelve, BodyPartExamined="CHEST")
    yield "DICOM header", "view LATERAL", dicom(twelve, ViewPosition="LATERAL")
    yield "DICOM header", "side L", dicom(twelve, ImageLaterality="L")


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(100)))
    )


def unsuitable() -> Iterator[tuple[str, str, bytes]]:
    """Yield group, kind and content of films that can be read, but are hard or impossible to grade."""
    rng = np.random.default_rng(0)
    for name, film in sample_films().items():
        yield "synthetic sample", name, picture(film.pixels, "PNG")
    knees = [knee_film(grade, 7).pixels for grade in range(5)]
    for knee in knees:
        yield "exposure", "an eighth of the range, dark", picture((knee // 8).astype(np.uint8), "PNG")
        yield "exposure", "an eighth of the range, bright", picture((223 + knee // 8).astype(np.uint8), "PNG")
        yield "turned, not stated in the file", "90 degrees", picture(np.ascontiguousarray(np.rot90(knee)), "PNG")
        yield "turned, not stated in the file", "180 degrees", picture(np.ascontiguousarray(np.rot90(knee, 2)), "PNG")
        yield "inverted, not stated in the file", "inverted", picture(255 - knee, "PNG")
        yield "not a film", "noise", picture(rng.integers(0, 256, knee.shape, np.uint8), "PNG")
        yield "not a film", "blank", picture(np.full(knee.shape, rng.integers(256), np.uint8), "PNG")
    data = Settings.from_environ().data
    if data:
        with zipfile.ZipFile(Path(data) / "not_knee.zip") as archive:
            for name in archive.namelist():
                if not name.endswith(("/", ".csv", ".md", ".txt")):
                    yield "images that show no knee", Path(name).suffix[1:].lower(), archive.read(name)


Rows = dict[tuple[str, str], Row]
"""Rows are named by format or group, and kind."""


def _files(rows: Rows) -> int:
    return sum(sum(row.outcomes.values()) for row in rows.values())


def _introduction(grader: KneeGrader, drawn: int, given: int, kinds: Rows, others: Rows) -> list[str]:
    """Return the page down to the head of its first table."""
    return [
        "# Inputs that were tested",
        "",
        (
            f"`python -m benchmarks.inputs` made this page with {grader.model}, revision {grader.revision}. It used"
            f" {drawn} synthetic knees,"
        ),
        (
            f"one per grade, and {given} real films, each in {len(kinds)} kinds of file"
            f" ({_files(kinds)} files). It then tried"
        ),
        (f"{_files(others)} files with faults, or without a knee. It keeps nothing of a real film."),
        "",
        "## The same film in every kind of file",
        "",
        (
            "*Same grade* compares with the film's own array of 16 bits. *Difference* is the largest difference of a"
            " probability. A kind of"
        ),
        (
            f"8 bits holds less than the array, and may differ by {CLOSE}. A kind that is lossy or near-lossless, or"
            " holds a marker, has lost"
        ),
        f"a part of the film, and may differ by {CLOSE_LOSSY}.",
        "",
    ]


def page(grader: KneeGrader, drawn: int, given: int, kinds: Rows, others: Rows) -> str:
    """Return docs/inputs.md.

    Args:
        grader: The grader that was used.
        drawn: Number of phantoms.
        given: Number of real films.
        kinds: Results by format and kind of file.
        others: Results by group and kind of fault.
    """
    same = [
        (*named, row.outcomes.total(), listed(row.outcomes), f"{row.agreed} of {row.compared}", f"{row.away:.4f}")
        for named, row in kinds.items()
    ]
    faults = [(*named, row.outcomes.total(), listed(row.outcomes)) for named, row in others.items()]
    lines = [
        *_introduction(grader, drawn, given, kinds, others),
        markdown_table(("format", "kind", "films", "answer", "same grade", "difference"), same),
        "",
        beyond((*named, row.agreed, row.compared, row.away) for named, row in kinds.items()),
        "",
        "## Faults, and films that are hard or impossible to grade",
        "",
        markdown_table(("group", "kind", "files", "answer"), faults),
    ]
    return "\n".join(lines)


def beyond(rows: Iterable[tuple[str, str, int, int, float]]) -> str:
    """Return the sentence about the kinds of file whose answers differ by more than the limits, or in their grades.

    Args:
        rows: Format and kind, films with the same grades, films compared, and the largest difference.
    """
    found = [
        f"{form}, {kind}" for form, kind, same, of, away in rows if same < of or round(away, 4) > close(form, kind)
    ]
    if not found:
        return "No kind differs by more, and none changes a grade."
    return f"These kinds differ by more, or change a grade: {'; '.join(found)}."


def before_and_now(grader: KneeGrader) -> str:
    """Return the table of the films of odd_films, with what an earlier version made of each."""
    before = json.loads(BEFORE.read_text("utf-8"))
    rows = [(kind, before[kind], in_words(grader, content)) for kind, content in odd_films()]
    lines = [
        "",
        "## Films that were misread or refused",
        "",
        "Each file holds the same synthetic knee, which is graded KL 3. *Before* is what the last version made of it",
        "that did not read these kinds.",
        "",
        markdown_table(("file", "before", "now"), rows),
        "",
        f"A film that lost much by compression gets a warning below quality {WARNED_QUALITY:g} of libjpeg's scale,",
        f"and is refused below {REFUSED_QUALITY:g}. `python -m benchmarks.compression` measures where grades slide.",
        "JPEG and WebP tell their quality by their quantisation, JPEG-LS by its largest error, and JPEG 2000 by the",
        "bits that it spends on a pixel: each counts as the quality of a JPEG that loses as much. Plain borders and",
        "air do not count. A joint of more pixels keeps more of its detail, so the limits are lower for it. What a",
        "film lost before it was saved in this file is known only where a DICOM header gives the ratio (Lossy Image",
        "Compression); such a film may be warned of, but is not refused.",
        "Send the original where there is one.",
    ]
    return "\n".join(lines)


def listed(outcomes: Counter[str]) -> str:
    """Return the outcomes with their numbers, the most frequent first."""
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())


if __name__ == "__main__":
    sys.exit(main())

"""Step 1: decode every film, find copies, and make splits such that no patient, copy or knee is in two of them.

    python -m tuning audit --data site=films.csv --out runs/audit

Writes films.csv (one row per film), audit.json (counts and known faults of the data) and report.md.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.errors import DataError, FilmError
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.film import Film, Limits
from kneeoa_hub.imaging.locate import find_knees

from .data import shortcuts
from .data.duplicates import detail, near_pairs, pixel_hash, shifted_pairs, thumbnail
from .data.exposure import brightness, inverted, polarity_thumbnail
from .data.groups import grouped
from .data.joints import open_locator, with_joints
from .data.report import report
from .data.sources import FilmReader, Labelled, content_of, read_labels
from .data.splits import split
from .data.summary import SUMMARY, Findings, Unreadable, summarise
from .data.table import SEVERAL_KNEES, USABLE, AuditedFilm, write_films
from .run import steps


def audit(data: Sequence[str], out: Path, seed: int = 0, locator: str = "") -> Path:
    """Write films.csv, audit.json and report.md to `out`, and return it.

    A film that can't be read is reported and left out.

    Args:
        data: Folders, archives or CSV files of labelled films, as PATH or NAME=PATH.
        out: A new folder, or one in which the same audit was stopped.
        seed: Seed of the splits.
        locator: Address of a bundle, or output folder of the step `locator`, by which the joint of each film is found.
            "" takes every film for a crop with its joint in the middle.

    Raises:
        DataError: The data have no usable labels, or no film can be read.
    """
    labels = read_labels(data)
    steps.begin(out, "audit", "", _settings(data, seed, locator), content_of(labels))
    if (out / SUMMARY).exists():
        return out
    decoded, unreadable = _decode_all(labels)
    if not decoded:
        raise DataError(f"None of {len(labels)} films could be read; the first: {unreadable[0].error}")
    copies = near_pairs(np.stack([one.thumbnail for one in decoded]))
    shifted = shifted_pairs(np.stack([one.detail for one in decoded]))
    given = grouped(_with_polarity(decoded), copies, shifted)
    if locator:
        given = with_joints(given, open_locator(locator))
    films = split(given, seed)
    findings = Findings(
        copies,
        shifted,
        probes=[one.probes for one in decoded],
        unreadable=unreadable,
    )
    summary = summarise(films, given, findings)
    write_films(out / "films.csv", films)
    (out / "report.md").write_text(report(summary), "utf-8")
    steps.write_json(out / SUMMARY, summary)
    return out


def _settings(data: Sequence[str], seed: int, locator: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"data": [str(item) for item in data], "seed": seed}
    return {**settings, "locator": locator} if locator else settings  # an audit of an earlier release goes on


@dataclass(frozen=True)
class Decoded:
    """A film that could be read has a row of the table, and what the audit derives from its pixels and its file.

    Attributes:
        film: Its row of films.csv, without groups and polarity; its split is the one that was given, or "".
        thumbnail: See `duplicates.thumbnail`.
        detail: See `duplicates.detail`.
        polarity: See `exposure.polarity_thumbnail`.
        probes: See `shortcuts.probes`.
    """

    film: AuditedFilm
    thumbnail: np.ndarray
    detail: np.ndarray
    polarity: np.ndarray
    probes: tuple[shortcuts.Features, ...]


def _decode_all(labels: Sequence[Labelled]) -> tuple[list[Decoded], list[Unreadable]]:
    decoded, unreadable = [], []
    with FilmReader() as reader:
        for label in steps.progress(labels, "audit: decoding"):
            try:
                content = reader.read(label.source, label.file)
                film = decode(content, Limits())
            except (FilmError, DataError) as error:
                unreadable.append(Unreadable(label.file, error.message))
                continue
            decoded.append(
                Decoded(
                    _row(label, content, film),
                    thumbnail(film.pixels),
                    detail(film.pixels),
                    polarity_thumbnail(film.pixels),
                    shortcuts.probes(content, film.pixels),
                )
            )
    return decoded, unreadable


def _row(label: Labelled, content: bytes, film: Film) -> AuditedFilm:
    knees = len(find_knees(film.pixels))
    return AuditedFilm(
        dataset=label.dataset,
        source=label.source,
        file=label.file,
        grade=label.grade,
        group=f"{label.dataset}:{label.group}" if label.group else "",
        side=label.side or "",
        split=label.split or "",
        sha256=hashlib.sha256(content).hexdigest(),
        pixel_sha256=pixel_hash(film.pixels),
        width=film.width,
        height=film.height,
        knees=knees,
        inverted=0,
        use=USABLE if knees == 1 else SEVERAL_KNEES,
        brightness=round(brightness(film.pixels), 6),
    )


def _with_polarity(decoded: Sequence[Decoded]) -> list[AuditedFilm]:
    """Return the films, and mark those that look like negatives of the other single knees of their dataset."""
    films = [one.film for one in decoded]
    for dataset in sorted({film.dataset for film in films}):
        rows = [row for row, film in enumerate(films) if film.dataset == dataset and film.knees == 1]
        if rows:
            for row in np.array(rows)[inverted(np.stack([decoded[row].polarity for row in rows]))]:
                films[row] = replace(films[row], inverted=1)
    return films

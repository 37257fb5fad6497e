"""Networks of one collection grade another one's films, with one cause of the difference taken away at a time.

    python -m tuning train --data runs/audit --datasets oai --architecture folded@128 --epochs 5 --batch 32 \\
        --mixup 0.3 --occlusion 0.4 --out runs/folded
    python -m tuning train ... --variants 4 --out runs/folded-changed
    python -m tuning train ... --architecture folded-lite0@128 --out runs/lite0
    python -m tuning train ... --architecture folded-lite0@128 --variants 4 --out runs/lite0-changed

    python -m tuning search --data runs/audit --space full --tuner random --trials 1 --epochs 1 --no-named \\
        --films 200 --only crop=fit --only reach=1.0 --only backbone= --only size=128 --only view=whole \\
        --only fold=True --only stem=conv5 --only block=residual --only widths=32-64-128-192 --only blocks=1 \\
        --only dense= --only normalisation=True --only pooling=average --only dropout=0.2 --only loss=soft_ordinal \\
        --only learning_rate=0.002 --only augmentation=0.7 --only weight_decay=0.01 --workers 0 --out runs/whole-search
    python -m tuning train --data runs/whole-search --architecture 0 --datasets oai --epochs 5 --batch 32 \\
        --mixup 0.3 --occlusion 0.4 --out runs/whole

    python -m benchmarks.causes --trained "from nothing=runs/folded" --trained "ImageNet=runs/lite0" ... \\
        --out docs/evidence/causes

The search is of one trial: it writes down the network `folded` for whole films. The trainings differ in the network
with its first weights, and in what films it sees. Each is measured on validation films of its own collection, and on
those of every other one: as they are; with the mean texture (radial amplitude spectrum) of its own collection's films;
with their mean histogram of grays; and with the texture, then the grays. A treatment also takes away how films of one
collection differ. Its films are treated towards their own mean too, which says what that costs alone. Only what the
film shows of a frame counts and is treated. The AUC says whether films are in order. The QWK "by rank" gives the grades
in the proportions of the readers, so that only the order counts, and not where a reader draws the limits between
grades. No test film is used. Writes causes.json and causes.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import Estimate
from kneeoa_hub.grades import NUM_GRADES
from tuning.run import console, steps

if TYPE_CHECKING:
    from tuning.data.datasets import Knees

LEVELS = np.linspace(0, 1, 256)
"""Histograms are compared at 256 quantiles."""
RINGS = 128
"""A ring of a spectrum is a frequency to 1/128 of a period a pixel."""
LAST = round(RINGS / 2**0.5)
"""The last ring lies where the spectrum of a film has its corners."""


@dataclass(frozen=True)
class Kappa:
    """The quadratic weighted kappa alone."""

    qwk: Estimate


@dataclass(frozen=True)
class Row(Kappa):
    """A row is what one network reaches on films of one collection.

    Attributes:
        trained: Name of the training.
        films: Name of the collection.
        matched: What the films have in common with the mean of those that the network learnt from.
        qwk_by_rank: Kappa of grades in the proportions of the readers, by the order of the mean grade.
        auc_oa: AUC for KL 2 or more.
        qwk_change: Kappa minus that of the same films as they are; absent in figures up to 0.14.0.
    """

    trained: str
    films: str
    matched: str
    qwk_by_rank: Estimate
    auc_oa: Estimate
    qwk_change: Estimate | None = None


def shown(knees: Knees) -> list[np.ndarray]:
    """Return what the film shows of each frame [h,w], without what lies beyond it."""
    boxes = knees.contents.tolist()
    return [film[top:bottom, left:right] for film, (left, top, right, bottom) in zip(knees.pixels, boxes, strict=True)]


def quantiles(films: Iterable[np.ndarray]) -> np.ndarray:
    """Return the mean [256] of the quantiles of films [h,w]."""
    return np.mean([np.quantile(film, LEVELS) for film in films], axis=0)


def with_grays(film: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return a film [H,W] whose grays have the quantiles [256] of the target; their order stays."""
    film = film.astype(float)
    own = np.quantile(film, LEVELS)
    upper = np.interp(film, own, LEVELS)
    lower = 1 - np.interp(-film, -own[::-1], LEVELS)  # where many pixels have one gray, they get its middle rank
    return np.interp((lower + upper) / 2, LEVELS, target)


def _rings(shape: tuple[int, ...]) -> np.ndarray:
    """Return the ring [h,w] of each frequency of a film of this shape: its distance from zero."""
    down, across = (np.fft.fftfreq(length, 1 / RINGS) for length in shape)
    return np.rint(np.hypot(down[:, None], across)).astype(int)


def amplitudes(film: np.ndarray) -> np.ndarray:
    """Return the mean amplitude of each ring of a film's spectrum, whatever the film's size.

    A ring without a frequency of this film takes what the rings beside it have.
    """
    rings = _rings(film.shape).ravel()
    counts = np.bincount(rings, minlength=LAST + 1)
    sums = np.bincount(rings, np.abs(np.fft.fft2(film)).ravel() / film.size**0.5, minlength=LAST + 1)
    (known,) = np.nonzero(counts)
    return np.interp(np.arange(LAST + 1), known, sums[known] / counts[known])


def with_texture(film: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return a film [h,w] whose spectrum has the mean amplitudes of the target; its mean gray and its phases stay."""
    gain = target / np.maximum(amplitudes(film), 1e-6)
    gain[0] = 1
    return np.clip(np.fft.ifft2(np.fft.fft2(film) * gain[_rings(film.shape)]).real, 0, 255)


def treated(knees: Knees, own: Knees) -> Iterator[tuple[str, Knees]]:
    """Yield the knees as they are, and framed ones with the mean texture or grays of a network's own collection.

    Args:
        knees: Knees of another collection, or `own` as the control.
        own: Knees of the network's own.
    """
    yield "as they are", knees
    if not knees.framed:  # whole films show the joint at another scale, which is no texture
        return
    grays = quantiles(shown(own))
    texture = np.mean([amplitudes(film) for film in shown(own)], axis=0)
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "texture": lambda film: with_texture(film, texture),
        "grays": lambda film: with_grays(film, grays),
        "texture, then grays": lambda film: with_grays(with_texture(film, texture), grays),
    }
    for name, way in ways.items():
        changed = replace(knees, pixels=np.array(knees.pixels))
        for film in shown(changed):
            film[:] = np.rint(way(film))
        yield name, changed


def in_proportion(severity: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return grades [N] in the order of a severity [N], as many of each grade as the readers gave."""
    grades = np.empty(len(truth), int)
    grades[np.argsort(severity, kind="stable")] = np.sort(truth)
    return grades


def measured(trained: str, training: Path) -> Iterator[Row]:
    """Measure one network on the validation films of every collection of its audit.

    Args:
        trained: The name of the training.
        training: Its folder.

    Raises:
        DataError: It was trained on no collection alone.
    """
    from tuning.data.datasets import load_knees
    from tuning.evaluation.outputs import predict
    from tuning.training.members import load_ensemble

    ensemble = load_ensemble(training)
    knees = load_knees(ensemble.audit, "val", ensemble.config)
    if len(names := ensemble.record.datasets) != 1 or set(names) == set(knees.datasets):
        raise DataError(f"{training} was not trained on one collection of several; train with --datasets NAME.")
    own = knees.of_datasets(names)
    for name in (*names, *sorted(set(knees.datasets) - set(names))):
        untreated = None
        for matched, films in treated(knees.of_datasets([name]), own):
            probabilities = predict(ensemble.model, films, f"{trained}: {matched}").probabilities
            untreated = probabilities.argmax(1) if untreated is None else untreated
            yield _row(trained, matched, films, probabilities, untreated)


def _row(trained: str, matched: str, knees: Knees, probabilities: np.ndarray, untreated: np.ndarray) -> Row:
    from tuning.evaluation.metrics import Predictions, measure
    from tuning.run.estimates import bootstrapped

    truth, nothing = knees.grades, np.zeros(len(knees), int)
    likeliest, by_rank = probabilities.argmax(1), in_proportion(probabilities @ np.arange(NUM_GRADES), truth)
    ranked, reported = (
        Predictions(truth, grade, probabilities, nothing, nothing, knees.groups) for grade in (by_rank, likeliest)
    )
    names = {"trained": trained, "films": knees.datasets[0].item(), "matched": matched}
    change = bootstrapped(
        lambda rows: qwk(truth[rows], likeliest[rows]) - qwk(truth[rows], untreated[rows]),
        resamples(knees.groups),
        len(truth),
    )
    return measure(Row, reported, **names, qwk_by_rank=measure(Kappa, ranked).qwk, qwk_change=change)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    headings = ("trained", "films", "matched", "knees", "QWK, likeliest grade", "QWK by rank", "AUC, KL >= 2")
    lines = [(row.trained, row.films, row.matched, row.qwk.n, row.qwk, row.qwk_by_rank, row.auc_oa) for row in rows]
    if any(row.qwk_change for row in rows):
        headings, lines = (
            (*headings, "change of QWK"),
            [(*line, row.qwk_change) for line, row in zip(lines, rows, strict=True)],
        )
    return markdown_table(headings, lines) + "\n"


def named_folder(text: str) -> tuple[str, Path]:
    """Return NAME=DIR as its two parts. Raises ArgumentTypeError where one is missing."""
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR; give a name and the folder of a training.")
    return name, Path(folder)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trained = "a name and the output folder of `python -m tuning train`; may be repeated"
    parser.add_argument(
        "--trained", type=named_folder, action="append", required=True, metavar="NAME=DIR", help=trained
    )
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    console.prepare()
    rows = [row for name, folder in given.trained for row in measured(name, folder)]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "causes.json").write_text(steps.as_json(rows), "utf-8")
    (given.out / "causes.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()

"""Outside the loop: train the locator, a small network that finds the joints in whole-leg and bilateral films.

    python -m tuning locator --data runs/audit --out runs/locator

Trains on films composed from training knees, and measures on real strips and crops and on films composed from
validation knees. Writes locator.onnx and locator.json. It needs only the audit; `export --locator` puts it into a
bundle.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from kneeoa_hub.bundle import LOCATOR, InputConfig, LocatorConfig, read_bundle
from kneeoa_hub.errors import DataError
from kneeoa_hub.evidence import FindingEvidence, Grader
from kneeoa_hub.files import replacing
from kneeoa_hub.imaging.locate import TWO_KNEES_FROM, Joint, Locator
from kneeoa_hub.opening import from_pretrained

from .data.datasets import bright_bone, usable_films
from .data.joints import RESULT, read_result
from .data.sources import FilmReader
from .data.table import AuditedFilm, read_films
from .evaluation import refusal_metrics
from .evaluation.composed_metrics import measure_composed
from .evaluation.locator_metrics import measure_real
from .networks.locator_net import build, loss, write_onnx
from .run import steps
from .synthetic.compose import TRAINING, Knee, compose
from .synthetic.locator_examples import Examples, is_crop, load_examples, make_examples, read_knees, varied_batch
from .training import short

LARGEST_MEGABYTES = 2.0
THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
"""A peak may count as a joint from one of these heats on."""
CHOOSING = 15
"""The threshold is chosen on composed validation films, one for every 15 composed training films."""
FIRST_CHOOSING_SEED = 10**9
"""The first of these has this seed, which is beyond those of the training films."""
COMPOSED = "examples.npz"
"""Examples are kept until the step has ended, so that a run that was stopped need not compose them again."""


@dataclass(frozen=True)
class LocatorSettings(short.ShortTraining):
    """These are the options of the locator's training.

    Attributes:
        films: Films composed for training; crops and phantoms are added, see `locator_examples`.
        side: Pixels per side of the input.
        test_films: Films composed to measure on.
        made_films: Synthetic films of each kind that is to be refused or put right, to measure on.
        grader: Address of the bundle that grades what was found; None is the shipped one.
    """

    epochs: int = 12
    batch: int = 32
    learning_rate: float = 2e-3
    seed: int = 0
    films: int = 4500
    side: int = 192
    test_films: int = 1500
    made_films: int = 200
    grader: str | None = None


def locator(audit: Path, out: Path, settings: LocatorSettings = LocatorSettings()) -> Path:
    """Train, choose the threshold, measure, and write locator.onnx and locator.json to `out`; returns it.

    Args:
        audit: Output folder of the audit.
        out: A new folder, or one in which the same step was stopped.
        settings: The options of the training.

    Raises:
        DataError: The audit has no crops of single knees to compose films from.
    """
    audit = steps.find_input(audit, "audit")
    steps.begin(out, "locator", str(audit), asdict(settings))
    if (out / RESULT).exists():
        return out
    films = read_films(audit)
    crops = {split: single_knees(audit, films, split) for split in ("train", "val")}
    config = InputConfig(settings.side, settings.side)
    if not (out / LOCATOR).exists():
        _train(crops["train"], out, config, settings)
    size = (out / LOCATOR).stat().st_size / 1e6
    if size > LARGEST_MEGABYTES:
        raise DataError(f"{out / LOCATOR} has {size:.1f} MB; at most {LARGEST_MEGABYTES} are allowed.")
    knees = read_knees(crops["val"])
    strips = [film for film in films if film.split == "val" and film.width >= TWO_KNEES_FROM * film.height]
    chosen = LocatorConfig(config, choose_threshold(out / LOCATOR, knees, strips, config, settings.films))
    network, grader = Locator(out / LOCATOR, chosen), from_pretrained(settings.grader)
    finding = FindingEvidence(
        **measure_real(network, grader, films),
        **measure_composed(network, grader, knees, crops["val"], settings.test_films, settings.seed),
        **refusal_metrics.measure(grader, usable_films(audit, "val"), settings.made_films),
        grader=Grader(name=grader.model, revision=grader.revision),
    )
    steps.write_json(out / RESULT, {"locator": asdict(chosen), "megabytes": size, "finding": finding})
    (out / COMPOSED).unlink(missing_ok=True)
    return out


@dataclass(frozen=True)
class LocatorPart:
    """A bundle takes a locator in this form.

    Attributes:
        graph: Its locator.onnx.
        config: Its input and threshold.
        evidence: Its measures.
    """

    graph: Path
    config: LocatorConfig
    evidence: FindingEvidence


def locator_part(folder: Path) -> LocatorPart:
    """Return the locator of the step's output folder, or of a bundle. Raises DataError when neither has one."""
    if (folder / "bundle.json").is_file():
        bundle = read_bundle(folder)
        evidence = bundle.evidence.finding
        if not bundle.config.locator or not evidence:
            raise DataError(
                f"{folder} is a bundle without a locator and its figures; give the --out of `python -m tuning locator`."
            )
        return LocatorPart(folder / LOCATOR, bundle.config.locator, evidence)
    folder = steps.find_input(folder, "locator")
    result = read_result(folder)
    return LocatorPart(folder / LOCATOR, result.locator, result.finding)


def train(examples: Examples, config: InputConfig, settings: LocatorSettings) -> keras.Model:
    """Return the network after `settings.epochs` over the examples, which are changed at random every time.

    Args:
        examples: Films with their joints.
        config: The size of the network's input.
        settings: Epochs, batch, learning rate and seed.
    """
    return short.train(
        lambda: build(config),
        loss,
        settings,
        len(examples),
        lambda rows, rng: varied_batch(examples, rows, config, rng),
        "locator: training",
    )


def choose_threshold(
    graph: Path, knees: Sequence[Knee], strips: Sequence[AuditedFilm], config: InputConfig, films: int
) -> float:
    """Return the heat from which a peak counts as a joint: the one that counts joints best on validation films.

    Films composed in the training's style from validation knees, and real strips, have half of the weight each.

    Args:
        graph: locator.onnx.
        knees: Validation knees.
        strips: Validation strips.
        config: The locator's input.
        films: Number of composed training films.
    """
    lowest = Locator(graph, LocatorConfig(config, THRESHOLDS[0]))
    seeds = range(FIRST_CHOOSING_SEED, FIRST_CHOOSING_SEED + max(1, films // CHOOSING))
    composed = [compose(knees, TRAINING, seed) for seed in seeds]
    right = [_counted_right([(lowest.joints(film.pixels), len(film.joints)) for film in composed])]
    if strips:
        with FilmReader() as reader:
            found = [lowest.joints(bright_bone(reader, film)) for film in strips]
        right.append(_counted_right([(joints, film.knees) for joints, film in zip(found, strips, strict=True)]))
    mean = np.mean(right, axis=0)
    best = np.flatnonzero(mean == mean.max())
    return THRESHOLDS[best[len(best) // 2]]


def single_knees(audit: Path, films: Sequence[AuditedFilm], split: str) -> list[AuditedFilm]:
    """Return the usable crops of a split. Raises DataError when there is none.

    Args:
        audit: Output folder of the audit, for the error.
        films: All films of the audit.
        split: Name of the split.
    """
    crops = [film for film in films if film.split == split and film.usable and is_crop(film)]
    if not crops:
        raise DataError(
            f"{audit} has no film of one tight joint in the split {split!r}; give such films, from which the locator's"
            " films are composed."
        )
    return crops


def _train(films: Sequence[AuditedFilm], out: Path, config: InputConfig, settings: LocatorSettings) -> None:
    """Write locator.onnx; what a stopped run has composed is used again."""
    composed = out / COMPOSED
    if not composed.exists():
        make_examples(read_knees(films), config, settings.films, settings.seed).save(composed)
    model = train(load_examples(composed), config, settings)
    with replacing(out / LOCATOR) as part:
        write_onnx(model, part)


def _counted_right(films: Sequence[tuple[Sequence[Joint], int]]) -> list[float]:
    """Return, by each of THRESHOLDS, the proportion of the films with as many joints above it as there are."""
    return [
        float(np.mean([sum(joint.score >= value for joint in found) == true for found, true in films]))
        for value in THRESHOLDS
    ]

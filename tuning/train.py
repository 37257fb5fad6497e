"""Step 3: train the best architecture of the search, or several architectures, on all training films.

    python -m tuning train --data runs/search --out runs/train --epochs 60 --seeds 0,1

Writes the weights and the history of each member, and train.json. A training that was killed goes on where it stopped.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.evidence import TrainedMember, TrainingEvidence
from kneeoa_hub.hub.pull_push import pull
from kneeoa_hub.manifest import sha256_of

from .data.datasets import check_datasets, check_grades, load_knees
from .data.table import read_films
from .data.variants import load_variants
from .run import steps
from .run.folder import only_run
from .searching.page import copy_pages
from .training import distillation
from .training.checkpoint import kept_kappa, read_history
from .training.found_by import FOLDER as SEARCHES
from .training.found_by import REPORT
from .training.joining import SEEN, JoiningMember, earlier_test_evaluations, joining_members, training_films
from .training.member import TrainingFilms, train_member
from .training.members import RECORD
from .training.plan import NONE, PlannedMember, TrainSettings, check_names, plan, search_hash
from .training.starting import Start, start_from


def train(source: Path, out: Path, settings: TrainSettings = TrainSettings()) -> Path:
    """Write member-NAME.weights.h5 and its history for each member, and train.json, to `out`, and return it.

    Args:
        source: Output folder of a search, or of an audit when every architecture is one of search_space.NAMED.
        out: A new folder, or one in which the same training was stopped.
        settings: The options of the training.

    Raises:
        SettingsError: An architecture, a seed or a member does not exist, or two members have one name.
        DataError: A dataset has no film, the films have one grade, or a member may not join.
    """
    if not (settings.new or settings.joined or settings.start):
        raise SettingsError(
            f"--architecture {NONE} trains nothing; give the members that make the ensemble with --join, or name an"
            " architecture."
        )
    audit = steps.find_input(source, "audit")
    finished = (out / RECORD).exists()
    start = start_from(settings.start, settings.members, audit) if settings.start and not finished else None
    planned = start.planned(settings) if start else plan(source, settings)
    best_json_sha256 = search_hash(source, settings)
    joining = [] if finished else joining_members(settings.joined, () if start else settings.members, audit)
    check_names([member.name for member in joining], planned)
    known = {film.dataset for film in read_films(audit) if film.trains}
    check_datasets(settings.datasets, known)
    steps.begin(out, "train", str(source), _as_json(settings))
    if finished:
        return out
    teachers = dict.fromkeys(member.teacher for member in planned if member.teacher)
    targets = {
        teacher: distillation.targets(audit, teacher, settings.datasets, settings.taught) for teacher in teachers
    }
    protocols = _protocols(audit, settings, joining)
    for member in joining:
        member.write(out)
    for report in dict.fromkeys(report for member in joining for report in member.reports):
        copy_pages([report], out / SEARCHES / sha256_of(report)[:16] / REPORT)
    if start:
        start.write(planned, protocols, out)
    with only_run(out):
        records = [
            (member, _train(member, audit, targets.get(member.teacher), protocols, settings, out)) for member in planned
        ]
    trained = [record for member, record in records if member.joins]  # the others are stages on the way to a member
    films = training_films(audit, settings.datasets)
    record = TrainingEvidence(
        best_json_sha256=best_json_sha256,
        members=tuple(member.record for member in joining) + _with_origin(trained, start),
        films=len(films),
        datasets=tuple(sorted(known & set(settings.datasets or known))),
        protocols=protocols,
        looks_before=_looks_before(joining, start, settings.start, teachers),
        origin=_origin(joining, start),
    )
    own = sorted({*films, *(start.seen if start else ())})
    seen = {member.name: sorted(member.seen) for member in joining} | {str(member.name): own for member in trained}
    steps.write_json(out / SEEN, seen)
    steps.write_json(out / RECORD, record)
    return out


def _as_json(settings: TrainSettings) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}


def _protocols(audit: Path, settings: TrainSettings, joining: Sequence[JoiningMember]) -> tuple[str, ...]:
    """Return the datasets whose readers have a classifier of their own, the largest first; () where all share one.

    Raises DataError where a member that joins has other protocols.
    """
    films = Counter(film.dataset for film in read_films(audit) if film.trains)
    own = tuple(name for name, _ in films.most_common() if name in (settings.datasets or films))
    wanted = {own if settings.protocols else ()} if settings.new or settings.start else set()
    wanted |= {member.protocols for member in joining}
    if len(wanted) > 1:
        described = "; ".join(", ".join(names) or "one for all" for names in sorted(wanted))
        raise DataError(
            f"The members have other reading protocols ({described}); join members of one kind, or give --protocols."
        )
    return next(iter(wanted), ())


def _train(
    member: PlannedMember,
    audit: Path,
    targets: np.ndarray | None,
    protocols: tuple[str, ...],
    settings: TrainSettings,
    out: Path,
) -> TrainedMember:
    """Train a planned network; return its record."""
    training, validation = (
        load_knees(audit, split, member.architecture.input).of_datasets(settings.datasets) for split in ("train", "val")
    )
    check_grades(training.grades, validation.grades)
    variants = None
    if settings.variants and training.framed:
        variants = load_variants(audit, training, member.architecture.input, settings.variants)
    train_member(member, TrainingFilms(training, validation, targets, protocols, variants), settings, out)
    history = read_history(out, member.name)
    return TrainedMember(
        name=member.name,
        seed=member.seed,
        epochs=len(history),
        val_qwk=kept_kappa(history, settings.patience),
        architecture=asdict(member.architecture),
        teachers=(member.teacher,) if member.teacher else (),
    )


def _with_origin(trained: Sequence[TrainedMember], start: Start | None) -> tuple[TrainedMember, ...]:
    return tuple(replace(member, origin=f"{start.origin}, trained further") if start else member for member in trained)


def _looks_before(
    joining: Sequence[JoiningMember], start: Start | None, started: str, teachers: Iterable[str]
) -> int | None:
    """Return the evaluations on the test films of everything that weights or targets were taken from.

    A source counts once. A teacher that taught a source too counts in both: better too many than too few.

    Args:
        joining: The members that joined.
        start: The members that are trained further, if any.
        started: The address of their bundle.
        teachers: The addresses of teachers.
    """
    bundles = {started: start.test_evaluations} if start else {}
    joined = {member.source for member in joining}
    bundles |= {
        teacher: read_bundle(pull(teacher)).evidence.test_evaluations for teacher in teachers if teacher not in joined
    }
    return earlier_test_evaluations(joining) + sum(bundles.values()) if joining or bundles else None


def _origin(joining: Sequence[JoiningMember], start: Start | None) -> str | None:
    """Return which versions the joined members were taken from, for the card."""
    origins = [f"{member.name}: of {member.record.origin}" for member in joining if member.record.origin]
    origins += [f"{member.name}: of {start.origin}, trained further" for member in start.members] if start else []
    return "; ".join(origins) or None

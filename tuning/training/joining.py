"""Members of another training, or of a published bundle, join a training as they are.

A member brings with it what it was trained on. It is refused when a film of its training, wherever that was, shows a
knee that this audit holds out; and the number of evaluations on test films is carried on. A bundle does not list its
films: it is known by the fingerprint of its audit, where both have a dataset of one name.
"""

import shutil
from collections.abc import Collection, Sequence, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kneeoa_hub.bundle import SEARCH_REPORT, read_bundle
from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.evidence import TrainedMember
from kneeoa_hub.hub.pull_push import pull, revision_of

from ..data.summary import read_summary
from ..data.table import read_films
from ..networks.architecture import build
from ..networks.ensemble import Member
from ..run import steps
from ..run.weights import save_weights
from .checkpoint import weights_path
from .distillation import check_films
from .found_by import reports_of
from .jobs import read_kept
from .members import architectures, members_of, read_record
from .search_result import chosen_trials, kept_member

TEST_EVALUATIONS = "test_looks.json"
"""This file, beside a training's weights, says how often `evaluate` measured them on their test films."""
SEEN = "seen.json"
"""This file, beside a training's weights, lists by member the sha256 of every film that it was trained on."""


@dataclass(frozen=True)
class JoiningMember:
    """This member joins a training.

    Attributes:
        record: Its entry for train.json.
        seen: sha256 of its training films.
        source: The training, the bundle or the teachers that it comes from.
        test_evaluations: How often the members of `source` were measured on test films.
        protocols: Datasets whose readers have a classifier of their own in it.
        files: Its weights and history, to copy.
        member: Its network, to write, where there are no files.
        reports: The reports of the searches behind `source`.
    """

    record: TrainedMember
    seen: frozenset[str]
    source: str
    test_evaluations: int
    protocols: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    member: Member | None = None
    reports: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the ensemble."""
        return self.record.name or ""

    def write(self, out: Path) -> None:
        """Write its weights, and its history where there is one, to `out`."""
        for path in self.files:
            shutil.copyfile(path, out / path.name)
        if self.member:
            save_weights(self.member.network, weights_path(out, self.name))


def joining_members(sources: Sequence[str], names: Collection[str], audit: Path) -> list[JoiningMember]:
    """Return the members that join a training on `audit`.

    Args:
        sources: member-NAME.weights.h5 files of other trainings, NAME.npz files of an accelerator, addresses of
            bundles, or the folder of a search on an accelerator, whose chosen trials join.
        names: Names of the members that are taken; all when none is given.
        audit: The audit that the ensemble is measured on.

    Raises:
        DataError: A member may not join.
        SettingsError: A name is not among the members.
    """
    joining = [member for source in sources for member in _members_of_source(source, audit)]
    known = [member.name for member in joining]
    if unknown := sorted(set(names) - set(known)):
        raise SettingsError(
            f"--members {','.join(unknown)}: no member that joins has this name; choose among"
            f" {', '.join(known) or 'none: give --join'}."
        )
    return [member for member in joining if not names or member.name in names]


def earlier_test_evaluations(joining: Sequence[JoiningMember]) -> int:
    """Return how often the sources of the members were measured on test films; each source counts once."""
    return sum({member.source: member.test_evaluations for member in joining}.values())


def count_test_evaluations(training: Path) -> int:
    """Return how often the weights in a training's folder were measured on their test films."""
    path = training / TEST_EVALUATIONS
    return steps.typed(int, steps.read_json(path), path) if path.exists() else 0


def training_films(audit: Path, datasets: Collection[str] = ()) -> list[str]:
    """Return the sha256 of the films that an audit gives to training, of these datasets; all when none is named."""
    return sorted(
        film.sha256 for film in read_films(audit) if film.trains and film.dataset in (datasets or film.dataset)
    )


def _listed(training: Path) -> dict[str, tuple[str, ...]]:
    """Return the films of each member of a training; none in one of an earlier release. Raises DataError."""
    path = training / SEEN
    return steps.typed(dict[str, tuple[str, ...]], steps.read_json(path), path) if path.exists() else {}


def seen_films(training: Path, audit: Path, members: Set[str]) -> frozenset[str]:
    """Return the sha256 of every film that one of a training's members was trained on, in whichever training.

    Args:
        training: The folder of the training.
        audit: The folder of its audit, for members whose films are not listed.
        members: The names of the members.
    """
    listed = _listed(training)
    unlisted = frozenset() if members <= listed.keys() else frozenset(training_films(audit))
    return unlisted.union(*(listed[name] for name in members if name in listed))


def _members_of_source(source: str, audit: Path) -> list[JoiningMember]:
    if source.endswith(".npz"):
        return [_of_accelerator(Path(source), audit)]
    if _is_search(Path(source)):
        search = steps.find_input(source, "search")
        return [_of_accelerator(kept_member(search, trial), audit) for trial in chosen_trials(search)]
    return [_of_training(Path(source), audit)] if source.endswith(".weights.h5") else _of_bundle(source, audit)


def _is_search(folder: Path) -> bool:
    return (folder / steps.RECORD).is_file() and steps.read_record(folder)["step"] == "search"


def _of_accelerator(path: Path, audit: Path) -> JoiningMember:
    """Return a member that `python -m tuning.training.accelerated` trained."""
    outcome, arrays = read_kept(path)
    job, protocols = outcome.job, outcome.protocols
    # What a job says of these two is what it was trained with; its architecture has the default there.
    architecture = replace(job.architecture, weight_decay=job.decay, augmentation=job.strength)
    network = build(architecture, published=False, protocols=protocols)
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    if [tuple(variable.shape) for variable in variables] != [array.shape for array in arrays]:
        raise DataError(f"{path} holds the weights of another network than it says; train it again.")
    for variable, value in zip(variables, arrays, strict=True):
        variable.assign(value)
    if outcome.fingerprint != read_summary(audit).fingerprint:
        raise DataError(f"{path} was trained on films of another audit than {audit}; pack and train on this audit.")
    last = {one.protocol: one.qwk for one in outcome.history[-1]} if outcome.history else {}
    record = TrainedMember(
        name=job.name,
        seed=job.seed,
        epochs=round(outcome.epochs),
        val_qwk=last.get(protocols[0]),
        architecture=asdict(architecture),
        teachers=job.teachers,
        origin=f"{job.start} of an earlier bundle, trained further" if job.start else None,
    )
    if job.start:  # an earlier audit may have given it knees that this one leaves out, as `starting` says
        seen = frozenset(film.sha256 for film in read_films(audit) if film.split == "train")
    else:
        seen = frozenset(training_films(audit, protocols))
    return JoiningMember(
        record,
        seen,
        # Jobs with the same teachers come from one pack, whose evaluations count once.
        f"jobs taught by {', '.join(job.teachers)}" if job.teachers else str(path),
        outcome.test_evaluations,
        protocols=protocols,
        member=Member(job.name, architecture, network),
    )


def _of_training(weights: Path, audit: Path) -> JoiningMember:
    folder = steps.find_input(weights.parent, "train")
    record = read_record(folder)
    if record.base:
        raise DataError(
            f"{weights} was adapted from {record.base['name']}, whose films are not listed; train members on {audit}"
            " instead."
        )
    files = {weights_path(folder, member.name or ""): member for member in record.members}
    if weights not in files or not weights.is_file():
        names = ", ".join(path.name for path in files)
        raise DataError(f"{weights} is not a member of a training; choose among {names} in that folder.")
    member = files[weights]
    # Before seen.json was written, a training saw the films of its own audit alone.
    listed = _listed(folder)
    own = listed[member.name] if member.name in listed else training_films(steps.find_input(folder, "audit"))
    seen = frozenset(own)
    _check_knees(weights, seen, audit, older=bool(member.origin))
    pattern = f"member-{(member.name or '').replace('@', '[@]')}.*"
    return JoiningMember(
        member,
        seen,
        source=str(folder.absolute()),
        test_evaluations=count_test_evaluations(folder) + (record.looks_before or 0),
        protocols=record.protocols,
        files=tuple(sorted(path for path in folder.glob(pattern) if path.is_file())),
        reports=reports_of(folder),
    )


def _of_bundle(address: str, audit: Path) -> list[JoiningMember]:
    folder = pull(address)
    bundle = read_bundle(folder)
    check_films(address, bundle, audit)
    members, evidence = members_of(bundle), bundle.evidence
    records = [
        replace(record, name=member.name) for member, record in zip(members, evidence.training.members, strict=False)
    ]
    if [member.architecture for member in members] != architectures(records, address):
        raise DataError(
            f"{address}: its evidence and its bundle.json list different members; join the member files of its"
            " training."
        )
    reports = (folder / SEARCH_REPORT,) if (folder / SEARCH_REPORT).is_file() else ()
    version = f"{bundle.config.name} {bundle.config.version} (revision {revision_of(folder)})"
    # Of this audit's films, a bundle has seen those for training, of the datasets that both have. The first origin
    # stays, however often a member joins.
    shared = set(evidence.data.splits) & set(read_summary(audit).splits)
    seen = frozenset(training_films(audit, shared) if shared else ())
    return [
        JoiningMember(
            replace(record, origin=record.origin or version),
            seen,
            address,
            evidence.test_evaluations,
            member=member,
            reports=reports,
        )
        for record, member in zip(records, members, strict=True)
    ]


def _check_knees(weights: Path, trained: frozenset[str], audit: Path, older: bool) -> None:
    """Raise DataError when the films of a training show a knee that `audit` holds out, or are not known to it.

    A member that went on from a bundle of an older audit may have seen such knees; `evaluate` marks them.
    """
    films = read_films(audit)
    if unknown := trained - {film.sha256 for film in films}:
        raise DataError(
            f"{weights} was trained on {len(unknown)} films that {audit} does not hold, which may be copies of its test"
            " films; audit those films too, or train the member on this audit."
        )
    if older:
        return
    held_out = {film.leakage_group for film in films if film.split != "train"}
    if seen := held_out & {film.leakage_group for film in films if film.sha256 in trained}:
        raise DataError(
            f"{weights} was trained on films of {len(seen)} knees or patients that {audit} holds out; train it on the"
            " training films of that audit."
        )

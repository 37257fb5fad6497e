"""Members that join a training as they are: of another training, or of a published bundle.

Whoever joins brings what it has seen: a member of a training is refused whose own training films, wherever it came by,
show a knee that this audit holds out, and how often test films were looked at is carried on. A bundle does not list its
films: it is known by the fingerprint of its audit, where the two share the name of a dataset.
"""

import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.bundle import Bundle, read_bundle
from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.grader import KneeGrader
from kneeoa_hub.hub.pull_push import pull, revision_of
from kneeoa_hub.typed_json import to_json

from ..data.table import read_films
from ..networks.architecture import Architecture, build
from ..networks.ensemble import Member, assemble
from ..run import steps
from .checkpoint import weights_of
from .distillation import check_films

SAME = 1e-4
"""Most by which the members taken out of a bundle may differ from it, in probability."""
LEDGER = "test_looks.json"
"""Beside a training's weights: how often `evaluate` looked at its test films."""
SEEN = "seen.json"
"""Beside a training's weights: of each member, the sha256 of every film that it was trained on."""


@dataclass(frozen=True)
class Joining:
    """A member that joins. entry: of train.json. seen: sha256 of its training films. source: whose looks at test films
    were `looks`.

    files: its weights and history, to copy; or member: to write.
    """

    entry: dict[str, Any]
    seen: frozenset[str]
    source: str
    looks: int
    files: tuple[Path, ...] = ()
    member: Member | None = None

    @property
    def name(self) -> str:
        return self.entry["name"]

    def write(self, out: Path) -> None:
        """Its weights, and its history where there is one, in `out`."""
        for path in self.files:
            shutil.copyfile(path, out / path.name)
        if self.member:
            self.member.network.save_weights(weights_of(out, self.name))


def joining(source: str, audit: Path) -> list[Joining]:
    """source: a member-NAME.weights.h5 of another training, or a bundle's address.

    Raises DataError for what may not join.
    """
    return [_of_training(Path(source), audit)] if source.endswith(".weights.h5") else _of_bundle(source, audit)


def chosen(joined: Sequence[Joining], names: Collection[str]) -> list[Joining]:
    """The members of these names, of all when none is named. Raises SettingsError for a name that none has."""
    there = [one.name for one in joined]
    if unknown := sorted(set(names) - set(there)):
        raise SettingsError(
            f"--members {','.join(unknown)}: none that joins is called so; choose among"
            f" {', '.join(there) or 'none: give --join'}."
        )
    return [one for one in joined if not names or one.name in names]


def looks_before(joined: Sequence[Joining]) -> int:
    """Looks at the test films of all that the members come from; those of one source count once."""
    return sum({one.source: one.looks for one in joined}.values())


def trained_on(audit: Path, datasets: Collection[str] = ()) -> list[str]:
    """sha256 of the films that an audit gives to training, of these datasets (default all)."""
    return sorted(
        film.sha256 for film in read_films(audit) if film.trains and film.dataset in (datasets or film.dataset)
    )


def members_of(bundle: Bundle) -> list[Member]:
    """The members inside a bundle's Keras model, by themselves.

    Raises DataError when together they are not that model.
    """
    whole = KneeGrader(bundle).keras_model()
    members = []
    for number, entry in enumerate(bundle.config.members):
        architecture = Architecture(**entry["architecture"])
        members.append(Member(entry.get("name", f"winner-{number}"), architecture, build(architecture)))
        members[-1].network.set_weights(whole.get_layer(f"member_{number}").get_weights())
    size = (8, bundle.config.input.height, bundle.config.input.width, 1)
    noise = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    again = assemble(members, bundle.config.input, bundle.config.temperature, bundle.config.decision)
    difference = np.abs(np.asarray(again(noise)["probabilities"]) - np.asarray(whole(noise)["probabilities"])).max()
    if not difference <= SAME:
        raise DataError(
            f"{bundle.folder}: its Keras model is not put together as this release does it; take it apart with the"
            " release that made it."
        )
    return members


def looks_of(training: Path) -> int:
    """How often the test films of a training's weights were looked at."""
    ledger = training / LEDGER
    return int(json.loads(ledger.read_text("utf-8"))) if ledger.exists() else 0


def _of_training(weights: Path, audit: Path) -> Joining:
    folder = steps.find_input(weights.parent, "train")
    record = steps.read_json(folder / "train.json")
    if base := record.get("base"):
        raise DataError(
            f"{weights} was adapted from {base['name']}, whose films are not listed; train members on {audit} instead."
        )
    entry = next((one for one in record["members"] if weights_of(folder, one["name"]) == weights), None)
    if entry is None or not weights.is_file():
        names = ", ".join(weights_of(folder, one["name"]).name for one in record["members"])
        raise DataError(f"{weights} is no member of a training; choose among {names} in that folder.")
    # A training of before this was noted saw films of its own audit alone.
    listed = steps.read_json(folder / SEEN) if (folder / SEEN).exists() else {}
    seen = frozenset(
        listed[entry["name"]] if entry["name"] in listed else trained_on(steps.find_input(folder, "audit"))
    )
    _check_knees(weights, seen, audit)
    kept = sorted(path for path in folder.glob(f"member-{entry['name'].replace('@', '[@]')}.*") if path.is_file())
    return Joining(
        entry, seen, str(folder.absolute()), looks_of(folder) + int(record.get("looks_before", 0)), files=tuple(kept)
    )


def _of_bundle(address: str, audit: Path) -> list[Joining]:
    folder = pull(address)
    bundle = read_bundle(folder)
    check_films(address, bundle, audit)
    members, evidence = members_of(bundle), bundle.evidence
    trained = [to_json(one) for one in evidence.training.members]
    entries = [entry | {"name": member.name} for member, entry in zip(members, trained, strict=False)]
    if [asdict(member.architecture) for member in members] != [entry.get("architecture") for entry in entries]:
        raise DataError(
            f"{address}: its evidence tells of other members than its bundle.json lists; take the member files of its"
            " training."
        )
    looks = evidence.test_evaluations
    version = f"{bundle.config.name} {bundle.config.version} (revision {revision_of(folder)})"
    # Of this audit's films a bundle has seen those for training, of datasets that both have; the first origin stays,
    # however often a member joins.
    shared = set(evidence.data.splits) & set(steps.read_json(audit / "audit.json")["splits"])
    seen = frozenset(trained_on(audit, shared) if shared else ())
    return [
        Joining({"origin": version} | entry, seen, address, looks, member=member)
        for entry, member in zip(entries, members, strict=True)
    ]


def _check_knees(weights: Path, trained: frozenset[str], audit: Path) -> None:
    """Raises DataError when the films of a training show a knee that `audit` holds out, or are not known to it."""
    films = read_films(audit)
    if unknown := trained - {film.sha256 for film in films}:
        raise DataError(
            f"{weights} was trained on other films than those of {audit}, {len(unknown)} of them, maybe copies of its"
            " test films."
        )
    held_out = {film.together for film in films if film.split != "train"}
    if seen := held_out & {film.together for film in films if film.sha256 in trained}:
        raise DataError(
            f"{weights} was trained on films of {len(seen)} knees or patients that {audit} holds out; train it on what"
            " that audit leaves."
        )


def load_members(folder: Path) -> list[Member]:
    """The trained members of a train step."""
    members = []
    for entry in steps.read_json(folder / "train.json")["members"]:
        member = Member(
            entry["name"], Architecture(**entry["architecture"]), build(Architecture(**entry["architecture"]))
        )
        member.network.load_weights(weights_of(folder, member.name))
        members.append(member)
    return members

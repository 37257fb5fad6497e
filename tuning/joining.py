"""Members that join a training as they are: one of another training, or those of a published bundle.

Whoever joins brings what it has seen: a member is refused whose training films show a knee that this audit holds out, and how often
the test films of what it comes from were looked at is carried on.
"""

import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.bundle import Bundle, read_bundle
from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.grader import KneeGrader
from kneeoa_hub.hub import pull, revision_of

from . import steps
from .audit import read_films
from .checkpoint import weights_of
from .ensemble import Member, assemble
from .space import Architecture, build
from .teacher import check_films

SAME = 1e-4
"""Most by which the members taken out of a bundle may differ from it, in probability."""
LEDGER = "test_looks.json"
"""Beside a training's weights: how often `evaluate` looked at its test films."""


@dataclass(frozen=True)
class Joining:
    """What joins. entries: of train.json. files: to copy. members: to write. looks: at the test films, before. origin: what they are members of, or ""."""

    entries: list[dict[str, Any]]
    looks: int
    files: list[Path] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    origin: str = ""

    def only(self, names: Collection[str]) -> "Joining":
        """Those of these names."""
        kept = [number for number, entry in enumerate(self.entries) if entry["name"] in names]
        return Joining([self.entries[n] for n in kept], self.looks, self.files, [self.members[n] for n in kept if self.members], self.origin)

    def write(self, out: Path) -> None:
        """Their weights, and histories where there are any, in `out`."""
        for path in self.files:
            shutil.copyfile(path, out / path.name)
        for member in self.members:
            member.network.save_weights(weights_of(out, member.name))


def joining(source: str, audit: Path) -> Joining:
    """source: a member-NAME.weights.h5 of another training, or a bundle's address. Raises DataError for what may not join."""
    return _of_training(Path(source), audit) if source.endswith(".weights.h5") else _of_bundle(source, audit)


def chosen(joined: list[Joining], names: Collection[str]) -> list[Joining]:
    """The members of these names, of all when none is named. Raises SettingsError for a name that none has."""
    there = [entry["name"] for one in joined for entry in one.entries]
    if unknown := sorted(set(names) - set(there)):
        raise SettingsError(f"--members {','.join(unknown)}: none that joins is called so; choose among {', '.join(there) or 'none: give --join'}.")
    return [one.only(names) for one in joined] if names else joined


def members_of(bundle: Bundle) -> list[Member]:
    """The members inside a bundle's Keras model, by themselves. Raises DataError when together they are not that model."""
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
        raise DataError(f"{bundle.folder}: its Keras model is not put together as this release does it; adapt it with the release that made it.")
    return members


def looks_of(training: Path) -> int:
    """How often the test films of a training's weights were looked at."""
    ledger = training / LEDGER
    return int(json.loads(ledger.read_text("utf-8"))) if ledger.exists() else 0


def _of_training(weights: Path, audit: Path) -> Joining:
    folder = steps.find_input(weights.parent, "train")
    record = steps.read_json(folder / "train.json")
    entry = next((one for one in record["members"] if weights_of(folder, one["name"]) == weights), None)
    if entry is None or not weights.is_file():
        names = ", ".join(weights_of(folder, one["name"]).name for one in record["members"])
        raise DataError(f"{weights} is no member of a training; choose among {names} in that folder.")
    _check_knees(weights, steps.find_input(folder, "audit"), audit, record["datasets"])
    history = sorted(path for path in folder.glob(f"member-{entry['name'].replace('@', '[@]')}.*") if path.is_file())
    return Joining([entry], looks_of(folder) + int(record.get("looks_before", 0)), history)


def _of_bundle(address: str, audit: Path) -> Joining:
    folder = pull(address)
    bundle = read_bundle(folder)
    check_films(address, bundle, audit)
    members, evidence = members_of(bundle), bundle.evidence
    entries = evidence["training"]["members"]
    if [(member.name, asdict(member.architecture)) for member in members] != [(entry["name"], entry["architecture"]) for entry in entries]:
        raise DataError(f"{address}: its evidence tells of other members than its bundle.json lists; take the member files of its training.")
    looks = int(evidence["test_looks"]["value"] + evidence.get("test_looks_before", {"value": 0})["value"])
    before = evidence["training"].get("origin", "")
    origin = f"of {bundle.config.name} {bundle.config.version} (revision {revision_of(folder)})" + (f", whose card says: {before}" if before else "")
    return Joining([dict(entry) for entry in entries], looks, members=members, origin=origin)


def _check_knees(weights: Path, other: Path, audit: Path, datasets: Collection[str]) -> None:
    """Raises DataError when a training on films of `other`, of these datasets, has seen a knee that `audit` holds out, or films it doesn't know."""
    trained = {film.sha256 for film in read_films(other) if film.split == "train" and film.use == "yes" and film.dataset in datasets}
    films = read_films(audit)
    if unknown := trained - {film.sha256 for film in films}:
        raise DataError(f"{weights} was trained on other films than those of {audit}, {len(unknown)} of them, maybe copies of its test films.")
    held_out = {film.together for film in films if film.split != "train"}
    if seen := held_out & {film.together for film in films if film.sha256 in trained}:
        raise DataError(f"{weights} was trained on films of {len(seen)} knees or patients that {audit} holds out; train it on what that audit leaves.")

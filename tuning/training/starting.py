"""Members of a published bundle are trained further, on framed films."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.errors import SettingsError
from kneeoa_hub.hub.pull_push import pull, revision_of

from ..data.table import read_films
from ..networks.architecture import with_heads
from ..networks.ensemble import Member
from ..run.weights import save_weights
from .checkpoint import weights_path
from .distillation import check_films
from .members import members_of
from .plan import PlannedMember, TrainSettings


@dataclass(frozen=True)
class Start:
    """A training goes on from these members of a bundle.

    Attributes:
        members: Networks of the bundle.
        seeds: Their seeds.
        seen: sha256 of the films of this audit that they may have been trained on.
        origin: The bundle's name, version and revision.
        reach: The reach of the bundle's frames, see `InputConfig`.
        test_evaluations: How often the bundle was measured on test films.
    """

    members: tuple[Member, ...]
    seeds: tuple[int, ...]
    seen: tuple[str, ...]
    origin: str
    reach: float
    test_evaluations: int

    def planned(self, settings: TrainSettings) -> list[PlannedMember]:
        """Return the members to train."""
        return [
            PlannedMember(
                member.name,
                seed,
                replace(member.architecture, crop="frame", reach=self.reach, learning_rate=settings.rate),
                settings.epochs,
                start=f"{member.name}-start",
                teacher=settings.teacher,
            )
            for member, seed in zip(self.members, self.seeds, strict=True)
        ]

    def write(self, planned: Sequence[PlannedMember], protocols: Sequence[str], out: Path) -> None:
        """Write the weights with which each planned member begins.

        Args:
            planned: The members to train, in the order of `members`.
            protocols: The protocols that get a classifier each; none keeps the one classifier.
            out: The folder of the training.
        """
        for member, plan in zip(self.members, planned, strict=True):
            network = member.network
            if protocols:
                network = with_heads(network, plan.architecture, protocols)
            save_weights(network, weights_path(out, plan.start))


def start_from(address: str, names: Collection[str], audit: Path) -> Start:
    """Return the members of a bundle from which a training on `audit` goes on.

    Earlier audits knew fewer copies, so that the bundle may have seen every film that was given to training, also those
    that this audit leaves out because another split shows the same knee.

    Args:
        address: The bundle's.
        names: Names of the members to take; none takes all.
        audit: The folder of the audit.

    Raises:
        DataError: The bundle may have been trained on films that the audit holds out.
        SettingsError: A name is not among its members.
    """
    folder = pull(address)
    bundle = read_bundle(folder)
    check_films(address, bundle, audit)
    members = members_of(bundle)
    if unknown := sorted(set(names) - {member.name for member in members}):
        known = ", ".join(member.name for member in members)
        raise SettingsError(f"--members {','.join(unknown)}: {address} has no such member; choose among {known}.")
    seeds = [entry.seed for entry in bundle.evidence.training.members]
    kept = [row for row, member in enumerate(members) if not names or member.name in names]
    datasets = set(bundle.evidence.data.splits)
    return Start(
        tuple(members[row] for row in kept),
        tuple(seeds[row] for row in kept),
        tuple(sorted(film.sha256 for film in read_films(audit) if film.split == "train" and film.dataset in datasets)),
        f"{bundle.config.name} {bundle.config.version} (revision {revision_of(folder)})",
        bundle.config.input.reach,
        bundle.evidence.test_evaluations,
    )

"""A short training is compared with a long one, to see whether it puts networks in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kneeoa_hub.agreement import INTERVAL
from kneeoa_hub.evidence import Estimate

from .pool import Pool, Trainings
from .replay import BOOTSTRAPS

if TYPE_CHECKING:
    from tuning.searching.settings import SearchSettings


@dataclass(frozen=True)
class Rung:
    """A rung says how well trainings of so many epochs order networks.

    Attributes:
        epochs: Epochs of one training.
        minutes: Minutes of one training, on average.
        tau: To the order of the longest rung; 1 for that rung itself.
        tau_full: To the order of the longer trainings; None where there are none.
    """

    epochs: int
    minutes: float
    tau: Estimate
    tau_full: Estimate | None = None


def tau(short: np.ndarray, full: np.ndarray) -> Estimate:
    """Return Kendall's tau of two measures [N] of the same networks, with its interval by bootstrap over networks."""
    from scipy.stats import kendalltau

    from tuning.run.estimates import estimate

    rng = np.random.default_rng(0)
    samples = (rng.integers(0, len(full), len(full)) for _ in range(BOOTSTRAPS))
    values = [kendalltau(short[rows], full[rows])[0] for rows in samples if len(set(rows.tolist())) > 1]
    low, high = np.nanpercentile(values, INTERVAL)
    value: Any = kendalltau(short, full)[0]
    return estimate(value, low, high, len(full))


def ranks(trainings: Trainings, pool: Pool, settings: SearchSettings, epochs: int, networks: int) -> list[Rung]:
    """Compare the order of the networks after each rung with that after the longest, and after longer trainings.

    Args:
        trainings: What trains them.
        pool: The networks.
        settings: Settings of the searches.
        epochs: Epochs of the longer trainings.
        networks: How many of the pool have one; the first ones that were drawn.
    """
    longest = pool.values("val_log_loss", pool.lengths[-1])
    full = np.array([trainings.train(point, epochs, settings)["val_log_loss"] for point in pool.points[:networks]])
    found = []
    for length in pool.lengths:
        short, minutes = pool.values("val_log_loss", length), pool.values("seconds", length).mean() / 60
        to_full = tau(short[: len(full)], full) if len(full) > 1 else None
        found.append(Rung(length, float(minutes), tau(short, longest), to_full))
    return found

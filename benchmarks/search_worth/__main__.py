"""Three tuners search on equal compute, against each other, and beside networks designed by hand.

    python -m benchmarks.search_worth --data runs/audit --out runs/worth --networks 40 --epochs 9 --full-epochs 27

A pool of networks is drawn at random from the search space. Each one is trained for each length of a rung, always from
the start. After that, searches cost little: the oracles of a search draw from the pool, with many seeds, and get the
measures and the minutes that the trainings took. Validation films alone are used. Three questions are answered:

1. Curves: what the best trial so far reaches, against minutes of training. Hyperband begins with rungs of several
   lengths (--shortest). A search ends after the minutes in which random draws train a third of the pool in full. Where
   a Gaussian process asks for a network that is not in the pool, it gets the one there that differs in the fewest
   choices, of those that it has not tried. Its fits take most of the replays' time.
2. Networks designed by hand, with the same length of training as a full trial; NAME@SIZE gets framed films of so many
   pixels. Each is trained once. A search shows the best of many trials on the films that chose it, after more compute.
3. Ranks: Kendall's tau says whether a short training puts networks in the order of the longest rung, and in that of
   longer trainings of some of them (--full). Its 95% interval is by bootstrap over networks.

Writes worth.json, worth.md and worth.png. A run that was stopped goes on: every training is kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kneeoa_hub.settings import usable_cores
from tuning.run import console, steps
from tuning.run.memory import keep_freed_memory

from .pool import Trainings, pool_of
from .ranks import ranks
from .replay import by_hand, compared, gains, replayed
from .report import Worth, plot, table

if TYPE_CHECKING:
    from tuning.searching.settings import SearchSettings

BY_HAND = ("folded", "baseline-2023")
"""Searches are compared with these networks of search_space.NAMED."""
SHORTEST = (1, 3)
"""The compared searches of Hyperband have shortest rungs of these epochs."""
ALL_FILMS = 10**9


def measure(
    audit: Path,
    out: Path,
    settings: SearchSettings,
    seeds: int,
    networks: int,
    full: tuple[int, int] = (0, 0),
    names: Sequence[str] = BY_HAND,
    shortest: Sequence[int] = SHORTEST,
    cores: int = 1,
) -> Worth:
    """Answer the three questions; what `out` holds already is not trained again.

    Args:
        audit: Output folder of the audit.
        out: Folder for the trainings.
        settings: Settings of the searches; the tuner is set here.
        seeds: Number of replayed searches of each tuner.
        networks: Number of networks that are drawn.
        full: Number of networks that are trained longer, and the epochs of that.
        names: Networks designed by hand.
        shortest: Epochs of the shortest rung of each Hyperband that is replayed.
        cores: Number of processes that replay searches.

    Raises:
        DataError: `out` was begun with other films or settings.
    """
    from joblib import Parallel, delayed

    kept = json.loads(json.dumps(asdict(settings)))
    steps.begin(out, "search_worth", str(audit), kept)
    trainings = Trainings(audit, out / "trainings")
    pool = pool_of(trainings, replace(settings, least_epochs=min(shortest)), networks)
    searches = compared(settings, shortest)
    replays = (delayed(replayed)(pool, name, seed, mine) for name, mine in searches.items() for seed in range(seeds))
    curves: list[Any] = list(Parallel(cores)(replays))
    lower = gains(pool, curves)
    curves += by_hand(trainings, settings, names)
    rungs = ranks(trainings, pool, settings, full[1], full[0])
    kept |= {"networks": networks, "seeds": seeds, "full": list(full), "shortest": list(shortest)}
    return Worth(kept, len(pool.points), pool.budget, tuple(curves), lower, tuple(rungs))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the table and the plot; returns an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="output of python -m tuning audit")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", type=int, default=40, help="that are drawn and trained (default 40)")
    parser.add_argument("--seeds", type=int, default=30, help="replayed searches of each tuner (default 30)")
    parser.add_argument("--epochs", type=int, default=9, help="of the longest trial (default 9)")
    parser.add_argument("--films", type=int, default=2000, help="training films of a trial (default 2000)")
    parser.add_argument("--full", type=int, default=12, help="networks that are trained longer (default 12)")
    parser.add_argument("--full-epochs", type=int, default=27, help="of these longer trainings (default 27)")
    parser.add_argument("--by-hand", default=",".join(BY_HAND), help="networks designed by hand (default: %(default)s)")
    shortest = "epochs of the shortest rung of a Hyperband; repeatable (default 1 and 3)"
    parser.add_argument("--shortest", type=int, action="append", metavar="N", help=shortest)
    parser.add_argument("--only", action="append", default=[], metavar="NAME=V1,V2", help="narrow the search space")
    given = parser.parse_args(arguments)
    console.prepare()
    keep_freed_memory()

    def run() -> None:
        with console.quiet_start():
            from tuning.searching.settings import SearchSettings

        only = {name: values.split(",") for name, _, values in (text.partition("=") for text in given.only)}
        settings = SearchSettings(epochs=given.epochs, films=given.films, validation_films=ALL_FILMS, only=only or None)
        names, full = [name for name in given.by_hand.split(",") if name], (given.full, given.full_epochs)
        shortest = given.shortest or SHORTEST
        numbers = given.seeds, given.networks, full
        worth = measure(given.data, given.out, settings, *numbers, names, shortest, usable_cores())
        (given.out / "worth.json").write_text(steps.as_json(worth), "utf-8")
        (given.out / "worth.md").write_text(table(worth), "utf-8")
        plot(worth, given.out / "worth.png")
        print(table(worth))

    return console.exit_code(run)


if __name__ == "__main__":
    raise SystemExit(main())

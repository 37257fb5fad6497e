"""What Keras computes on one of its backends.

`python -m tests.support.backend FOLDER AUDIT` writes it for KERAS_BACKEND, and searches the audit's films.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .noise import noise_films
from .search_runs import ONLY

if TYPE_CHECKING:
    import keras

SMALL = {"size": 32, "widths": "4-8", "fold": True, "dropout": 0.0}
FILMS = 8


def network() -> "keras.Model":
    """Return a compiled network with the weights that every backend begins with."""
    from tuning.networks.architecture import Architecture, compiled

    model, rng = compiled(Architecture(**SMALL), 0.01), np.random.default_rng(0)
    model.set_weights([abs(rng.normal(0, 0.2, weight.shape)) for weight in model.weights])  # some are variances
    return model


def images() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((FILMS, SMALL["size"], SMALL["size"], 1)).astype(np.float32)


def compute(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return answers of a network, the losses of two steps, and its answers then. Its weights stay in the folder."""
    import keras

    from tuning.run.weights import save_weights

    model, films, grades = network(), images(), np.eye(5, dtype=np.float32)[np.arange(FILMS) % 5]
    before = model.predict_on_batch(films)
    losses = [float(np.asarray(model.train_on_batch(films, grades)[0])) for _ in range(2)]
    save_weights(model, folder / f"{keras.backend.backend()}.weights.h5")
    return before, np.array(losses), model.predict_on_batch(films)


def search(audit: Path, out: Path) -> None:
    """Search with two trials of the small network."""
    import tuning.search
    from tuning.networks.search_space import SEARCH_SPACE
    from tuning.searching.settings import SearchSettings

    SEARCH_SPACE["size"] += (SMALL["size"],)
    SEARCH_SPACE["widths"] += (SMALL["widths"],)
    tuning.search.write_report = lambda *_, **__: None  # pyright: ignore[reportAttributeAccessIssue]
    only = ONLY | {"size": [str(SMALL["size"])], "widths": [SMALL["widths"]], "block": ["plain"]}
    few: dict[str, Any] = {"trials": 2, "epochs": 1, "films": 16, "validation_films": 10, "batch": 8}
    settings = SearchSettings(tuner="random", only=only, named=False, precision="mixed_bfloat16", **few)
    tuning.search.search(audit, out, settings)


def train(out: Path) -> None:
    """Train the small network for an epoch, as `python -m tuning train` does."""
    from tuning.networks.architecture import Architecture
    from tuning.training.member import TrainingFilms, train_member
    from tuning.training.plan import PlannedMember, TrainSettings

    films = TrainingFilms(noise_films(16, 0), noise_films(10, 1))
    out.mkdir()
    train_member(PlannedMember("small", 0, Architecture(**SMALL), epochs=1), films, TrainSettings(batch=8), out)


def main() -> None:
    """Compute, search, and train."""
    sys.modules["tensorflow"] = None  # pyright: ignore[reportArgumentType]  # Keras would import it to seed it too
    folder, audit = map(Path, sys.argv[1:])
    name = os.environ["KERAS_BACKEND"]
    np.savez(folder / f"{name}.npz", *compute(folder))
    search(audit, folder / f"search-{name}")
    train(folder / f"train-{name}")


if __name__ == "__main__":
    main()

"""The files of docs/extending.md do what the page says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.errors import SettingsError
from kneeoa_hub.imaging.phantom import knee_film
from tuning.run.extensions import load

pytestmark = pytest.mark.keras

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
FILES = {
    match[1]: match[0]
    for match in re.finditer(r"(?<=```python\n)# (my_\w+\.py)\n.*?(?=```)", PAGE.read_text("utf-8"), re.DOTALL)
}


@pytest.fixture(autouse=True)
def _added_for_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file adds is gone after the test."""
    from tuning.data import sources
    from tuning.networks import adding, architecture, backbones, losses, search_space
    from tuning.run import extensions

    for module, name in (
        (search_space, "SEARCH_SPACE"),
        (architecture, "BLOCKS"),
        (backbones, "ADDED"),
        (losses, "LOSSES"),
        (sources, "READERS"),
        (extensions, "LOADED"),
    ):
        copy = type(getattr(module, name))(getattr(module, name))
        for user in (module, adding, architecture):
            if hasattr(user, name):
                monkeypatch.setattr(user, name, copy)


def written(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_text(FILES[name], "utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("my_block.py", {"block": "dilated"}),
        ("my_loss.py", {"loss": "squared-distance"}),
        ("my_backbone.py", {"backbone": "small"}),
    ],
)
def test_a_file_adds_a_block_a_loss_or_a_backbone_that_trains(tmp_path, name, choices):
    from tuning.networks.architecture import Architecture, compiled
    from tuning.networks.search_space import narrowed

    choice, value = next(iter(choices.items()))
    architecture = Architecture(**{"size": 96, "widths": "16-32-64-128", "fold": True, **choices})
    with pytest.raises(SettingsError, match=f"There is no {choice} '{value}'.*--with FILE"):
        compiled(architecture)
    load(written(name, tmp_path))
    assert narrowed({choice: [value]})[choice] == (value,)
    model = compiled(architecture)
    model.run_eagerly = True  # one step is not worth a compilation
    if choice == "backbone":
        assert np.allclose(model.get_layer("small_0").get_weights()[1], 0.1)
    films = np.random.default_rng(0).standard_normal((4, 96, 96, 1)).astype(np.float32)
    before = [np.array(weight) for weight in model.get_weights()]
    assert np.isfinite(model.train_on_batch(films, np.eye(5, dtype=np.float32)[[0, 1, 2, 4]])[0])
    assert any(not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    assert np.allclose(np.asarray(model(films)).sum(1), 1, atol=1e-5)


def test_a_file_adds_a_reader_of_films(tmp_path):
    from tuning.data.sources import read_labels

    for grade in range(5):
        Image.fromarray(knee_film(grade, grade).pixels).save(tmp_path / f"{grade}.png")
    rows = [{"film": f"{grade}.png", "kl": grade, "patient": f"p{grade}"} for grade in range(5)]
    (tmp_path / "films.json").write_text(json.dumps(rows), "utf-8")
    load(written("my_reader.py", tmp_path))
    films = read_labels([f"site={tmp_path / 'films.json'}"])
    assert [(film.dataset, film.grade, film.group) for film in films] == [("site", g, f"p{g}") for g in range(5)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "there is no such Python file"),
        ("x = 1\nx.y\n", "line 2 fails with AttributeError"),
        (
            "from tuning.networks.adding import add_block\nadd_block('residual', None)",
            "There is a block 'residual' already",
        ),
        ("from tuning.networks.adding import add_loss\nadd_loss('a b', None)", "needs a name of letters"),
        (
            "from tuning.data.sources import add_reader\nadd_reader('.csv', None)",
            "There is a reader of .csv files already",
        ),
    ],
)
def test_a_file_that_can_not_be_used_is_one_clear_error(tmp_path, capsys, text, problem):
    from tuning.__main__ import main

    if text:
        (tmp_path / "mine.py").write_text(text, "utf-8")
    assert main(["--with", str(tmp_path / "mine.py"), "search-report", "--data", str(tmp_path)]) == 2
    assert problem in capsys.readouterr().err

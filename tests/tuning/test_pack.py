"""A pack holds training and validation films, small, and never a test film."""

from pathlib import Path

import numpy as np
import pytest

from kneeoa_hub.errors import DataError
from kneeoa_hub.imaging.phantom import knee_film
from tuning.training.pack import unpack, write


def test_films_come_back_nearly_as_they_were(tmp_path: Path) -> None:
    pictures = [knee_film(grade, grade).pixels.astype(np.uint8) for grade in range(5)]
    pictures[3] = pictures[3][:160]
    joints = np.array([[112.0, 112.0, 224.0]] * 5)
    rows = [(grade, "ward", "train" if grade else "val", f"film-{grade}.png", str(grade)) for grade in range(5)]
    write(tmp_path / "films.npz", pictures, joints, rows)
    packed = unpack(tmp_path / "films.npz")
    assert packed.films.shape == (5, 224, 224)
    assert packed.content[3].tolist() == [0, 0, 224, 160]
    assert packed.grades.tolist() == [0, 1, 2, 3, 4]
    assert packed.splits.tolist() == ["val", "train", "train", "train", "train"]
    assert np.abs(packed.films[3, :160].astype(int) - pictures[3]).mean() < 4
    assert not packed.films[3, 160:].any()
    assert (tmp_path / "films.npz").stat().st_size < 0.5 * sum(picture.size for picture in pictures)


def test_a_test_film_is_not_packed(tmp_path: Path) -> None:
    picture = knee_film(0, 0).pixels.astype(np.uint8)
    with pytest.raises(DataError, match="test"):
        write(
            tmp_path / "films.npz", [picture], np.array([[112.0, 112.0, 224.0]]), [(0, "ward", "test", "film.png", "0")]
        )
    assert not (tmp_path / "films.npz").exists()

"""Percentiles and medians are those of NumPy to the last bit, so that a film's report does not depend on who asks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kneeoa_hub.imaging.percentiles import median, percentiles
from kneeoa_hub.imaging.phantom import sample_films

WANTED = (0, 0.5, 1, 33.3, 50, 99, 99.5, 100)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (2,), (7, 3), (64, 65)])
def test_percentiles_and_median_are_those_of_numpy(kind: type, shape: tuple[int, ...]):
    for seed in range(5):
        values = (np.random.default_rng(seed).gamma(2, 30, shape)).astype(kind)
        before = values.copy()
        found = percentiles(values, WANTED)
        assert np.array_equal(found, np.percentile(values, WANTED))
        assert median(values) == np.median(values)
        assert all(type(one) is np.float64 for one in found)
        assert np.array_equal(values, before)


@pytest.mark.slow
def test_a_film_is_graded_without_the_modules_that_take_long_to_import(tmp_path: Path):
    film = tmp_path / "film.png"
    Image.fromarray(sample_films()["moderate"].pixels).save(film)
    code = "import sys, kneeoa_hub.cli as c; c.main(['grade', sys.argv[1]]); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, film], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].strip("[]").replace("'", "").split(", "))
    assert "onnxruntime" in loaded
    heavy = {"numpy.ma", "numpy.random", "ssl", "uuid", "kneeoa_hub.evidence", "kneeoa_hub.imaging.phantom", "pydicom"}
    assert not heavy & loaded

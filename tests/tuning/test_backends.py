"""Keras computes the same on TensorFlow, JAX and PyTorch: answers, a step of a training, a search, and kept weights."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ..support import backend
from ..support.eager import eagerly

pytestmark = [pytest.mark.slow, pytest.mark.keras]

ROOT = Path(__file__).parents[2]
TORCH = "TORCH_FOLDER"
"""The environment variable with a folder that holds PyTorch. Where it is set, the tests on PyTorch are not skipped."""
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
"""Compiles in half of the time. The few steps of a test need no fast program."""
TOLERANCE = 1e-4


def environment(name: str) -> dict[str, str]:
    if name == "torch" and not (os.environ.get(TORCH) or find_spec("torch")):
        pytest.skip("PyTorch is not installed")
    paths = [str(ROOT), *([os.environ[TORCH]] if name == "torch" and os.environ.get(TORCH) else [])]
    return {**os.environ, "KERAS_BACKEND": name, "PYTHONPATH": os.pathsep.join(paths), "XLA_FLAGS": QUICK}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, ...]:
    """What this process computes, on TensorFlow."""
    with eagerly():
        return backend.compute(tmp_path_factory.mktemp("tensorflow"))


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_another_backend_computes_and_searches_as_this_one_does(name: str, audited: Path, here, tmp_path: Path):
    from kneeoa_hub.keras_files import load_weights

    command = [sys.executable, "-m", "tests.support.backend", str(tmp_path), str(audited)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(name))
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(tmp_path / f"{name}.npz") as kept:
        answers, losses, after = (kept[key] for key in kept.files)
    np.testing.assert_allclose(answers, here[0], atol=TOLERANCE)
    np.testing.assert_allclose(losses, here[1], rtol=0.01)
    for first, second in (losses, here[1]):
        assert second < first  # a step lowers it
    model = backend.network()
    load_weights(model, tmp_path / f"{name}.weights.h5")
    np.testing.assert_allclose(model.predict_on_batch(backend.images()), after, atol=TOLERANCE)
    states = [json.loads(path.read_text("utf-8")) for path in tmp_path.glob("search-*/tuner/trial_*/trial.json")]
    assert [state["status"] for state in states] == ["COMPLETED"] * 2
    assert (tmp_path / f"search-{name}" / "best.json").is_file()
    assert (tmp_path / f"train-{name}" / "member-small.weights.h5").is_file()

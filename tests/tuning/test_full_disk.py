"""A disk that fills while weights are written costs one error: the HDF5 library alone would end the process."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from kneeoa_hub.errors import OutputError
from kneeoa_hub.files import replacing

resource = pytest.importorskip("resource", reason="Windows has no limit on a file's size to stand for a full disk")
pytestmark = pytest.mark.keras


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 20 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_weights_that_find_no_room_leave_nothing_and_are_written_when_there_is_room(tmp_path: Path):
    import keras

    from kneeoa_hub.keras_files import load_weights
    from tuning.run.weights import save_weights

    network = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])
    network.compile("adam", "mse")
    network.train_on_batch(np.ones((2, 64)), np.ones((2, 64)))
    path = tmp_path / "member.weights.h5"
    with full_disk(), pytest.raises(OSError, match="too large"), replacing(path) as part:
        save_weights(network, part)
    assert not list(tmp_path.iterdir())
    save_weights(network, path)
    before = network.get_weights()
    network.set_weights([np.zeros_like(one) for one in before])
    load_weights(network, path)
    assert all(np.array_equal(one, other) for one, other in zip(before, network.get_weights(), strict=True))
    assert int(network.optimizer.iterations) == 1


def test_only_a_full_disk_asks_for_room_and_any_other_failure_says_what_happened(tmp_path: Path):
    from tuning.run.folder import with_room

    for code in (errno.ENOSPC, errno.EDQUOT):
        said = rf"^The copy can't be written \({os.strerror(code)}\); make room, and"
        with pytest.raises(OutputError, match=said), with_room("The copy"):
            raise OSError(code, os.strerror(code))
    gone = tmp_path / "gone" / "copy"
    with pytest.raises(OutputError) as raised, with_room("The copy"):
        gone.write_text("x")
    said = f"The copy can't be written (No such file or directory: {gone}); mend this, and give the same command again"
    assert raised.value.message == f"{said} to go on."

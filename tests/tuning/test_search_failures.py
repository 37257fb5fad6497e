"""A trial that fails ends alone, and what no trial can mend ends the search. Formulas stand for the trainings."""

import itertools
import json
from collections import Counter
from typing import Any

import pytest

from kneeoa_hub.errors import DataError

from ..support.formula import Formula
from ..support.search_runs import ONLY, failing, found, search_without_report, settings_for

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("formulas")]


def test_a_trial_that_fails_leaves_its_traceback_and_the_others_go_on(audited, tmp_path, monkeypatch):
    import tuning.search
    from tuning.searching.records import read_trials

    monkeypatch.setattr(Formula, "train", failing(MemoryError("no room for a tensor"), every=3))
    out = tuning.search.search(audited, tmp_path, settings_for("random", trials=7))
    assert sorted(path.name for path in (out / "failed").iterdir()) == ["trial_2.txt", "trial_5.txt"]
    assert "MemoryError: no room for a tensor" in (out / "failed" / "trial_2.txt").read_text("utf-8")
    assert len(read_trials(out / "tuner", settings_for("random"))) == 5
    report = (out / "report.md").read_text("utf-8")
    assert "Of 7 planned trials, 5 have finished and 2 have failed. Tuner: random." in report
    assert "| 2 | MemoryError: no room for a tensor |" in report
    assert "It runs" not in report
    assert not (out / "live").exists()


OF_TENSORFLOW = """Traceback (most recent call last):
  File "/keras/src/utils/traceback_utils.py", line 122, in error_handler
    raise e.with_traceback(filtered_tb) from None
  File "/tensorflow/python/eager/execute.py", line 59, in quick_execute
    except TypeError as e:
tensorflow.python.framework.errors_impl.ResourceExhaustedError: Graph execution error:

Detected at node functional_1/big_1/zeros defined at (most recent call last):
  File "/tuning/searching/trial.py", line 6, in <module>

  File "/keras/src/backend/tensorflow/trainer.py", line 399, in fit

OOM when allocating tensor with shape[2400000,300000] and type float on /job:localhost/device:CPU:0 by allocator mklcpu
\t [[{{node functional_1/big_1/zeros}}]]
Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom to \
RunOptions for current allocation info. This isn't available when running in Eager mode.
 [Op:__inference_multi_step_on_iterator_680]
"""
"""What TensorFlow 2.21 says of a step that finds no memory, with fewer lines of the traces."""
OF_KERAS = "ValueError: Exception encountered when calling Big.call().\n\n\x1b[1ma layer does not fit\x1b[0m\n"


def test_the_reason_of_a_failure_is_its_error_also_where_tensorflow_ends_with_the_name_of_a_graph(tmp_path):
    from tuning.searching.failures import failure_file, failure_text, reason_of

    chained = "Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'a'\n\nDuring handling of it:\n\n"
    for message, reason in (
        (
            OF_TENSORFLOW,
            "ResourceExhaustedError: Graph execution error: OOM when allocating tensor with shape[2400000,",
        ),
        (f"{chained}Traceback (most recent call last):\n  a\n{OF_KERAS}", "Big.call(). a layer does not fit"),
        (f"{chained}{OF_TENSORFLOW}", "ResourceExhaustedError: Graph execution error: OOM when"),
        (f"{OF_TENSORFLOW}\n{chained.partition('During')[0]}", "KeyError: 'a'"),
        ("its process died 2 times in this trial", "its process died 2 times in this trial"),
    ):
        path = failure_file(tmp_path, "3")
        path.parent.mkdir(exist_ok=True)
        path.write_text(failure_text({"size": "96"}, message), "utf-8")
        assert reason in reason_of(tmp_path, "3")


def test_too_many_failed_trials_stop_the_search_until_more_may_fail(audited, tmp_path, monkeypatch):
    import tuning.search
    from tuning.searching.settings import RunSettings

    settings = settings_for("random", trials=8, only={**ONLY, "dropout": ["0.2", "0.4"]})
    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(FloatingPointError("the loss was not a number")))
        with pytest.raises(DataError, match=r"5 of 5 trials failed, more than --most-failed 0\.5 allows.*not a number"):
            tuning.search.search(audited, tmp_path, settings)
    with pytest.raises(DataError, match="5 of 5"):
        tuning.search.search(audited, tmp_path, settings)
    monkeypatch.setattr(tuning.search, "write_report", lambda *_, **__: None)
    tuning.search.search(audited, tmp_path, settings, RunSettings(most_failed=1.0))
    assert [status for _, status, _ in found(tmp_path).values()] == ["FAILED"] * 5 + ["COMPLETED"] * 3


@pytest.mark.parametrize(
    ("fails", "lengths"),
    [
        (lambda count: count % 2 == 0, {1: 9, 3: 3 + 5, 9: 1 + 2 + 3}),  # half of the trials, short and long ones
        (lambda count: count in range(3, 10), {1: 9, 3: 2 + 5, 9: 1 + 2 + 3}),  # seven of nine, before two rungs
    ],
)
def test_every_bracket_of_hyperband_has_its_long_trials_though_short_ones_fail(
    audited, tmp_path, monkeypatch, fails, lengths
):
    import tuning.search
    from tuning.searching.settings import RunSettings

    train, count = Formula.train, itertools.count(1)

    def fails_at_times(self: Formula, *given: Any) -> dict[str, float]:
        if fails(next(count)):
            raise FloatingPointError("the loss was not a number")
        return train(self, *given)

    monkeypatch.setattr(Formula, "train", fails_at_times)
    monkeypatch.setattr(tuning.search, "write_report", lambda *_, **__: None)
    tuning.search.search(audited, tmp_path, settings_for("hyperband", epochs=9), RunSettings(most_failed=1.0))
    drawn = [values for values, _, _ in found(tmp_path).values()]
    assert Counter(values["tuner/epochs"] for values in drawn) == lengths
    kept = json.loads((tmp_path / "tuner" / "oracle.json").read_text("utf-8"))["trials"]
    scores = {name: trial["score"] for name, trial in kept.items() if trial["status"] == "COMPLETED"}
    first = sorted(scores.keys() & set(sorted(kept)[:9]), key=lambda name: (scores[name], name))
    gone_on = {
        values["tuner/trial_id"] for values in drawn if (values["tuner/bracket"], values["tuner/round"]) == (2, 1)
    }
    assert gone_on == set(first[:3])


def test_a_search_without_a_result_says_whether_no_trial_has_ended_or_all_have_failed(audited, begun, monkeypatch):
    import tuning.search
    from tuning.searching.settings import RunSettings

    settings, finish = settings_for("random"), RunSettings(finish=True, most_failed=1.0)
    with pytest.raises(DataError, match=r"No trial of .* has ended, so it has no result yet.*without --finish"):
        tuning.search.search(audited, begun, settings, finish)
    monkeypatch.setattr(Formula, "train", failing(ValueError("a layer does not fit")))
    for run in (RunSettings(), finish):
        with pytest.raises(DataError, match=r"All 5 trials failed, the last one with 'ValueError.*another --out"):
            tuning.search.search(audited, begun, settings, run)


def test_a_fault_of_the_data_ends_the_search_and_no_trial_counts_as_failed(audited, begun, monkeypatch):
    import tuning.search

    with monkeypatch.context() as patch:
        patch.setattr(Formula, "train", failing(DataError("All 9 validation films have the grade 2")))
        with pytest.raises(DataError, match="All 9 validation films"):
            tuning.search.search(audited, begun, settings_for("random"))
    search_without_report(audited, begun, settings_for("random"), monkeypatch)
    assert len(found(begun)) == 5

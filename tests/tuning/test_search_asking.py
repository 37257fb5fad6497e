"""A worker asks its chief through a network that loses questions and answers."""

import re
import shutil
from collections import Counter
from typing import Any

import grpc
import pytest

from ..support.formula import Formula
from ..support.search_runs import oracle_in, settings_for

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("formulas")]


class DroppedError(grpc.RpcError):
    """The connection to the chief is gone."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


class Connection:
    """Stands for the network between a worker and its chief: it drops a question of each kind, or six answers."""

    def __init__(self, oracle: Any, fault: str):
        self.oracle, self.fault, self.dropped = oracle, fault, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        one = getattr(self.oracle, name)

        def ask(*given: Any, **named: Any) -> Any:
            if self.dropped[name] == (6 if self.fault == "answers" else 1):
                return one(*given, **named)
            self.dropped[name] += 1
            if self.fault == "answers":
                one(*given, **named)
            if self.fault == "killed" and name == "end_trial":
                self.oracle.reload()
            raise DroppedError

        return ask if callable(one) else one


def test_an_error_of_the_chief_itself_is_said_and_not_that_it_has_ended(tmp_path, capsys):
    from keras_tuner.src import protos

    from tuning.searching.asking import say_unanswered
    from tuning.searching.workers import LOOPBACK, serving

    with serving(oracle_in(tmp_path), LOOPBACK) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        service: Any = protos.get_service()
        chief = protos.get_service_grpc().OracleStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            chief.UpdateTrial(service.UpdateTrialRequest(trial_id="99"), timeout=60)
    say_unanswered(tmp_path, caught.value)
    assert re.search(r"answers with an error, UNKNOWN: .*99", said := capsys.readouterr().err)
    assert "ended" not in said
    say_unanswered(tmp_path, DroppedError())
    assert "has ended; start it again" in capsys.readouterr().err


def test_a_worker_whose_search_was_removed_reports_nothing_to_the_next_one(audited, tmp_path):
    import keras_tuner as kt

    from tuning.searching.live import Doing, Sign
    from tuning.searching.tuner import SearchTuner

    oracle, sign, settings = oracle_in(tmp_path), Sign(tmp_path, "old"), settings_for("random")

    def begin_anew(*doing: object) -> None:
        shutil.rmtree(tmp_path / "live")
        Sign(tmp_path, "chief")

    tuner = SearchTuner(oracle, tmp_path, settings, Formula(audited, settings, tmp_path), begin_anew)
    tuner.check = sign.check
    with pytest.raises(kt.errors.FatalError, match="was removed while old trained a trial of its search"):
        tuner.search(verbose=0)
    assert oracle.ended() == []
    assert [trial.metrics.metrics for trial in oracle.trials.values()] == [{}]
    assert list((tmp_path / "tuner").rglob("answers.npz")) == []
    sign.show(Doing("old"))
    assert not sign.path.exists()


@pytest.mark.parametrize("fault", ["questions", "killed", "answers"])
def test_a_trial_does_not_fail_by_the_network_though_its_chief_was_killed_and_is_back(
    audited, tmp_path, monkeypatch, fault
):
    import tuning.searching.asking as asking
    from tuning.searching.live import CHIEF, Sign
    from tuning.searching.tuner import SearchTuner

    monkeypatch.setattr(asking, "AGAIN_S", 0.0)
    oracle, settings = oracle_in(tmp_path), settings_for("random")
    Sign(tmp_path, CHIEF)
    tuner = SearchTuner(oracle, tmp_path, settings, Formula(audited, settings, tmp_path), lambda *_: None)
    connection = Connection(oracle, fault)
    tuner.oracle = asking.PatientOracle(connection, tmp_path)
    tuner.search(verbose=0)
    assert connection.dropped.keys() == {"create_trial", "get_trial", "update_trial", "end_trial"}
    assert [(trial.trial_id, trial.status) for trial in oracle.ended()] == [(str(n), "COMPLETED") for n in range(5)]
    assert all(trial.score for trial in oracle.ended())


def test_a_worker_ends_and_its_trial_does_not_where_the_chief_has_ended_by_itself(audited, tmp_path):
    import keras_tuner as kt

    from tuning.searching.asking import PatientOracle
    from tuning.searching.tuner import SearchTuner

    oracle, settings = oracle_in(tmp_path), settings_for("random")
    tuner = SearchTuner(oracle, tmp_path, settings, Formula(audited, settings, tmp_path), lambda *_: None)
    connection = Connection(oracle, "questions")
    connection.dropped["create_trial"] = 1
    tuner.oracle = PatientOracle(connection, tmp_path)
    with pytest.raises(kt.errors.FatalError, match="the chief does not answer"):
        tuner.search(verbose=0)
    assert oracle.ended() == []
    assert not (tmp_path / "failed").exists()

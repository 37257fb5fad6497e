"""Which trial of a Hyperband bracket goes on to the next rung, though others of its rung have failed.

Keras Tuner promotes when more trials have finished than a rung leaves behind. A trial that has failed never finishes,
so two failures in a bracket of five would leave it without its long trials.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_tuner.engine import trial as trials

ENDED = (trials.TrialStatus.COMPLETED, trials.TrialStatus.FAILED)


def promoted(
    rounds: Sequence[Sequence[Mapping[str, Any]]],
    sizes: Sequence[int],
    known: Mapping[str, trials.Trial],
    lower_is_better: bool,
) -> tuple[int, trials.Trial] | None:
    """Return the next trial that goes on, and the number of the rung to which; None while none is certain to.

    A trial is certain to go on when it would even if every trial that has not ended became better. When all have ended,
    the best ones go on, as many as the next rung has places for or as have completed.

    Args:
        rounds: The rungs of the bracket as Keras Tuner keeps them. The first one has all of its trials.
        sizes: How many trials each rung is planned to have.
        known: All trials of the search.
        lower_is_better: Whether a lower score is the better one.
    """
    expected = sizes[0]
    for number in range(1, len(rounds)):
        before = [known[place["id"]] for place in rounds[number - 1]]
        going_on = {place["past_id"] for place in rounds[number]}
        completed = [trial for trial in before if trial.status == trials.TrialStatus.COMPLETED]
        waited_for = expected - sum(trial.status in ENDED for trial in before)
        ready = [trial for trial in completed if trial.trial_id not in going_on]
        if ready and waited_for < sizes[number] - len(going_on):
            return number, (min if lower_is_better else max)(ready, key=_score)
        expected = min(sizes[number], len(completed) + waited_for)
    return None


def _score(trial: Any) -> float:  # Keras Tuner's type says None, which a completed trial's score is not
    return trial.score

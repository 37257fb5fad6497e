"""Step 2: Keras Tuner searches the space of architectures for the probabilities that validation films fit best.

    python -m tuning search --data runs/audit --out runs/search --only size=128,160 --workers 2

Writes trials.csv, report.md with plots, and best.json. A search that was killed goes on where it was. With a pack in
place of the audit, one accelerator trains the trials.
"""

import gc
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import grpc
import keras_tuner as kt

from kneeoa_hub.errors import DataError, KneeOAError, OutputError, SettingsError

from .run import steps
from .run.console import Progress
from .run.folder import no_room, only_run
from .searching.asking import PatientOracle, say_unanswered
from .searching.choice import choose
from .searching.cost import complete_costs
from .searching.durable import STATE, Durable
from .searching.failures import FAILED, reason_of
from .searching.folds import check_folds
from .searching.limits import Limits
from .searching.live import HERE, LOST_CODE, WAIT_S, Doing, Sign, forget_signs, keep_renewing, renewed
from .searching.oracle import oracle_of
from .searching.records import DamagedTrial, as_begun, check_worker, options_of, read_trials, settings_of
from .searching.renewal import most_trials, renewing
from .searching.report import write_report
from .searching.settings import RunSettings, SearchSettings, planned_epochs, planned_trials
from .searching.space import named_points, space_of
from .searching.tuner import SearchTuner, Trainer, progress_of
from .searching.workers import address_of, check_run, conduct, role_of_environment, worker_name
from .training import pack
from .training.plan import PRECISIONS
from .training.search_result import FOLDER, RESULT, STATES, write_result


def search(
    source: Path, out: Path, settings: SearchSettings = SearchSettings(), run: RunSettings = RunSettings()
) -> Path:
    """Write trials.csv, report.md with plots, and best.json to `out`, and return it.

    A trial that fails leaves its traceback in failed/. On a pack, the trials are trained where Keras runs on JAX; the
    result is written where it runs on TensorFlow, with `run.finish`, since what a network costs is measured there.

    Args:
        source: Output folder of the audit, or a pack of one.
        out: A new folder, or one in which the same search was stopped.
        settings: The options of the search.
        run: How it is run; another choice goes on with the same search.

    Raises:
        SettingsError: An option has a value that does not exist, or a search on a pack does not have it.
        DataError: No trial finished, too many failed, the films are too few for the folds, or the folder holds another
            search.
        OutputError: The disk is full.
    """
    run = replace(run, role=run.role or role_of_environment())
    if run.role == "worker":
        work(out, run)
        return out
    packed = pack.is_pack(source)
    if packed:
        settings = _on_accelerator(settings, run)
    space = space_of(settings)
    check_run(run)
    audit, content = pack.audit_of(source) if packed else (steps.find_input(source, "audit"), None)
    check_folds(audit, settings)
    record = options_of(settings, space) | ({"pack": pack.content_of(source)} if packed else {})
    steps.begin(out, "search", str(audit), as_begun(out, record), content)
    oracle = oracle_of(settings, space, list(named_points(space).values()) if settings.named else [])
    if (out / RESULT).exists():
        _mend_trials(oracle, out, settings)
        return out
    oracle.most_failed = run.most_failed
    with renewing() as began, only_run(out):
        _check_begun(out)
        oracle.take_up(out)
        with oracle.stopping_in_order():
            if run.finish:
                complete_costs(oracle, settings)
            elif run.workers or run.role:
                conduct(oracle, audit, out, settings, run)
            else:
                _train_here(oracle, source if packed else audit, out, settings, run, began)
        _check_ended(oracle, out, settings, run)
        if packed and not run.finish:
            return out
        trials = read_trials(out / FOLDER, settings)
        forget_signs(out)
        write_report(out, out, finished=True)
        ensemble = choose(trials, out)
        for sentence in ensemble.left_out:
            print(f"   {sentence}", file=sys.stderr)
        chosen = [one.trial.trial for one in ensemble.chosen]
        write_result(out, trials, settings.tuner, settings.objective, chosen, ensemble.left_out)
        shutil.rmtree(out / STATES, ignore_errors=True)
    return out


def work(out: Path, run: RunSettings) -> None:
    """Train trials of the search in a folder until its chief has none left. The folder holds the options.

    Raises:
        DataError: The folder holds no search, its films can't be used, or this process has another search space.
        SettingsError: The chief's address is missing.
    """
    host, port = address_of(run)
    os.environ |= {"KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": str(port)}
    os.environ["KERASTUNER_TUNER_ID"] = name = worker_name()
    ends = time.monotonic() + WAIT_S
    while not (out / steps.RECORD).is_file():  # its chief may start later
        if time.monotonic() > ends:
            raise DataError(f"{out} holds no search; start its chief, with the same --out.")
        time.sleep(1)
    if (out / RESULT).exists():
        return
    settings = settings_of(out)
    check_worker(out, settings)  # before its sign of life, by which the chief would hear of the error and end
    trainer = _trainer(Path(steps.read_record(out)["input"]), out, settings)
    gc.freeze()  # between two trials, the search for garbage need not pass through all that was imported
    sign = Sign(out, name)
    keep_renewing(sign, out)
    try:
        tuner = SearchTuner(
            oracle_of(settings, space_of(settings), ()),
            out,
            settings,
            trainer,
            lambda trial, done, epochs: sign.show(Doing(name, trial, done, epochs)),
            run.tensorboard,
        )
        tuner.most_trials, tuner.check = most_trials(), sign.check
        tuner.oracle = PatientOracle(tuner.oracle, out)
        with renewing():
            _run(tuner)
    except KneeOAError as error:
        sign.end_by(error)
        raise
    except KeyboardInterrupt:
        sign.remove()
        raise
    except grpc.RpcError as error:  # the chief has ended by itself, or has an error of its own
        say_unanswered(out, error)
        sign.remove()
        raise SystemExit(LOST_CODE) from None
    sign.remove()


def _on_accelerator(settings: SearchSettings, run: RunSettings) -> SearchSettings:
    """Return the options of a search on a pack. Raises SettingsError for those that it does not have."""
    for option, given in (
        ("--workers", run.workers),
        ("--role", run.role),
        ("--tensorboard", run.tensorboard),
        ("--folds", settings.folds),
        ("--precision", "" if settings.precision == PRECISIONS[0] else settings.precision),
    ):
        if given:
            raise SettingsError(f"{option} {given}: a search on the films of a pack has no such option; leave it out.")
    return replace(settings, accelerated=True)


def _trainer(source: Path, out: Path, settings: SearchSettings) -> Trainer:
    """Return what trains trials on the films of an audit or, on an accelerator, of a pack.

    Each needs packages that the other one does without.
    """
    if settings.accelerated:
        from .searching.on_pack import PackTrainer

        return PackTrainer(source, out, settings)
    from .searching.trial import TrialTrainer

    return TrialTrainer(source, settings, out)


def _train_here(
    oracle: Durable, source: Path, out: Path, settings: SearchSettings, run: RunSettings, began: float
) -> None:
    """Train the trials that are left, one after the other, in this process.

    Args:
        oracle: What draws the trials.
        source: The audit's folder, or a pack.
        out: Output folder of the search.
        settings: The options of the search.
        run: How it is run.
        began: When this run began, by time.monotonic().
    """
    sign, limits = Sign(out, HERE), Limits(out, oracle, run.hours, began)
    before, _ = progress_of(oracle.ended(), (), settings)
    with (
        renewed(sign),
        Progress(f"search, {settings.tuner}", planned_epochs(settings), before, "starting") as progress,
    ):
        trainer = _trainer(source, out, settings)

        def watch(trial: str, done: int, epochs: int) -> None:
            limits.check()
            doing = Doing(HERE, trial, done, epochs)
            sign.show(doing)
            progress.at(*progress_of(oracle.ended(), [doing], settings))

        tuner = SearchTuner(oracle, out, settings, trainer, watch, run.tensorboard)
        # An accelerator's process keeps the networks that it has compiled, and little else.
        tuner.most_trials = 0 if settings.accelerated else most_trials()
        _run(tuner)


def _run(tuner: SearchTuner) -> None:
    """Train trials until none is left; raises what a trial raised that was no fault of its own."""
    try:
        tuner.search(verbose=0)
    except kt.errors.FatalError as error:
        raise error.__cause__ or error from None
    except OSError as error:  # between two trials
        raise no_room(tuner.out, error) from None


def _mend_trials(oracle: Durable, out: Path, settings: SearchSettings) -> None:
    """Write the trial files of a search that has ended anew where one is damaged.

    Raises DataError where that mends nothing, or a trial has a choice that this process does not know.

    Args:
        oracle: What drew the trials.
        out: Output folder of the search.
        settings: The options of the search.
    """
    try:
        read_trials(out / FOLDER, settings)
    except DamagedTrial:
        with only_run(out):
            _check_begun(out)
            oracle.take_up(out)
        read_trials(out / FOLDER, settings)


def _check_begun(out: Path) -> None:
    if list(out.glob(f"{FOLDER}/trial_*")) and not (out / FOLDER / STATE).is_file():
        raise DataError(
            f"{out / FOLDER} holds trials, but no {STATE} that says which are done; bring it back, or remove {out} to"
            " search anew."
        )


def _check_ended(oracle: Durable, out: Path, settings: SearchSettings, run: RunSettings) -> None:
    """Raise DataError or OutputError when the search can't end with a result.

    Args:
        oracle: What drew the trials.
        out: Output folder of the search.
        settings: The options of the search.
        run: How it is run.
    """
    failed, ended = oracle.failed, oracle.ended()
    if oracle.fault:
        raise OutputError(f"{oracle.fault}; make room, and give the same command again to go on.")
    if not ended:
        raise DataError(f"No trial of {out} has ended, so it has no result yet; give the command without --finish.")
    if not oracle.too_many_failed and len(failed) < len(ended):
        return
    said = f"the last one with {reason_of(out, failed[-1])!r}. Read why in {out / FAILED}."
    may_go_on = oracle.too_many_failed and len(ended) < planned_trials(settings) and not run.finish
    if len(failed) == len(ended) and not may_go_on:
        raise DataError(f"All {len(ended)} trials failed, {said} Mend the cause, and search anew with another --out.")
    raise DataError(
        f"{len(failed)} of {len(ended)} trials failed, more than --most-failed {run.most_failed:g} allows; {said} With"
        " a higher --most-failed it goes on."
    )

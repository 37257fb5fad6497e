"""A search by several processes: a chief that draws the trials, and workers that train them, by Keras Tuner's gRPC.

Its messages carry no password and are not encrypted: who reaches the port can end trials with any result. It belongs on
the loopback address or in a private network (docs/search-cluster.md).
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from kneeoa_hub.errors import DataError, SettingsError
from kneeoa_hub.settings import usable_cores

from ..run.console import Progress
from ..run.extensions import LOADED
from .durable import Durable
from .limits import Limits
from .live import CHIEF, CHIEF_PID, LOST_CODE, Doing, Listener, Sign, check_faults, doing_now, forget_faults
from .settings import RunSettings, SearchSettings, planned_epochs
from .tuner import progress_of

LOOPBACK = "127.0.0.1:0"
"""Where the chief of one machine listens, on a free port."""
WATCH_S, END_S = 0.2, 10.0
"""Seconds between two looks at the workers, and that they have to end."""
STARTS = 3
"""Times that a worker may die before it asks for a trial."""
CLEAN_ERRORS = (1, 2)
"""Exit codes of a worker that has said in its last line why it can't go on."""


@dataclass
class LocalWorker:
    """A worker process on this machine: its name, its number, its process, and how often it died without a trial."""

    name: str
    number: int
    process: subprocess.Popen[bytes]
    idle_deaths: int = 0


def address_of(run: RunSettings) -> tuple[str, int]:
    """Return host and port of the chief. Raises SettingsError where none is given, or a wrong one."""
    host, port = os.environ.get("KERASTUNER_ORACLE_IP", ""), os.environ.get("KERASTUNER_ORACLE_PORT", "")
    given = run.address or (f"{host}:{port}" if host else "")
    host, _, port = given.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 2**16):
        raise SettingsError(
            f"--address {given or 'is missing'}: give the chief's HOST:PORT, such as 10.0.0.5:8790, or set"
            " KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT."
        )
    return host, int(port)


def check_run(run: RunSettings) -> None:
    """Raise SettingsError where a search can't be run in this way."""
    if not run.hours >= 0:
        raise SettingsError(f"--hours {run.hours:g}: give a number of hours, or 0 for no limit.")
    if run.role:
        address_of(run)
    elif "KERASTUNER_ORACLE_IP" in os.environ and not (run.workers or run.finish):
        raise SettingsError(
            "KERASTUNER_ORACLE_IP is set, but KERASTUNER_TUNER_ID is not: set it too, or give --role chief or worker;"
            " for a search in this process alone, unset KERASTUNER_ORACLE_IP."
        )


def role_of_environment() -> str:
    """Return the role of a process that is started as Keras Tuner describes, by its environment alone."""
    if not {"KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP"} <= set(os.environ):
        return ""
    return CHIEF if CHIEF in os.environ["KERASTUNER_TUNER_ID"] else "worker"


def worker_name() -> str:
    """Return the name of a worker. No other one has it, but for what a task of a Slurm step starts in the background.

    A restarted worker has its name again where that was given or holds the number of a task, not of a process.

    Slurm sets SLURM_PROCID in batch scripts too, where it is 0 in each. It numbers the tasks of a step alone.
    """
    given = os.environ
    job = given.get("SLURM_JOB_ID", "")
    if "SLURM_STEP_ID" in given:
        place = f"{job}.{given['SLURM_STEP_ID']}.{given.get('SLURM_PROCID', os.getpid())}"
    else:
        place = given.get("JOB_COMPLETION_INDEX") or f"{job}.{os.getpid()}".removeprefix(".")
    name = given.get("KERASTUNER_TUNER_ID") or f"worker-{socket.gethostname()}-{place}"
    return name.replace(CHIEF, "host")  # Keras Tuner takes whoever has that word in its name for the chief


def conduct(oracle: Durable, audit: Path, out: Path, settings: SearchSettings, run: RunSettings) -> None:
    """Have the trials of a search trained by workers, until none is left.

    Nobody is waited for where an earlier run came so far: its workers may have ended for good.

    Args:
        oracle: What draws the trials.
        audit: Output folder of the audit.
        out: Output folder of the search.
        settings: The options of the search.
        run: How it is run.

    Raises:
        DataError: A worker can't go on or dies as soon as it starts, or the time is over.
        OutputError: The disk is full, or one of a worker.
        SettingsError: The chief can't listen at its address.
    """
    if oracle.nothing_left:
        return
    address = "{}:{}".format(*address_of(run)) if run.role else LOOPBACK
    listener, limits = Listener(out), Limits(out, oracle, run.hours)
    workers: list[LocalWorker] = []
    before, _ = progress_of(oracle.ended(), (), settings)
    with serving(oracle, address) as port, Progress("search", planned_epochs(settings), before) as progress:
        sign = Sign(out, CHIEF)
        forget_faults(out)
        try:
            here = address if run.role else f"127.0.0.1:{port}"
            workers += [_start(audit, out, run, here, number) for number in range(run.workers)]
            while not (oracle.stopped and not oracle.askers() and all(one.process.poll() == 0 for one in workers)):
                for worker in [worker for worker in workers if worker.process.poll() not in (None, 0)]:
                    workers[workers.index(worker)] = _replaced(worker, oracle, audit, out, run, here)
                mine = {worker.name for worker in workers}
                for name in oracle.askers() - mine:
                    if listener.lost(name):
                        oracle.release(name, f"{name} gave no sign of life any more")
                        progress.say(f"   {name} gives no sign of life; its trial is trained again")
                limits.check()
                check_faults(out)
                sign.renew()
                progress.at(*progress_of(oracle.ended(), doing_of(oracle, out), settings))
                time.sleep(WATCH_S)
            progress.at(*progress_of(oracle.ended(), (), settings))  # a trial may have ended since
        finally:
            _end(workers)
            sign.remove()


def doing_of(oracle: Durable, out: Path) -> list[Doing]:
    """Return what the workers do whose signs name the trials that they have from the oracle.

    Other signs are of an earlier run, or of workers that have been given up.
    """
    training = oracle.training()
    return [one for one in doing_now(out) if training.get(one.process) == one.trial]


@contextmanager
def serving(oracle: Durable, address: str) -> Iterator[int]:
    """Answer the workers' questions for trials while the block runs. Yields the port."""
    server = grpc.server(ThreadPoolExecutor(1))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise SettingsError(f"--address {address}: the chief can't listen there; give a free port of this machine.")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=1).wait()


def _start(audit: Path, out: Path, run: RunSettings, address: str, number: int) -> LocalWorker:
    """Start a worker on this machine, with its part of the cores, or with a GPU of its own."""
    name, host, port = f"worker-{number}", *address.rsplit(":", 1)
    threads = str(max(1, usable_cores() // run.workers))
    gpus = _gpus()
    environment = {
        **os.environ,
        "KERASTUNER_TUNER_ID": name,
        "KERASTUNER_ORACLE_IP": host,
        "KERASTUNER_ORACLE_PORT": port,
        CHIEF_PID: str(os.getpid()),
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        **({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}),
    }
    command = [sys.executable, "-m", "tuning", *(word for file in LOADED for word in ("--with", str(file)))]
    command += ["search", "--data", str(audit), "--out", str(out), "--role", "worker"]
    command += ["--tensorboard"] if run.tensorboard else []
    _log(out, name).parent.mkdir(exist_ok=True)
    with _log(out, name).open("ab") as log:
        # In a session of its own: Ctrl-C reaches the chief alone, which ends its workers.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    return LocalWorker(name, number, process)


def _replaced(
    worker: LocalWorker, oracle: Durable, audit: Path, out: Path, run: RunSettings, address: str
) -> LocalWorker:
    """A new process for a worker that died. Raises DataError where that would not help."""
    code, log = worker.process.returncode, _log(out, worker.name)
    if code in CLEAN_ERRORS:
        check_faults(out)
        raise DataError(f"{_last_line(log)} (said by {worker.name}; {log} has more)")
    died = f"{worker.name} was ended by signal {-code}" if code < 0 else f"{worker.name} ended with code {code}"
    had_trial = oracle.release(worker.name, died, killed=code != LOST_CODE)
    idle_deaths = 0 if had_trial else worker.idle_deaths + 1
    if idle_deaths >= STARTS:
        raise DataError(f"{died}, {STARTS} times before it trained anything; read why in {log}.")
    new = _start(audit, out, run, address, worker.number)
    new.idle_deaths = idle_deaths
    return new


def _end(workers: Sequence[LocalWorker]) -> None:
    """End the workers that still run; what they train is trained again by a later run."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        try:
            worker.process.wait(END_S)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()


def _log(out: Path, name: str) -> Path:
    return out / "logs" / f"{name}.log"


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "A worker ended without a word."


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA numbers them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [one for one in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if one]
    return [str(number) for number, _ in enumerate(sorted(Path("/dev").glob("nvidia[0-9]*")))]

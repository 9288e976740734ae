"""Complete a grid of runs, resumably, on any executor."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pandas as pd

from batchtime.errors import BatchtimeError, SweepError, WorkloadError
from batchtime.runs.experiment import Experiment
from batchtime.runs.provenance import versions
from batchtime.runs.records import Progress, RunRecord, unwatched
from batchtime.runs.spec import PROTOCOL_VERSION, Device, RunSpec, SweepSpec
from batchtime.runs.store import Store, data_folder, writing
from batchtime.train.command import run_command

GPU_SLOT = "GPU"
"""The Dask resource of which a worker offers one for each run that its GPU has room for."""


class OtherCode(UserWarning):
    """Recorded runs are of other code than that of today, under the same version."""


def known_runs(runs: Sequence[RunSpec], recorded: Sequence[RunRecord]) -> dict[RunSpec, RunRecord]:
    """Return those of some runs that are recorded, each by its first record.

    Runs of another project, whose module and version have the same names and whose code is other code in another
    folder, are none of them. Runs of this project that other code made under the same version are, with a warning.
    """
    found: dict[RunSpec, RunRecord] = {}
    asked, edited = {spec: spec.setting.workload.source for spec in runs}, 0
    for record in recorded:
        spec = record.spec
        if spec not in asked or spec in found:
            continue
        source, there = asked[spec], spec.setting.workload.source
        if source is not None and there is not None:
            if source.of_another_project(there):
                continue
            edited += source.edited(there)
        found[spec] = record
    if edited:
        source = next(source for source in asked.values() if source is not None)
        warnings.warn(
            f"{edited} runs of {source.function} were made by other code under the same version {source.version!r}; "
            "raise the version of its Task if that code would need other updates",
            OtherCode,
            stacklevel=3,
        )
    return found


def missing_runs(runs: Sequence[RunSpec], recorded: Sequence[RunRecord]) -> list[RunSpec]:
    """Return those of some runs that are not recorded yet, the longest first, so that no worker is left waiting."""
    done = known_runs(runs, recorded)
    return sorted((spec for spec in runs if spec not in done), key=lambda spec: -spec.batch_size)


def complete(
    sweep: SweepSpec | Sequence[RunSpec],
    *,
    name: str,
    store: Store,
    workers: int | None = None,
    executor: Executor | None = None,
    device: Device = "cpu",
    progress: Progress = unwatched,
) -> list[RunRecord]:
    """Return the records of every run of a sweep, in the sweep's order, training those that are not recorded.

    Each record is on the disk before the next one is asked for, so that a sweep that is stopped in any way loses the
    runs in flight and no other; calling this again goes on from there. Nothing is imported or started that trains
    where nothing is missing.

    Args:
        sweep: The grid, or some runs.
        name: Under which name the runs are recorded.
        store: Where they are recorded.
        workers: Processes to train in, one thread each; None for one a processor.
        executor: Where to run instead, for instance on a `cluster`; it must be able to import this package.
        device: What each worker trains on.
        progress: Called with the runs done and the runs of the sweep, first with what was recorded.

    Raises:
        SweepError: If a worker died, or is not fit for these runs.
        StoreError: If records cannot be read or written.
    """
    runs = sweep.runs() if isinstance(sweep, SweepSpec) else sweep
    if len(kept := _records_of(runs, store.runs(name))) == len(runs):
        return kept
    with writing(store.runs_file(name)) as writer:
        missing = missing_runs(runs, store.runs(name))  # again, now that nobody else can add any
        total = len(runs)
        done = total - len(missing)
        progress(done, total)
        commands = store.commands_folder(name)
        with pool(workers) if executor is None else contextlib.nullcontext(executor) as running:
            futures = [running.submit(train, spec, *_terms(spec, device, commands)) for spec in missing]
            try:
                for future in as_completed(futures):
                    writer.append(_result(future))
                    done += 1
                    progress(done, total)
            except BrokenProcessPool as error:
                message = f"a worker process died; {done} of {total} runs are recorded: run it again to go on"
                raise SweepError(message) from error
            finally:
                for future in futures:
                    future.cancel()
    return _records_of(runs, store.runs(name))


def _terms(spec: RunSpec, device: Device, commands: Path) -> tuple[Any, ...]:
    """Return on what terms a worker trains a run: the versions of what its result depends on, and where."""
    expected = versions()
    if spec.setting.workload.command is None:
        return expected, device
    return {"batchtime": expected["batchtime"]}, device, commands


def sweep(chosen: Experiment, *, store: Store | None = None, workers: int | None = None) -> pd.DataFrame:
    """Train every run of a sweep that is not recorded yet, and return all of them as a frame.

    Args:
        chosen: What `experiment` returned, or `own_experiment`.
        store: Where runs are recorded; None for the usual folder.
        workers: Processes to train in, one thread each; None for one a processor.

    Returns:
        A frame with batch_size, updates, learning_rate, seed, updates_lower and censored: what `fit` takes.

    Raises:
        SweepError: If a worker died, or is not fit for these runs.
        StoreError: If records cannot be read or written.

    Example:
        >>> sweep(experiment("digits-mlp").changed(batch_sizes=[16, 64], seeds=1), workers=1)["censored"].any()
        np.False_
    """
    if chosen.caution is not None:
        warnings.warn(chosen.caution, stacklevel=2)
    records = complete(chosen.sweep, name=chosen.name, store=store or Store(data_folder()), workers=workers)
    rows = [
        (
            record.batch_size,
            record.outcome.lower if record.outcome.upper is None else record.outcome.upper,
            record.setting.learning_rate.at(record.batch_size),
            record.seed,
            record.outcome.lower,
            record.outcome.upper is None,
        )
        for record in records
    ]
    columns = ["batch_size", "updates", "learning_rate", "seed", "updates_lower", "censored"]
    return pd.DataFrame(rows, columns=columns)


def complete_all(
    chosen: Mapping[str, Experiment], *, store: Store, workers: int | None = None
) -> dict[str, tuple[Experiment, list[RunRecord]]]:
    """Return several sweeps with their runs, by the same labels, training those that are not recorded."""
    return {
        label: (one, complete(one.sweep, name=one.name, store=store, workers=workers)) for label, one in chosen.items()
    }


def recorded(sweep: SweepSpec, *, name: str, store: Store) -> list[RunRecord]:
    """Return the runs of a sweep that are recorded, in the sweep's order; a published one before one's own."""
    return _records_of(sweep.runs(), store.runs(name))


def _records_of(runs: Sequence[RunSpec], found: Sequence[RunRecord]) -> list[RunRecord]:
    by_spec = known_runs(runs, found)
    return [by_spec[spec] for spec in runs if spec in by_spec]


def train(
    spec: RunSpec,
    expected: Mapping[str, str] | None = None,
    device: Device = "cpu",
    commands: Path | None = None,
) -> RunRecord:
    """Train one run in this process, with one thread, and alone: torch has one generator a process for all threads.

    Args:
        spec: The run.
        expected: Versions that the result depends on, where the run was asked for; None for whatever is here.
        device: What to train on.
        commands: Where a run of a command has its folder; None for that of temporary files.

    Raises:
        SweepError: If this process has others, for then its records would not be those of the others; or if it has no
            such device.
    """
    worker = f"the worker on {socket.gethostname()} (process {os.getpid()})"
    here = versions() | {"protocol": str(PROTOCOL_VERSION)}
    wanted = {**(expected or {}), "protocol": str(spec.setting.protocol_version)}
    differing = [
        f"{name} {here.get(name)} and not {version}" for name, version in wanted.items() if here.get(name) != version
    ]
    if differing:
        raise SweepError(f"{worker} has {', '.join(differing)}; give every worker the same environment")
    if spec.setting.workload.command is not None:
        return run_command(spec, folder=commands or Path(tempfile.gettempdir()) / "batchtime-commands", device=device)
    with _alone:
        import torch

        from batchtime.train.loop import train_to_target
        from batchtime.train.workloads import build, reason

        if device == "cuda" and not torch.cuda.is_available():
            raise SweepError(f"{worker} has no GPU that torch can use; start workers where one is, or use --device cpu")
        torch.set_num_threads(1)
        task, source = build(spec.setting.workload), spec.setting.workload.source
        try:
            return train_to_target(spec, task, device=device)
        except Exception as error:
            if source is None or isinstance(error, BatchtimeError):
                raise
            run = f"the run of batch size {spec.batch_size}, seed {spec.seed}"
            raise WorkloadError(
                f"{source.function} stopped in {run} ({reason(error)}); finished runs are kept"
            ) from error


_alone = threading.Lock()


def _result(future: "Future[RunRecord]") -> RunRecord:
    """Return what a worker made, or say in one line why it could not."""
    try:
        return future.result()
    except (BatchtimeError, BrokenProcessPool):
        raise
    except CancelledError as error:
        raise SweepError(
            "the scheduler dropped the runs in flight, or went away; finished runs are recorded: run it again to go on"
        ) from error
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SweepError(
            f"a run stopped ({reason}); finished runs are recorded: change the sweep, or run it again"
        ) from error


@contextlib.contextmanager
def pool(workers: int | None) -> Iterator[Executor]:
    """Open a pool of processes that end with this one, and at once when the block is left by an exception."""
    _check_main()
    context = multiprocessing.get_context("spawn")  # a forked child of a process that has used torch can hang
    pool = ProcessPoolExecutor(workers or os.cpu_count(), mp_context=context, initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):  # noqa: SLF001 - public only from Python 3.14 on
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _check_main() -> None:
    """Refuse to start processes from a script that would start them again in each of them.

    A new process imports the script that was started, and so comes to the same call, unless a guard keeps it away.

    Raises:
        SweepError: If the script has no guard.
    """
    main = sys.modules["__main__"]
    module = getattr(main.__spec__, "name", "") if getattr(main, "__spec__", None) else ""
    path = getattr(main, "__file__", None)
    if path is None or module.rpartition(".")[2] == "__main__":
        return
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if "__name__" not in text:
        raise SweepError(
            f"{Path(path).name} has no main guard, and each worker process would start the sweep again; put what it "
            'does below `if __name__ == "__main__":`'
        )


@contextlib.contextmanager
def cluster(address: str, *, device: Device = "cpu") -> Iterator[Executor]:
    """Connect to the scheduler of a Dask cluster, whose workers then train the runs.

    On GPUs a run goes to a worker with a free slot: one that was started with `--resources GPU=1`.

    A run whose worker dies is given to another worker. Workers need this package, the same version of it and of what
    its results depend on, and the data sets.

    Args:
        address: For instance "tcp://10.0.0.1:8786".
        device: What the workers train on.

    Raises:
        SweepError: If nobody answers there, or Dask is not installed.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise SweepError("a cluster needs Dask: pip install 'batchtime[cluster]'") from error
    for name in ("distributed", "distributed.client", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is raised, as one line
    try:
        calling = _in_a_thread(lambda: Client(address, timeout=_ANSWER_SECONDS, set_as_default=False))
        client = calling.result(timeout=1.5 * _ANSWER_SECONDS)
    except TypeError as error:  # what Dask says where an address with TLS is to be had without a certificate
        remedy = "name it in the environment, as the page on clusters says"
        raise SweepError(f"no certificate for the scheduler at {address}; {remedy}") from error
    except (OSError, ValueError) as error:
        raise SweepError(
            f"no scheduler answers at {address}; start one with `dask scheduler`, or name its address"
        ) from error
    try:
        if device == "cuda" and not any(
            GPU_SLOT in w["resources"] for w in client.scheduler_info(-1)["workers"].values()
        ):
            raise SweepError(
                f"no worker at {address} offers a GPU slot; start one with `dask worker {address} --resources GPU=1`"
            )
        yield client.get_executor(**({"resources": {GPU_SLOT: 1}} if device == "cuda" else {}))
    finally:
        client.close(timeout=_ANSWER_SECONDS)


def _in_a_thread(make: Callable[[], Any]) -> "Future[Any]":
    """Return what a call will make, in a thread left behind if need be: Dask waits forever for a scheduler with TLS."""
    made: Future[Any] = Future()

    def call() -> None:
        try:
            made.set_result(make())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            made.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return made


_ANSWER_SECONDS = 30  # a busy machine takes its time to shake hands


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def end_with_parent() -> None:
            wait([sentinel])
            os._exit(1)

        threading.Thread(target=end_with_parent, daemon=True).start()

"""Promises of a sweep on a cluster: the records of one machine, whoever dies meanwhile.

Scheduler, workers and drivers are real processes, on this machine.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batchtime import cli
from batchtime.errors import SweepError
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import Target
from batchtime.runs.store import Store
from batchtime.train.command import command_experiment
from batchtime.train.sweep import cluster as connected
from batchtime.train.sweep import complete, recorded, train

from .builders import at_a_terminal
from .test_sweep import results, wait_for_runs

SIZES, SEEDS = [64, 256], 5
DIGITS = experiment("digits-mlp").changed(batch_sizes=SIZES, seeds=SEEDS)


@dataclass
class Cluster:
    """A scheduler and its workers."""

    folder: Path
    port: int
    tls: tuple[str, ...] = ()
    scheduler: "subprocess.Popen[bytes] | None" = None
    workers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return f"{'tls' if self.tls else 'tcp'}://127.0.0.1:{self.port}"

    def start(self, *, workers: int) -> None:
        """Start the scheduler and some workers."""
        here = ["--host", "127.0.0.1", "--no-dashboard"]
        self.scheduler = self._dask("scheduler", *here, "--port", str(self.port))
        for _ in range(1200):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                break
            time.sleep(0.05)
        for _ in range(workers):
            self.add_worker()

    def add_worker(self, *words: str, **environment: str) -> None:
        """Start one more worker, with these words at the end of its command."""
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder)]
        self.workers.append(self._dask("worker", self.address, *options, *words, **environment))

    def _dask(self, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            program = str(Path(sys.executable).with_name("dask"))
            return subprocess.Popen([program, *words, *self.tls], stdout=log, stderr=log, env=os.environ | environment)

    def stop(self) -> None:
        """Kill what still runs."""
        for process in (*self.workers, self.scheduler):
            if process is not None:
                process.kill()
                process.wait()
        self.workers.clear()


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Return a running cluster of as many workers as the test says, or two."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
    folder = tmp_path / "dask"
    folder.mkdir()
    running = Cluster(folder=folder, port=port)
    try:
        running.start(workers=getattr(request, "param", 2))
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def expected() -> list[object]:
    """Return what the sweep records in this process."""
    return results([train(spec) for spec in DIGITS.sweep.runs()])


def words(data: Path, cluster: Cluster) -> list[str]:
    """Return the command that completes the sweep on a cluster."""
    changes = ["--batch-sizes", str(SIZES), "--seeds", str(SEEDS)]
    return ["sweep", "digits-mlp", "--data", str(data), *changes, "--scheduler", cluster.address]


def sweep(data: Path, cluster: Cluster) -> "subprocess.Popen[str]":
    """Start the sweep on a cluster, from the command line."""
    return at_a_terminal([str(Path(sys.executable).with_name("batchtime")), *words(data, cluster)])


def finish(process: "subprocess.Popen[str]") -> None:
    """Wait until the sweep has come to its end."""
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def in_order(data: Path) -> list[RunRecord]:
    """Return the records in the sweep's order, each run of which must be there once."""
    records = {record.spec: record for record in Store(data).runs("digits-mlp")}
    assert len(records) == len(Store(data).runs("digits-mlp"))
    return [records[spec] for spec in DIGITS.sweep.runs()]


def test_a_killed_worker_loses_no_run_and_all_records_are_those_of_one_process(
    cluster: Cluster, tmp_path: Path, expected: list[object]
) -> None:
    def kill() -> None:
        wait_for_runs(tmp_path, 2)
        cluster.workers[0].send_signal(signal.SIGKILL)

    with ThreadPoolExecutor(1) as aside:
        killed = aside.submit(kill)
        assert cli.main(words(tmp_path, cluster)) == 0
    killed.result()
    assert cluster.workers[0].wait(timeout=10) == -signal.SIGKILL
    assert results(in_order(tmp_path)) == expected


@pytest.mark.full
def test_a_sweep_goes_on_after_its_scheduler_and_its_driver_were_killed(
    cluster: Cluster, tmp_path: Path, expected: list[object]
) -> None:
    process = sweep(tmp_path, cluster)
    wait_for_runs(tmp_path, 2)
    cluster.stop()  # the scheduler first: its workers end for want of it
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (
        errors.strip().splitlines()[-1].startswith("batchtime: the scheduler dropped the runs in flight, or went away")
    )
    assert "Traceback" not in errors
    kept = Store(tmp_path).runs("digits-mlp")

    cluster.start(workers=2)
    process = sweep(tmp_path, cluster)
    wait_for_runs(tmp_path, len(kept) + 2)
    process.kill()
    process.communicate()
    assert Store(tmp_path).runs("digits-mlp")[: len(kept)] == kept

    finish(sweep(tmp_path, cluster))
    assert Store(tmp_path).runs("digits-mlp")[: len(kept)] == kept
    assert results(in_order(tmp_path)) == expected


@pytest.mark.parametrize("cluster", [0], indirect=True)
def test_a_worker_with_another_version_of_the_package_is_refused_by_name(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other" / "batchtime-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: batchtime\nVersion: 9.9\n")
    cluster.add_worker(PYTHONPATH=os.pathsep.join([str(other.parent), os.environ.get("PYTHONPATH", "")]))
    assert cli.main(words(tmp_path, cluster)) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("batchtime: the worker on ")
    assert "has batchtime 9.9 and not" in last
    assert not Store(tmp_path).runs_file("digits-mlp").exists()


@pytest.mark.full
@pytest.mark.parametrize("cluster", [1], indirect=True)
def test_runs_on_gpus_go_to_workers_with_a_slot_and_to_no_others(cluster: Cluster) -> None:
    with pytest.raises(SweepError, match=f"no worker at {cluster.address} offers a GPU slot; start one"):
        sweep_on(cluster, 1)
    cluster.add_worker("--resources", "GPU=1")
    wait_for_slot(cluster)
    assert set(sweep_on(cluster, 20)) == {cluster.workers[-1].pid}


def wait_for_slot(cluster: Cluster) -> None:
    """Wait until a worker that offers a slot has come."""
    for _ in range(600):
        with contextlib.suppress(SweepError):
            sweep_on(cluster, 1)
            return
        time.sleep(0.1)


def sweep_on(cluster: Cluster, calls: int) -> list[int]:
    """Return in which processes the calls of a sweep on GPUs are made."""
    with connected(cluster.address, device="cuda") as executor:
        return [future.result(timeout=60) for future in [executor.submit(os.getpid) for _ in range(calls)]]


def test_where_no_scheduler_answers_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("batchtime.train.sweep._ANSWER_SECONDS", 0.5)
    arguments = ["sweep", "digits-mlp", "--data", str(tmp_path), "--scheduler", "tcp://127.0.0.1:9"]
    assert cli.main(arguments) == 1
    assert capsys.readouterr().err.startswith("batchtime: no scheduler answers at tcp://127.0.0.1:9; start one")


@pytest.mark.long
def test_a_scheduler_with_tls_takes_work_from_who_holds_the_certificate_and_from_nobody_else(
    tmp_path: Path, expected: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=batchtime"]
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    subprocess.run(["openssl", *made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
    tls = ("--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key)
    running = Cluster(folder=tmp_path, port=port, tls=tls)
    monkeypatch.setattr("batchtime.train.sweep._ANSWER_SECONDS", 10)
    try:
        running.start(workers=2)
        for address in (running.address, running.address.replace("tls", "tcp")):
            with pytest.raises(SweepError), connected(address):
                pass
        for name, value in (("CA_FILE", certificate), ("CLIENT__CERT", certificate), ("CLIENT__KEY", key)):
            monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{name}", value)
        (tmp_path / "data").mkdir()
        finish(sweep(tmp_path / "data", running))
    finally:
        running.stop()
    kept = recorded(DIGITS.sweep, name="digits-mlp", store=Store(tmp_path / "data"))
    assert results(kept) == expected


PROGRAM = """
import json, os, sys, time
from pathlib import Path
size, out = int(sys.argv[1]), Path(sys.argv[2])
with Path(sys.argv[3]).open("a") as pids:
    print(os.getpid(), file=pids)
with (out / "log.jsonl").open("w") as log:
    for step in range(1, 41):
        time.sleep(0.05)
        print(json.dumps({"step": step, "val_acc": step / (20 + 40 / size)}), file=log, flush=True)
"""


@pytest.mark.full
def test_a_command_is_swept_on_a_cluster_and_a_worker_that_dies_takes_it_along(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "data").mkdir()
    started = tmp_path / "started.txt"
    words = f"{sys.executable} {tmp_path}/train.py {{batch_size}} {{out}} {started}"
    goal = Target(metric="val_acc", value=0.9, rises=True)
    chosen = command_experiment(words, target=goal, learning_rate=0.1, batch_sizes=[2, 4, 8, 16])
    store = Store(tmp_path / "data")

    def kill_one() -> None:
        while not started.exists():
            time.sleep(0.02)
        dying = cluster.workers.pop()
        dying.kill()
        dying.wait()

    killer = threading.Thread(target=kill_one)
    killer.start()
    with connected(cluster.address) as executor:
        made = complete(chosen.sweep, name=chosen.name, store=store, executor=executor)
    killer.join()
    assert [run.outcome.upper for run in made] == [36, 27, 23, 21]  # the least step with 0.9 (20 + 40 / M) or more
    assert len(store.runs(chosen.name)) == 4
    for pid in started.read_text().split():
        end = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()

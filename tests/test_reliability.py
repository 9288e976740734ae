"""Promises of a sweep when things go wrong: no finished run is lost, none is there twice, none is silently changed.

Processes and signals are real; only the runs are made up, so that hundreds of them take a second.
"""

import datetime as dt
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from batchtime.errors import StoreError, SweepError
from batchtime.runs.spec import PROTOCOL_VERSION, SweepSpec
from batchtime.runs.store import Store
from batchtime.train.sweep import complete, train

from .builders import setting
from .driver import grid
from .test_sweep import Here, results

SEEDS = 20  # of two batch sizes, for each short life of a driver: far more runs than it finishes


def drive(root: Path, folder: Path, *arguments: object) -> "subprocess.Popen[str]":
    """Start the process that completes the sweep, and wait until it is about to."""
    command = [sys.executable, "-m", "tests.driver", str(folder), *map(str, arguments)]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def whole_lines(path: Path) -> bytes:
    """Return what is whole of a file of records."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def check_complete(folder: Path, seeds: int) -> None:
    """Demand that each run of the sweep is recorded, and once."""
    specs = [record.spec for record in Store(folder).runs("a")]
    assert len(specs) == len(set(specs))
    assert set(specs) == set(grid(seeds).runs())


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.full)])
def test_kills_at_random_moments_lose_no_recorded_run_and_double_none(root: Path, tmp_path: Path, kills: int) -> None:
    path = Store(tmp_path).runs_file("a")
    moments = random.Random(0)  # noqa: S311 - no secret, and so below
    kept, seeds = b"", SEEDS * kills
    for _ in range(kills):
        process, more = drive(root, tmp_path, seeds), moments.randrange(15)  # some kills come before any record
        while process.poll() is None and whole_lines(path).count(b"\n") < kept.count(b"\n") + more:
            time.sleep(moments.uniform(0, 0.002))
        process.kill()
        process.communicate()
        assert whole_lines(path).startswith(kept)
        kept = whole_lines(path)
    assert 0 < kept.count(b"\n") < 2 * seeds
    process = drive(root, tmp_path, seeds)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert whole_lines(path).startswith(kept)
    check_complete(tmp_path, seeds)


def test_of_two_sweeps_at_once_one_is_refused_and_no_run_is_doubled(root: Path, tmp_path: Path) -> None:
    seeds = 2000  # some seconds: the other driver comes while the first one writes
    both = [drive(root, tmp_path, seeds) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 1]
    assert "another process is writing to" in errors[codes.index(1)]
    check_complete(tmp_path, seeds)


def test_a_full_disk_stops_the_sweep_in_one_line_and_keeps_what_is_recorded(root: Path, tmp_path: Path) -> None:
    process = drive(root, tmp_path, 20, 10_000)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "cannot write to" in errors
    assert "what it held is whole" in errors
    kept = Store(tmp_path).runs("a")
    assert 0 < len(kept) < 40
    process = drive(root, tmp_path, 20)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert Store(tmp_path).runs("a")[: len(kept)] == kept
    check_complete(tmp_path, 20)


def finished(root: Path, folder: Path) -> bytes:
    """Complete a small sweep and return its file."""
    process = drive(root, folder, 5)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return Store(folder).runs_file("a").read_bytes()


def test_a_file_torn_at_any_place_loses_its_last_run_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchtime.train.sweep.train", train_nothing)
    content, places = finished(root, tmp_path), random.Random(1)  # noqa: S311
    path = Store(tmp_path).runs_file("a")
    for _ in range(20):
        cut = places.randrange(1, len(content))
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")
        here = Here()
        complete(grid(5), name="a", store=Store(tmp_path), executor=here)
        assert len(here.calls) == 10 - whole
        assert path.read_bytes().splitlines()[:whole] == content.splitlines()[:whole]
        check_complete(tmp_path, 5)


def train_nothing(spec: object, _expected: object, _device: object) -> object:
    """Return a made-up record at once."""
    from .builders import record

    return record(batch_size=spec.batch_size, seed=spec.seed)  # type: ignore[attr-defined]


def test_a_flipped_bit_anywhere_is_never_read_as_a_run(root: Path, tmp_path: Path) -> None:
    content, places = finished(root, tmp_path), random.Random(2)  # noqa: S311
    path, store = Store(tmp_path).runs_file("a"), Store(tmp_path)
    honest = store.runs("a")
    for _ in range(100):
        flipped = bytearray(content)
        flipped[places.randrange(len(content))] ^= 1 << places.randrange(8)
        path.write_bytes(flipped)
        if flipped[-1:] == b"\n":
            with pytest.raises(StoreError, match=r"a\.jsonl, line \d+ is damaged"):  # the sweep does not go on over it
                complete(grid(6), name="a", store=store, executor=Here())
            assert path.read_bytes() == flipped
        else:
            assert store.runs("a") == honest[:-1]  # the end of the last line: it counts as torn


class JumpingClock(dt.datetime):
    """A clock that is set back by a year each time that somebody looks."""

    looks = 0

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "JumpingClock":
        """Return an ever earlier time."""
        cls.looks += 1
        return cls(2026 - cls.looks, 1, 1, tzinfo=tz)


def test_a_clock_that_jumps_changes_no_run_and_no_duration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = SweepSpec(setting=setting(), batch_sizes=(8, 32), seeds=(0, 1))
    expected = [train(spec) for spec in sweep.runs()]
    monkeypatch.setattr("batchtime.runs.provenance.datetime", JumpingClock)
    monkeypatch.setattr(time, "time", iter(range(10**9, 0, -(10**6))).__next__)
    records = complete(sweep, name="a", store=Store(tmp_path), executor=Here())
    assert results(records) == results(expected)
    assert len({record.provenance.date for record in records}) == 4
    assert all(0 < record.cost.evaluation_cpu_seconds < record.cost.cpu_seconds < 60 for record in records)
    here = Here()
    complete(sweep, name="a", store=Store(tmp_path), executor=here)
    assert here.calls == []


def test_runs_come_out_the_same_in_any_order_and_beside_any_others() -> None:
    one = SweepSpec(setting=setting(), batch_sizes=(4, 16, 64), seeds=(0, 1))
    others = SweepSpec(
        setting=setting(dataset="gaussian-noise", model="position", metric="loss"), batch_sizes=(8,), seeds=(0, 1)
    )
    expected = [train(spec) for spec in one.runs()]
    mixed = one.runs() + others.runs()
    random.Random(3).shuffle(mixed)  # noqa: S311 - an order is no secret
    by_spec = {spec: train(spec) for spec in mixed}
    assert results([by_spec[spec] for spec in one.runs()]) == results(expected)


def test_a_worker_with_other_versions_is_refused_by_name() -> None:
    spec = grid(1).runs()[0]
    with pytest.raises(SweepError, match=r"the worker on .* has torch \S+ and not 0\.1; give every worker the same"):
        train(spec, {"torch": "0.1"})
    old = replace(spec, setting=replace(spec.setting, protocol_version=PROTOCOL_VERSION + 1))
    with pytest.raises(SweepError, match=f"has protocol {PROTOCOL_VERSION} and not {PROTOCOL_VERSION + 1}"):
        train(old)

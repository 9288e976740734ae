"""The script for a GPU, tried on the processor: timings and runs are recorded, and it says when there is no GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchtime.runs.store import Store

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)


@pytest.mark.full
def test_the_script_records_timings_first_and_then_runs(tmp_path: Path) -> None:
    done = call("--minutes", "1", "--tiny", "--device", "cpu", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path, recording=True)
    for network in ("lenet", "gru"):
        timed = store.latest_timing(network)
        assert [one.batch_size for one in timed.timings] == [1, 8, 9]
    runs = store.runs("cifar10")
    assert {run.spec.batch_size for run in runs} == {32, 64}
    assert len({run.setting.workload.target.value for run in runs}) == 1


def test_without_a_gpu_the_script_says_how_to_try_it() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no GPU is at hand; --device cpu --tiny tries this script without one\n"

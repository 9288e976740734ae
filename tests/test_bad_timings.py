"""Timings that no machine makes are refused in one clear line, on the command line too."""

import re
from pathlib import Path

import numpy as np
import pytest

from batchtime import cli
from batchtime.errors import FitError
from batchtime.fit.measurements import UpdateTiming
from batchtime.fit.seconds import measured_seconds
from batchtime.fit.update_time import fit_update_time

RUNS = "batch_size,updates\n8,900\n32,400\n128,260\n512,230\n"
HEAD = "batch_size,seconds"


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) in (1, 2)  # a recommendation is refused
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (f"{HEAD}\n8,0\n64,0.1\n512,0.2\n", "line 2.*seconds.*'0'"),
        (f"{HEAD}\n8,0.1\n64,-0.1\n512,0.2\n", "line 3.*seconds.*'-0.1'"),
        (f"{HEAD}\n1,0.02\n100,0.021\n10000,0.0201\n", "do not grow from batch size 1 .* to 10000 .*synchronise"),
        (f"{HEAD}\n8,0.1\n8,0.31\n64,0.2\n64,0.62\n", "two groups, 3.1 times apart: two machines in one table"),
        (f"{HEAD},device\n8,0.1,A\n64,0.2,A\n64,0.21,B\n", r"two machines in one table \(device A, B\)"),
        (f"{HEAD},learners\n8,0.1,1\n64,0.2,1\n64,0.15,2\n", r"two machines in one table \(learners 1, 2|1.0, 2.0"),
    ],
)
def test_impossible_tables_of_timings_are_refused_in_one_line(
    table: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "timing.csv").write_text(table)
    (tmp_path / "runs.csv").write_text(RUNS)
    timing, runs = str(tmp_path / "timing.csv"), str(tmp_path / "runs.csv")
    for arguments in (["fit", timing], ["recommend", runs, timing]):
        assert re.search(said, complaint(capsys, *arguments))


def test_a_clock_that_stood_still_is_told_from_a_slow_one() -> None:
    still = [UpdateTiming(batch_size=m, wall_seconds=(0.0,), cpu_seconds=(0.0,)) for m in (8, 64)]
    with pytest.raises(FitError, match="the clock stood still; time more updates at once"):
        measured_seconds(still)
    with pytest.raises(FitError, match="a clock stood still"):
        fit_update_time(still)


def test_a_noisy_machine_and_one_slow_update_are_no_second_machine() -> None:
    generator = np.random.default_rng(0)
    timings = []
    for size in (1, 8, 64, 512):
        seconds = (1e-3 + 1e-5 * size) * np.exp(generator.normal(0, 0.2, size=20))
        seconds[3] *= 10
        walls = tuple(map(float, seconds))
        timings.append(UpdateTiming(batch_size=size, wall_seconds=walls, cpu_seconds=walls))
    assert list(measured_seconds(timings).sizes) == [1, 8, 64, 512]


def test_a_gpu_that_is_flat_over_three_decades_is_believed() -> None:
    flat = [UpdateTiming(batch_size=m, wall_seconds=(0.02,), cpu_seconds=(0.02,)) for m in (1, 100, 4096)]
    assert measured_seconds(flat).at(100) == pytest.approx(0.02)

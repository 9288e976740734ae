"""Promises of the command line: one result, one line for an error, the right exit code."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from batchtime import cli
from batchtime.errors import StoreError
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.laws.updates import InverseLaw
from batchtime.runs.records import TimingRecord
from batchtime.runs.spec import RunSpec
from batchtime.runs.store import Store, writing
from batchtime.train.sweep import train

from .builders import record, setting, write_observations

PROGRAM = str(Path(sys.executable).with_name("batchtime"))
LAW = InverseLaw(n_inf=200, alpha=3000)
pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of runs that scatter a little around a known law."""
    seen = [
        Observation(batch_size=size, lower=updates - 4, upper=updates + 4, seed=seed)
        for size in (4, 8, 16, 32, 64, 128)
        for seed, factor in enumerate((0.95, 0.98, 1.0, 1.02, 1.05))
        for updates in (round(LAW.updates(float(size)) * factor),)
    ]
    write_observations(tmp_path / "runs.csv", seen)
    return tmp_path / "runs.csv"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """Return the JSON object that a command prints."""
    assert cli.main([*arguments, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    """Return the one line with which a command fails."""
    assert cli.main(list(arguments)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("batchtime: ")
    return err


def test_help_answers_without_importing_what_is_slow() -> None:
    imported = "import sys, batchtime.cli as c; c.parser(); sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", imported], check=False).returncode == 0
    done = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
    assert "Example: " in done.stdout


def test_advice_from_two_tables_starts_without_what_is_slow_and_not_needed(tmp_path: Path) -> None:
    """Optimisers and integrals of scipy were a third of its seconds; what they are for is another command."""
    runs = "".join(f"{size},{100 + 1600 // size + seed}\n" for size in (4, 16, 64) for seed in range(3))
    (tmp_path / "runs.csv").write_text("batch_size,updates\n" + runs)
    timing = "".join(f"{size},{1e-3 + 1e-5 * size}\n" for size in (4, 16, 64, 256))
    (tmp_path / "timing.csv").write_text("batch_size,seconds\n" + timing)
    program = """
import sys
from batchtime import cli
assert cli.main(["recommend", "runs.csv", "timing.csv"]) in {0, 2}
slow = {"scipy.optimize", "scipy.integrate", "scipy.stats", "torch", "seaborn"}
print(*slow.intersection(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "batch size" in done.stdout
    assert done.stdout.splitlines()[-1] == ""


def test_the_workloads_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"digits-mlp", "mnist-lenet", "noisy-quadratic"} <= set(answer(capsys, "workloads"))


def test_a_table_of_ones_own_gives_the_law_with_its_intervals(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "fit", str(table))
    intervals = found["intervals"]
    assert isinstance(intervals, dict)
    for name in ("n_inf", "alpha", "critical_batch_size"):
        low, high = intervals[name]
        assert low < getattr(LAW, name) < high
        assert low < found[name] < high
    assert found["n_runs"] == 30
    assert found["n_censored"] == 0
    assert 0 <= found["leave_one_out_error"] < 0.05
    assert found["r2_examples"] > 0.99


def test_the_same_fit_is_told_to_a_person(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fit", str(table)]) == 0
    text = capsys.readouterr().out
    assert "30 runs at 6 batch sizes" in text
    assert "95 % interval" in text


def test_an_interval_that_is_open_is_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # alpha / M alone: nothing bounds n_inf from below, so nothing bounds the critical batch size from above.
    seen = [
        Observation(batch_size=size, lower=round(5000 / size * f), upper=round(5000 / size * f), seed=seed)
        for size in (1, 2, 4)
        for seed, f in enumerate((0.9, 0.95, 1.05, 1.1))
    ]
    write_observations(tmp_path / "runs.csv", seen)
    found = answer(capsys, "fit", str(tmp_path / "runs.csv"))
    assert found["intervals"]["n_inf"][0] is None
    assert found["intervals"]["critical_batch_size"][1] is None
    assert found["warnings"]


def test_one_batch_size_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.csv").write_text("batch_size,updates\n8,100\n8,110\n")
    assert "8" in complaint(capsys, "fit", str(tmp_path / "runs.csv"))


def test_runs_that_are_all_censored_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.csv").write_text("batch_size,updates,censored\n8,100,true\n16,100,true\n")
    assert "reached" in complaint(capsys, "fit", str(tmp_path / "runs.csv"))


def test_a_table_with_text_in_it_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.csv").write_text("batch_size,updates\n8,soon\n")
    assert "line 2, column updates, value 'soon'" in complaint(capsys, "fit", str(tmp_path / "runs.csv"))


def test_a_sweep_that_is_not_recorded_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "batchtime sweep" in complaint(capsys, "fit", "digits-mlp", "--data", str(tmp_path))


def test_a_missing_data_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "absent")
    for verb in ("fit", "sweep"):
        assert f"there is no data folder {missing}" in complaint(capsys, verb, "digits-mlp", "--data", missing)


def test_a_corrupt_runs_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Store(tmp_path).runs_file("digits-mlp")
    path.parent.mkdir(parents=True)
    path.write_text('{"batch_size": 4}\n')
    for verb in ("fit", "sweep"):
        assert "digits-mlp.jsonl, line 1 is damaged" in complaint(capsys, verb, "digits-mlp", "--data", str(tmp_path))
    assert path.read_text() == '{"batch_size": 4}\n'


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("sweep", "mnits"), "workload = 'mnits'"),
        (("sweep", "digits-mlp", "--batch-sizes", "[0]"), "batch_sizes = [0] is not allowed"),
        (("sweep", "digits-mlp", "--target", "5"), "an error is a fraction"),
        (("sweep", "digits-mlp", "--seeds", "0"), "seeds = 0"),
        (("time", "digits-mlp", "--batch-sizes", "[1.5]"), "batch_sizes"),
        (("fit", "mnits"), "workload = 'mnits'"),
        (("rerun", "inverse-law"), "--out = None"),
        (("rerun", "inverse-lau", "--list"), "inverse-law"),
    ],
)
def test_a_bad_value_is_one_line_with_what_is_allowed(
    arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in complaint(capsys, *arguments)


def test_a_sweep_is_trained_recorded_and_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["--batch-sizes", "[16, 64, 256]", "--seeds", "3", "--target", "0.3", "--data", str(tmp_path)]
    found = answer(capsys, "sweep", "digits-mlp", *changes, "--workers", "2")
    assert (found["n_runs"], found["n_reached"]) == (9, 9)
    lines = Path(str(found["file"])).read_text().splitlines()
    assert sorted((json.loads(line)["batch_size"], json.loads(line)["seed"]) for line in lines) == [
        (size, seed) for size in (16, 64, 256) for seed in range(3)
    ]
    fitted = answer(capsys, "fit", "digits-mlp", *changes)
    assert fitted["n_runs"] == 9
    # Another target is another sweep: none of these runs counts for it.
    changes[changes.index("0.3")] = "0.25"
    assert "batchtime sweep" in complaint(capsys, "fit", "digits-mlp", *changes)


def timing_of(wall_over_cpu: float) -> TimingRecord:
    """Return timings on a line, as measured where others took a part of the processor."""
    timings = tuple(
        UpdateTiming(
            batch_size=size,
            wall_seconds=tuple((1e-4 + 1e-5 * size) * wall_over_cpu * jitter for jitter in (0.99, 1, 1.01)),
            cpu_seconds=tuple((1e-4 + 1e-5 * size) * jitter for jitter in (0.99, 1, 1.01)),
        )
        for size in (1, 8, 48, 256)
    )
    return TimingRecord(workload="digits-mlp", timings=timings, provenance=record().provenance)


def test_timings_of_a_busy_machine_are_refused_and_not_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchtime.train.timing.time_updates", lambda *_, **__: timing_of(1.5))
    line = complaint(capsys, "time", "digits-mlp", "--data", str(tmp_path), code=2)
    assert "1.50 times" in line
    assert "--allow-busy" in line
    assert not Store(tmp_path).timings_file("digits-mlp").exists()
    found = answer(capsys, "time", "digits-mlp", "--data", str(tmp_path), "--allow-busy")
    assert found["wall_over_cpu"] == pytest.approx(1.5)
    assert Store(tmp_path).latest_timing("digits-mlp", own=True) == timing_of(1.5)


def test_timings_are_fitted_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchtime.train.timing.time_updates", lambda *_, **__: timing_of(1.0))
    found = answer(capsys, "time", "digits-mlp", "--data", str(tmp_path))
    assert found["fixed_seconds"] == pytest.approx(1e-4, rel=1e-3)
    assert found["seconds_per_example"] == pytest.approx(1e-5, rel=1e-3)
    assert Store(tmp_path).latest_timing("digits-mlp", own=True) == timing_of(1.0)
    with pytest.raises(StoreError, match="holds no timings of digits-mlp; measure them first"):
        Store(tmp_path).latest_timing("digits-mlp")


def test_a_read_only_data_folder_is_seen_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where a folder is needed")
    monkeypatch.setattr("batchtime.train.timing.time_updates", lambda *_, **__: pytest.fail("it was measured"))
    assert "cannot open" in complaint(capsys, "time", "digits-mlp", "--data", str(tmp_path))
    assert "there is no data folder" in complaint(capsys, "time", "digits-mlp", "--data", str(tmp_path / "absent"))


def test_nothing_is_published_from_a_changed_checkout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = record().provenance
    monkeypatch.setattr("batchtime.runs.provenance.provenance", lambda **_: replace(changed, dirty=True))
    for verb in ("sweep", "time"):
        line = complaint(capsys, verb, "digits-mlp", "--record", "--data", str(tmp_path), code=2)
        assert "src/ differs from the last commit" in line


def test_a_published_sweep_is_complete_without_the_runs_of_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = replace(record().provenance, dirty=False)
    monkeypatch.setattr("batchtime.runs.provenance.provenance", lambda **_: clean)
    changes = ["--batch-sizes", "[64, 256]", "--seeds", "1", "--target", "0.5", "--data", str(tmp_path)]
    answer(capsys, "sweep", "digits-mlp", *changes)
    found = answer(capsys, "sweep", "digits-mlp", *changes, "--record")
    assert len(Path(str(found["file"])).read_text().splitlines()) == 2
    assert found["file"] == str(tmp_path / "runs" / "digits-mlp.jsonl")


def test_a_part_of_a_sweep_is_fitted_with_a_word_about_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--target", "0.5", "--data", str(tmp_path)]
    answer(capsys, "sweep", "digits-mlp", "--batch-sizes", "[16, 256]", "--seeds", "2", *where)
    assert "4 of 100 runs of this sweep are recorded" in str(answer(capsys, "fit", "digits-mlp", *where)["warnings"])


def test_options_of_a_sweep_are_refused_beside_a_table(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "learning_rate = 'banana'" in complaint(capsys, "fit", str(table), "--learning-rate", "banana")


def test_the_example_of_the_book_is_a_table_that_can_be_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    page = (root / "book" / "own-measurements.md").read_text(encoding="utf-8")
    (tmp_path / "runs.csv").write_text(page.split("```text\n")[1].split("```")[0])
    found = answer(capsys, "fit", str(tmp_path / "runs.csv"))
    assert (found["n_runs"], found["n_censored"]) == (7, 1)


def test_no_answer_holds_a_number_that_json_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.csv").write_text("batch_size,updates\n1,1e15\n64,1e15\n1e15,1\n2,3\n")
    answer(capsys, "fit", str(tmp_path / "runs.csv"))


def test_updates_are_really_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--batch-sizes", "[1, 48, 512]", "--repeats", "5", "--allow-busy", "--data", str(tmp_path)]
    assert answer(capsys, "time", "digits-mlp", *given)["batch_sizes"] == [1, 48, 512]


def test_the_parameters_of_a_notebook_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "rerun", "inverse-law", "--list")
    assert {"workload", "learning_rate", "target", "batch_sizes", "seeds"} <= set(found["parameters"])


def test_a_closed_pipe_is_no_traceback(table: Path) -> None:
    command = f"{PROGRAM} fit {table} | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_plan_prices_a_sweep_and_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "sweep", "digits-mlp", "--seeds", "2", "--plan", "--data", str(tmp_path))
    price = found["digits-mlp"]
    assert isinstance(price, dict)
    assert price["n_missing"] == price["n_runs"] == 20
    assert found["cpu_hours"] == found["missing_cpu_hours"] == pytest.approx(price["cpu_seconds"] / 3600)
    assert not list(tmp_path.rglob("*.jsonl"))


@pytest.mark.full
def test_a_plan_of_all_sweeps_tells_of_data_that_are_not_there_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(b"half")
    (tmp_path / "runs").mkdir()
    for name in ("mnist-lenet", "digits-mlp"):
        (tmp_path / "runs" / f"{name}.jsonl").touch()
    # In a process of its own: this one may have MNIST in memory.
    planned = subprocess.run(
        [PROGRAM, "sweep", "--all", "--plan", "--json", "--data", str(tmp_path)],
        env=os.environ | {"BATCHTIME_DATASETS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(planned.stdout)
    assert "half a download" in str(found["mnist-lenet"])
    assert "cpu_seconds" in str(found["digits-mlp"])


@pytest.mark.parametrize("arguments", [["sweep"], ["sweep", "digits-mlp", "--all"]])
def test_a_sweep_wants_one_name_or_all(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "allowed: one name, --all, or --command" in complaint(capsys, *arguments)


def test_published_runs_are_verified(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "verify", "--runs", "0")
    assert found["mnist-lenet"] == {"n_runs": 282, "again": []}


def test_runs_that_come_out_otherwise_are_an_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").mkdir()
    made = train(RunSpec(setting=setting(), batch_size=8, seed=0))
    wrong = replace(made, evaluations=replace(made.evaluations, updates=(*made.evaluations.updates[:-1], 400)))
    wrong = replace(wrong, outcome=wrong.evaluations.outcome(wrong.setting.workload.target))
    with writing(tmp_path / "runs" / "own.jsonl") as writer:
        writer.append(wrong)
    monkeypatch.setattr("batchtime.plan.verify.check_runs", lambda *_: None)  # this run names no commit
    complained = complaint(capsys, "verify", "own", "--data", str(tmp_path))
    assert "came out otherwise: own at batch size 8, seed 0; record them again" in complained


def test_a_sweep_without_published_runs_cannot_be_verified(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no published runs of digits-mlp; published are: " in complaint(capsys, "verify", "digits-mlp")


def test_a_simulation_study_is_run_recorded_and_summed_up(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = answer(capsys, "study", "coverage", "--replications", "1", "--data", str(tmp_path))
    assert found["designs"] == 6
    assert 0 <= found["lowest_coverage"] <= found["highest_coverage"] <= 1
    assert len((tmp_path / "cache" / "studies" / "coverage.jsonl").read_text().splitlines()) == 6


def test_a_sweep_stops_when_its_law_is_known_as_well_as_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "sweep",
        "digits-mlp",
        "--batch-sizes",
        "[16, 32, 64, 128, 256]",
        "--target",
        "0.3",
        "--data",
        str(tmp_path),
    ]
    asked += ["--precision", "0.9"]
    first = answer(capsys, *asked, "--plan")["digits-mlp"]
    assert isinstance(first, dict)
    assert (first["n_runs"], first["at_most"]) == (9, True)
    assert cli.main([*asked, "--workers", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "first 9 runs, at most" in err.splitlines()[0]  # priced before anything is trained
    found = json.loads(out)
    assert found["precise"]
    assert 9 <= found["n_runs"] < found["n_grid"] == 50
    low, high = found["interval"]
    assert high <= low * 1.9**2
    assert len(Path(str(found["file"])).read_text().splitlines()) == found["n_runs"]
    again = answer(capsys, *asked, "--workers", "2")
    assert capsys.readouterr().err == ""  # nothing is left to pay for
    assert again["n_runs"] == found["n_runs"]
    assert again["interval"] == pytest.approx(found["interval"])


TIMING = "batch_size,seconds\n" + "".join(
    f"{size},{(4e-3 + 1e-4 * size) * factor}\n" for size in (4, 16, 64, 256) for factor in (0.99, 1.0, 1.01)
)


@pytest.fixture
def timing(tmp_path: Path) -> Path:
    """Return a table of durations of updates: 4 ms and 0.1 ms an example."""
    (tmp_path / "timing.csv").write_text(TIMING)
    return tmp_path / "timing.csv"


def test_a_batch_size_is_recommended_from_two_tables(
    table: Path, timing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, "recommend", str(table), str(timing), "--learners", "1", "2", "--max-batch-size", "64")
    # alpha / n_inf = 15 and delta / gamma = 40: sqrt(600) = 24.5 for one learner, sqrt(1200) = 34.6 for two.
    assert found["learners"] == 2
    assert found["batch_size"] == pytest.approx(34, abs=4)
    assert (found["refused"], found["reasons"]) == (False, [])
    assert isinstance(found["interval"], list)
    assert isinstance(found["within_5_percent"], list)
    both = found["by_learners"]
    assert isinstance(both, list)
    assert [one["learners"] for one in both] == [1, 2]
    assert both[0]["batch_size"] == pytest.approx(24, abs=3)
    assert both[0]["predicted_seconds"] > both[1]["predicted_seconds"] == found["predicted_seconds"]


def test_a_network_is_given_whole_or_not_at_all(table: Path, timing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "recommend", str(table), str(timing), "--bandwidth", "1e9")
    assert "--latency = None is not allowed; allowed: a number beside" in said


def test_a_number_may_start_with_its_point(table: Path, tmp_path: Path) -> None:
    timing = tmp_path / "point.csv"
    timing.write_text("batch_size,seconds\n1,.0041\n1,.0042\n64,.009\n64,.0091\n256,.024\n256,.0241\n")
    assert cli.main(["recommend", str(table), str(timing)]) == 0


def test_the_same_recommendation_is_told_to_a_person(
    table: Path, timing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(
            [
                "recommend",
                str(table),
                str(timing),
                "--learners",
                "2",
                "--latency",
                "1e-3",
                "--bandwidth",
                "1e9",
                "--gradient-bytes",
                "0",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("2 learners: batch size ")
    assert "within 5 %" in out
    assert "taken to be free" not in out


def test_a_refused_recommendation_has_its_reason_in_one_line_and_in_json(
    table: Path, timing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timing.write_text("batch_size,seconds\n4096,0.0044\n8192,0.0104\n")
    assert "both run and timed" in complaint(capsys, "recommend", str(table), str(timing), code=2).lower()
    assert cli.main(["recommend", str(table), str(timing), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["refused"], found["batch_size"]) == (True, None)
    assert "both run and timed" in found["reasons"][0]


def test_a_busy_machine_is_warned_of(table: Path, timing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timing.write_text("batch_size,seconds,cpu_seconds\n4,0.0044,0.003\n64,0.0104,0.007\n")
    assert cli.main(["recommend", str(table), str(timing)]) == 0
    assert "machine was busy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("batch_size,updates\n4,1\n", "lacks column seconds"),
        ("batch_size,seconds\n4,none\n", "line 2, column seconds, value 'none'"),
        ("batch_size,seconds\n4.5,1\n", "line 2, column batch_size, value '4.5'"),
        ("batch_size,seconds\n0,1\n", "line 2, column batch_size, value '0'"),
        ("batch_size,seconds\n4\n", "more or fewer cells"),
        ("batch_size,seconds\n", "no rows"),
    ],
)
def test_a_bad_table_of_timings_is_one_line(
    text: str, problem: str, table: Path, timing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timing.write_text(text)
    assert problem in complaint(capsys, "recommend", str(table), str(timing))


def test_a_table_of_runs_wants_one_of_timings(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a second table, with columns batch_size,seconds" in complaint(capsys, "recommend", str(table))


def test_a_named_sweep_is_recommended_from_what_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "recommend", "mnist-lenet")
    assert found["source"] == "mnist-lenet"
    assert found["refused"] is False


def test_the_tables_of_the_book_are_answered(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = (root / "book" / "recommend.md").read_text().split("```text\n")
    runs, timing = (block.split("```")[0] for block in blocks[1:3])
    (tmp_path / "runs.csv").write_text(runs)
    (tmp_path / "timing.csv").write_text(timing)
    assert cli.main(["recommend", str(tmp_path / "runs.csv"), str(tmp_path / "timing.csv")]) == 0
    assert capsys.readouterr().out == blocks[3].split("```")[0]


def test_runs_by_the_clock_are_held_against_the_prediction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchtime.train.timing.time_updates", lambda *_, **__: timing_of(1.0))
    data = ("--data", str(tmp_path))
    answer(capsys, "sweep", "digits-mlp", "--seeds", "3", "--batch-sizes", "[4, 16, 64, 256]", *data)
    answer(capsys, "time", "digits-mlp", *data)
    found = answer(capsys, "clock", "digits-mlp", "--seeds", "2", "--allow-busy", *data)
    sizes = found["batch_sizes"]
    assert isinstance(sizes, dict)
    assert {"8", "128"} < set(sizes)  # the sealed ones, and those around the optimum
    assert all(one["n_runs"] == 2 and one["measured"] > 0 for one in sizes.values())
    assert answer(capsys, "clock", "digits-mlp", "--seeds", "2", "--allow-busy", *data) == found  # nothing anew
    assert len(Store(tmp_path).timed_runs("digits-mlp", own=True)) == 2 * len(sizes)
    swept = {run.seed for run in Store(tmp_path).runs("digits-mlp")}
    assert not swept & {run.seed for run in Store(tmp_path).timed_runs("digits-mlp", own=True)}


@pytest.mark.parametrize("learners", [1, pytest.param(2, marks=pytest.mark.full)])
def test_learners_are_measured_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str], learners: int) -> None:
    given = ["--learners", str(learners), "--batch-sizes", "[8, 64]", "--repeats", "2", "--data", str(tmp_path)]
    assert answer(capsys, "learners", "digits-mlp", *given)["learners"] == learners
    assert len(Store(tmp_path).learners("digits-mlp", own=True)) == 1


def test_noise_is_measured_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", str(tmp_path))
    found = answer(capsys, "noise", "digits-mlp", "--seeds", "1", "--examples", "64", *data)
    assert len(Store(tmp_path).noise("digits-mlp")) == 1
    assert found["updates"] == list(Store(tmp_path).noise("digits-mlp")[0].updates)


def test_a_published_series_is_asked_for_a_batch_size_and_says_whose_seconds_it_took(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = answer(capsys, "recommend", "published:zeus-cifar100-0.5")
    assert found["source"] == "published:zeus-cifar100-0.5"
    assert 64 < found["batch_size"] < 1024
    assert "V100 at 250 W, one of 7 devices" in str(found["missing"])
    said = complaint(capsys, "recommend", "published:mlperf-bert")
    assert "has no seconds" in said

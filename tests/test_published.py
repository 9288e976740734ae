"""What the table of facts promises, and how it is read."""

import doctest
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from batchtime.book.beyond import fixed_time, gpu_energy, gpu_times, gpu_truth, noise_against_runs, universal
from batchtime.errors import ParameterError
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.measurements import Observation
from batchtime.runs import published

ROOT = Path(__file__).parents[1]
FACTS = Path(str(resources.files("batchtime.runs").joinpath("facts")))


def names() -> list[str]:
    return published.series()["name"].tolist()


def test_the_tables_stay_under_300_kilobytes() -> None:
    sizes = [path.stat().st_size for path in FACTS.glob("*.csv")]
    assert len(sizes) == 7
    assert sum(sizes) < 300_000


def test_a_checkout_has_the_tables_in_its_data_folder_too() -> None:
    assert (ROOT / "data" / "published" / "series.csv").read_bytes() == (FACTS / "series.csv").read_bytes()


def test_every_series_names_its_repository_commit_file_and_licence() -> None:
    frame = published.series()
    assert len(frame) > 100
    assert frame["name"].is_unique
    for column in ("repository", "commit", "file", "licence"):
        assert frame[column].str.len().min() > 2, column


@pytest.mark.parametrize("table", ["updates", "seconds", "noise"])
def test_every_number_belongs_to_a_named_source(table: str) -> None:
    rows = pd.read_csv(FACTS / f"{table}.csv")
    series = pd.read_csv(FACTS / "series.csv")
    known = set(published.sources().query("table == @table")["source"])
    if table == "seconds":
        assert set(rows["source"]) <= known
    else:
        key = "series" if table == "updates" else "workload"
        assert set(rows[key]) <= set(series[key])
        assert set(series[series[key].isin(rows[key])]["source"]) <= known


def test_means_are_over_runs_that_reached_and_lie_above_their_lower_end() -> None:
    rows = pd.read_csv(FACTS / "updates.csv")
    assert not rows.duplicated(["series", "batch_size"]).any()
    assert (rows["reached"] <= rows["runs"]).all()
    assert (rows["mean"].isna() == (rows["reached"] == 0)).all()
    assert (rows["sd"].isna() == (rows["reached"] < 2)).all()
    assert (rows["lower"].dropna() < rows["mean"][rows["lower"].notna()]).all()


def test_every_series_is_read_as_a_frame_of_runs() -> None:
    sizes = published.series().set_index("name")["batch_sizes"]
    for name in names():
        frame = published.runs(name)
        assert set(frame) <= {"batch_size", "updates", "updates_lower", "learning_rate"}
        assert tuple(frame["batch_size"]) == sizes[name]
        assert frame["batch_size"].is_monotonic_increasing
        assert (frame["updates"] > 0).all()
        if "updates_lower" in frame:
            assert (frame["updates_lower"] < frame["updates"]).all()


def test_batch_sizes_at_which_a_run_failed_are_no_rows_of_the_frame_of_runs() -> None:
    failed = published.means("zeus-cifar100-0.6").query("reached < runs")["batch_size"].tolist()
    assert failed == [4096]
    assert 4096 not in published.runs("zeus-cifar100-0.6")["batch_size"].tolist()


def test_epochs_are_counted_in_updates_with_the_last_batch_the_smaller() -> None:
    # 50,000 examples: 49 batches of 1,024 in an epoch, and 22.4 epochs in the mean
    row = published.means("zeus-cifar100-0.5").set_index("batch_size").loc[1024]
    assert row["updates"] == pytest.approx(49 * 22.4)
    assert row["updates_lower"] == pytest.approx(49 * 21.4)


def test_examples_are_counted_in_updates() -> None:
    # 313,344, 368,640 and 488,448 sequences, in batches of 1,152, 2,304 and 4,608
    assert published.runs("mlperf-llama31-405b")["updates"].tolist() == [272.0, 160.0, 106.0]


def test_tokens_are_counted_in_sequences_and_a_slip_of_the_writer_is_left_out() -> None:
    frame = published.means("mlperf-gpt3").set_index("batch_size")
    assert frame.loc[1536, "updates"] * 1536 * 2048 == pytest.approx(1.199571e9, rel=1e-6)
    assert frame.loc[3072, "runs"] == 6
    assert published.left_out().query("series == 'mlperf-gpt3'")["what"].tolist() == ["6733824 at batch size 3072"]


def test_timings_are_of_an_update_of_all_learners() -> None:
    frame = published.timings("zeus-cifar100-0.5")
    row = frame.query("device == 'V100 at 100 W' and batch_size == 1024").iloc[0]
    assert row["seconds"] == pytest.approx(11.277 / 49, rel=1e-3)
    assert row["joules"] == pytest.approx(11.277 / 49 * 86.865, rel=1e-3)
    shared = published.timings("pollux-deepspeech2-35.1378").query("learners == 8")
    assert (shared["batch_size"] % 8 == 0).all()
    assert "joules" not in shared
    assert shared["device"].str.contains("node").all()


def test_watts_are_those_of_their_own_batch_size() -> None:
    table = pd.read_csv(FACTS / "seconds.csv").query("workload == 'zeus-imagenet-adadelta' and power_limit == 100")
    watts = [float(value) for value in table["watts"].iloc[0].split(" ")]
    frame = published.timed().query("workload == 'zeus-imagenet-adadelta' and power_limit == 100")
    assert frame["watts"].tolist() == watts
    assert published.timed().query("source == 'gavel'")["watts"].isna().all()


def test_a_list_of_seconds_is_as_long_as_that_of_its_batch_sizes() -> None:
    table = pd.read_csv(FACTS / "seconds.csv")
    counts = {column: table[column].astype(str).str.count(" ") for column in ("batch_sizes", "seconds", "watts")}
    assert (counts["batch_sizes"] == counts["seconds"]).all()
    assert (counts["batch_sizes"] == counts["watts"])[table["watts"].notna()].all()
    assert len(published.timed()) == int((counts["batch_sizes"] + 1).sum())


def test_the_listing_is_json_with_what_each_series_offers() -> None:
    listing = json.loads(json.dumps(published.listing()))
    assert [entry["name"] for entry in listing] == names()
    by_name = {entry["name"]: entry for entry in listing}
    assert set(listing[0]) == {"name", "source", "licence", "unit", "batch_sizes", "has_seconds", "has_joules"}
    assert by_name["zeus-cifar100-0.5"]["has_joules"]
    assert by_name["pollux-yolov3-14.9288"]["has_seconds"]
    assert not by_name["pollux-yolov3-14.9288"]["has_joules"]
    assert not by_name["mlperf-bert"]["has_seconds"]
    assert "ml-energy/zeus@75a8b939" in by_name["zeus-cifar100-0.5"]["source"]


def test_an_unknown_name_is_told_the_nearest_in_one_line() -> None:
    with pytest.raises(ParameterError, match=r"'zeus-cifar100-0.50'.*'zeus-cifar100-0.5'") as told:
        published.runs("zeus-cifar100-0.50")
    assert "\n" not in str(told.value)


def test_a_series_without_seconds_is_told_what_to_do() -> None:
    with pytest.raises(ParameterError, match=r"'mlperf-bert' has no seconds.*time your own"):
        published.timings("mlperf-bert")


def test_what_is_returned_can_be_changed_without_changing_the_next_answer() -> None:
    for frame in (published.means("zeus-cifar100-0.5"), published.sources(), published.series()):
        frame.iloc[:, 1:] = frame.iloc[::-1, 1:].to_numpy()
    assert (
        published.means("zeus-cifar100-0.5")["updates"].iloc[0]
        > published.means("zeus-cifar100-0.5")["updates"].iloc[-1]
    )
    assert published.sources()["repository"].iloc[0] == "ml-energy/zeus"


@pytest.mark.parametrize(
    "module", [published, universal, gpu_truth, gpu_times, gpu_energy, noise_against_runs, fixed_time]
)
def test_the_examples_in_the_docstrings_come_out_as_written(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    "name", ["zeus-cifar100-0.5", "mlperf-llama31-405b", "zhang2025-1.2B", "pollux-yolov3-14.9288"]
)
def test_the_law_is_fitted_to_a_published_frame_as_to_ones_own(name: str) -> None:
    frame = published.runs(name)
    lower = frame.get("updates_lower", frame["updates"])
    fitted = fit_inverse_law(
        [
            Observation(batch_size=size, lower=low, upper=high)
            for size, low, high in zip(frame["batch_size"], lower, frame["updates"], strict=True)
        ]
    )
    assert fitted.law.updates(frame["batch_size"].to_numpy(dtype=float)) == pytest.approx(
        frame["updates"].to_numpy(), rel=0.5
    )
    assert frame["batch_size"].min() < fitted.law.critical_batch_size < 10 * frame["batch_size"].max()


# The script that makes the tables


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_published", ROOT / "benchmarks" / "published.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_published"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_runs_become_their_mean_and_standard_deviation_and_failures_are_counted() -> None:
    table = pd.DataFrame({"batch_size": [8, 8, 8, 16], "number": [2.0, 4.0, np.nan, np.nan], "learning_rate": 0.1})
    first, second = maker().rows("a", table, interval=1.0)
    assert (first["runs"], first["reached"], first["mean"], first["lower"]) == (3, 2, 3.0, 2.0)
    assert first["sd"] == pytest.approx(2**0.5)
    assert (second["runs"], second["reached"]) == (1, 0)
    assert np.isnan(second["mean"])


@pytest.mark.parametrize(("power", "name"), [(0.0, "constant"), (0.5, "square root"), (1.0, "linear"), (0.7, "tuned")])
def test_the_step_rule_is_read_off_the_step_sizes(power: float, name: str) -> None:
    sizes = np.array([8.0, 32.0, 128.0])
    assert maker().step_rule(pd.DataFrame({"batch_size": sizes, "learning_rate": 0.01 * sizes**power})) == name


def test_a_series_that_is_added_as_the_page_says_is_listed_fitted_and_on_the_curve(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    facts = tmp_path / "src" / "batchtime" / "runs" / "facts"
    rows = "".join(f"mine-0.9,{size},3,3,{100 * (1 + 64 / size):g},,5,0.1\n" for size in (8, 32, 128, 512))
    for name, lines in (
        ("updates", rows),
        ("series", "mine-0.9,me,runs.csv,mine,updates,,constant,sgd,accuracy 0.9,\n"),
        ("sources", "me,updates,me/runs,0123abc,runs.csv,MIT\n"),
        ("seconds", "me,mine,V100,1,1,,update,8 32 128 512,0.1 0.11 0.2 0.7,\n"),
    ):
        with (facts / f"{name}.csv").open("a", encoding="utf-8") as file:
            file.write(lines)
    program = (
        "from batchtime import cli; from batchtime.book.beyond import universal\n"
        "assert cli.main(['fit', 'published:mine-0.9', '--json']) == 0\n"
        "assert cli.main(['recommend', 'published:mine-0.9', '--json']) == 0\n"
        "about = universal.screened(universal.points())\n"
        "assert about.loc['mine-0.9', 'reason'] == ''\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    fitted, advised = map(json.loads, done.stdout.splitlines())
    assert fitted["critical_batch_size"] == pytest.approx(64, rel=0.02)
    assert 8 <= advised["batch_size"] <= 512

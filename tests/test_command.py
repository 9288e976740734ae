"""A training command as a workload: what a sweep makes of it, and what is left when anything ends it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchtime import cli
from batchtime.errors import WorkloadError
from batchtime.runs.experiment import Experiment
from batchtime.runs.records import RunRecord
from batchtime.runs.spec import Target
from batchtime.runs.store import Store
from batchtime.train.command import command_experiment, run_command
from batchtime.train.sweep import complete

pytestmark = pytest.mark.usefixtures("in_this_process")

SCRIPT = '''
"""A program that trains nothing: its accuracy is 0.9 after 20 + 400 / M updates, and then it goes on."""
import argparse, json, pathlib, random, subprocess, sys, time
options = argparse.ArgumentParser()
for name, kind in {"--bs": int, "--lr": float, "--seed": int, "--out": pathlib.Path, "--steps": int}.items():
    options.add_argument(name, type=kind)
options.add_argument("--pause", type=float, default=0.0)
options.add_argument("--do", default="")
given = options.parse_args()
if given.do == "crash" and given.bs == 16:
    sys.exit("no memory for this batch")
if given.do == "litter":  # a process in a session of its own, as those that load data may be
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    with open("children.txt", "a") as children:
        print(child.pid, file=children)
needed = (20 + 400 / given.bs) * random.Random(given.seed).uniform(0.95, 1.05)
log = open(given.out / "log.jsonl", "w") if given.out else None
seconds = 0.0
for step in range(1, (given.steps or 400) + 1):
    seconds += 1e-3 + 1e-5 * given.bs
    time.sleep(given.pause)
    if step % 5 == 0 and given.do != "silent":
        value = float("nan") if given.do == "nan" and step > 20 else 0.9 * step / needed
        if log:
            print(json.dumps({"step": step, "time": seconds, "lr": given.lr}), file=log)
            print(json.dumps({"step": step, "time": seconds, "val_acc": value}), file=log, flush=True)
        print(f"{seconds:.6f} step {step}: train")
        print(f"step {step}: accuracy {value:.5f}")
'''
COMMAND = f"{sys.executable} train.py --bs {{batch_size}} --lr {{learning_rate}} --seed {{seed}} --out {{out}}"
PRINTS = COMMAND.removesuffix(" --out {out}")
LINES = (r"(?P<time>\S+) step (?P<step>\d+): train", r"step (?P<step>\d+): accuracy (?P<value>\S+)")
GOAL = ("--metric", "val_acc", "--at-least", "0.9", "--learning-rate", "0.1")
GRID = ("--batch-sizes", "[4, 16, 64]", "--seeds", "2")
ONE = ("--batch-sizes", "[4]", "--seeds", "1")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the program and an empty data folder."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHTIME_DATA", str(tmp_path / "data"))
    return tmp_path


def sweep(*options: str, command: str = COMMAND) -> int:
    """Sweep by the command line."""
    return cli.main(["sweep", "--command", command, *GOAL, *GRID, *options])


def chosen(command: str = COMMAND) -> Experiment:
    """Return the sweep of the command."""
    goal = Target(metric="val_acc", value=0.9, rises=True)
    return command_experiment(command, target=goal, learning_rate=0.1, batch_sizes=[4, 16, 64], seeds=[0, 1])


def records() -> list[RunRecord]:
    """Return what is recorded."""
    return Store(Path("data")).runs("command-train")


def test_each_run_is_recorded_with_what_its_log_tells_and_made_once(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweep() == 0
    said = capfd.readouterr()
    assert said.err == ""  # nor does a process of the sweep say anything when it ends
    assert said.out.startswith("command-train: 6 runs recorded (6 reached, 0 censored, 0 diverged)")
    made = records()
    assert sorted((run.batch_size, run.seed) for run in made) == [(m, s) for m in (4, 16, 64) for s in (0, 1)]
    for run in made:
        upper, law = run.outcome.upper, 20 + 400 / run.batch_size
        assert upper is not None
        assert 0.95 * law <= upper <= 1.05 * law + 5
        assert run.outcome.lower == upper - 5
        assert run.block_seconds == pytest.approx([1e-3 + 1e-5 * run.batch_size] * len(run.block_seconds))
        assert run.cost.wall_seconds > 0
        assert run.cost.cpu_seconds > 0
    monkeypatch.setattr("batchtime.train.sweep.run_command", lambda *_, **__: pytest.fail("it was made before"))
    assert sweep() == 0


def test_a_run_is_stopped_when_its_target_is_met(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--batch-sizes", "[400]", "--seeds", "1", command=f"{COMMAND} --pause 0.05 --steps 20000") == 0
    (run,) = records()
    assert run.evaluations.updates[-1] < 10_000  # its steps would have taken 1,000 s
    assert "1 reached" in capsys.readouterr().out


def test_what_a_command_prints_is_read_by_the_line() -> None:
    assert sweep(*[word for line in LINES for word in ("--line", line)], command=PRINTS) == 0
    printed = {(run.batch_size, run.seed): run for run in records()}
    assert sweep() == 0
    assert len(records()) == 12
    for run in records()[6:]:
        same = printed[run.batch_size, run.seed]
        assert run.outcome == same.outcome
        assert run.block_seconds == pytest.approx(same.block_seconds, rel=1e-3)


def test_a_program_that_was_edited_makes_new_runs(here: Path) -> None:
    assert sweep(*ONE) == 0
    (here / "train.py").write_text(SCRIPT.replace("20 + 400", "40 + 400"))
    assert sweep(*ONE) == 0
    (here / "train.py").write_text(SCRIPT)
    assert sweep(*ONE) == 0
    assert len(records()) == 2


@pytest.mark.parametrize(
    "command", ["bash -c 'python train.py {batch_size} {out}'", "python -m train {batch_size} {out}"]
)
def test_a_program_is_known_by_its_content_in_a_shell_and_as_a_module_too(here: Path, command: str) -> None:
    before = command_experiment(command, target=Target(metric="x", value=1), learning_rate=0.1, batch_sizes=[4])
    assert before.name == "command-train"
    (here / "train.py").write_text(SCRIPT + "# edited\n")
    after = command_experiment(command, target=Target(metric="x", value=1), learning_rate=0.1, batch_sizes=[4])
    assert after.workload != before.workload


def test_a_file_that_a_command_writes_is_no_part_of_it(here: Path) -> None:
    before = chosen(command=f"{COMMAND} --do notes.txt").workload
    (here / "notes.txt").write_text("what it wrote")
    assert chosen(command=f"{COMMAND} --do notes.txt").workload == before


def test_a_command_that_fails_says_why_and_loses_no_other_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(command=f"{COMMAND} --do crash") == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "at batch size 16, seed 0 ended with exit code 1 (no memory for this batch); what it wrote is in" in line
    assert [run.batch_size for run in records()] == [64, 64]  # the largest come first


def test_a_run_whose_time_is_over_counts_as_far_as_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(*ONE, "--time-out", "4", command=f"{COMMAND} --pause 0.1") == 0
    (run,) = records()
    assert run.outcome.status == "censored"
    assert 0 < run.outcome.lower < 60
    assert "0 reached, 1 censored" in capsys.readouterr().out
    assert sweep(*ONE, "--time-out", "1", command=f"{COMMAND} --do silent --pause 1") == 1
    assert "tells of no evaluation within 1 s" in capsys.readouterr().err


def test_a_metric_that_is_not_finite_is_a_run_that_diverged() -> None:
    assert sweep(*ONE, command=f"{COMMAND} --do nan --steps 40") == 0
    assert [run.outcome.status for run in records()] == ["diverged"]


def is_alive(process: int) -> bool:
    """Return whether a process runs."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def children(here: Path) -> list[int]:
    """Return the processes that programs have started and left."""
    path = here / "children.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def wait_for(so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 90
    while not so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_nothing_that_a_command_started_outlives_it(here: Path) -> None:
    assert sweep("--seeds", "1", command=f"{COMMAND} --do litter") == 0
    assert len(children(here)) == 3
    assert not any(map(is_alive, children(here)))


DRIVER = """
import signal, sys
from batchtime.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process may have been told to ignore it
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(number, marks=pytest.mark.full) for number in (signal.SIGINT, signal.SIGTERM))],
)
def test_a_sweep_that_is_stopped_leaves_no_process_loses_no_run_and_goes_on(here: Path, number: signal.Signals) -> None:
    command = f"{COMMAND} --do litter --pause 0.02"
    words = ["sweep", "--command", command, *GOAL, *GRID, "--workers", "2"]
    (here / "drive.py").write_text(DRIVER)
    driver = [sys.executable, "drive.py", *words]
    with subprocess.Popen(driver, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        wait_for(lambda: len(records()) >= 1 and len(children(here)) >= 2)
        process.send_signal(number)
        _, said = process.communicate(timeout=90)
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert said == "batchtime: stopped; what was recorded is whole: the same command goes on from there\n"
    wait_for(lambda: not any(map(is_alive, children(here))))
    begun, kept = len(children(here)), records()
    assert 1 <= len(kept) < 6
    assert sweep(command=command) == 0
    assert records()[: len(kept)] == kept
    assert len({run.spec for run in records()}) == len(records()) == 6
    assert len(children(here)) - begun == 6 - len(kept)


DIES = """
import os, sys, threading, time
from pathlib import Path
from batchtime.runs.spec import Target
from batchtime.train.command import command_experiment, run_command
goal = Target(metric="val_acc", value=0.9, rises=True)
run = command_experiment(sys.argv[1], target=goal, learning_rate=0.1, batch_sizes=[4]).sweep.runs()[0]
def die():
    while not Path("children.txt").exists():
        time.sleep(0.05)
    os._exit(9)
threading.Thread(target=die).start()
run_command(run, folder=Path("runs"))
"""


def test_a_worker_that_dies_takes_its_command_along(here: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, f"{COMMAND} --do litter --pause 1"], check=False)
    assert done.returncode == 9
    wait_for(lambda: len(children(here)) == 1 and not any(map(is_alive, children(here))))


def test_fit_and_recommend_answer_by_the_same_command(capsys: pytest.CaptureFixture[str]) -> None:
    grid = ("--batch-sizes", "[4, 16, 64, 256]", "--seeds", "3")
    assert sweep(*grid) == 0
    capsys.readouterr()
    words = ["--command", COMMAND, *GOAL, *grid, "--json"]
    assert cli.main(["fit", *words]) == 0
    law = json.loads(capsys.readouterr().out)
    assert law["n_inf"] == pytest.approx(20, rel=0.15)
    assert law["alpha"] == pytest.approx(400, rel=0.15)
    assert cli.main(["recommend", *words, "--limit", "0.5"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 20 < told["batch_size"] < 90  # about sqrt(400 / 20 * 1e-3 / 1e-5) = 45
    assert cli.main(["fit", "--command", COMMAND]) == 0  # by the flags of the sweep
    found = capsys.readouterr()
    assert found.out.startswith("command-train: ")
    last = "--learning-rate 0.1 --batch-sizes '[4, 16, 64, 256]' --seeds 3 --metric val_acc --at-least 0.9"
    assert found.err == f"batchtime: this command as it was swept last: {last}\n"
    assert cli.main(["fit", "--command", COMMAND, "--at-most", "0.5"]) == 1  # another target has no runs
    assert "--at-least" not in capsys.readouterr().err
    rows = "".join(f"{size},{1e-3 + 1e-5 * size}\n" for size in (4, 16, 64, 256))
    Path("timing.csv").write_text(f"batch_size,seconds\n{rows}")
    assert cli.main(["recommend", *words, "--limit", "0.5", "timing.csv"]) == 0


RATES = ("--learning-rates", "[0.1, 0.2]")


def test_several_learning_rates_are_a_sweep_each_and_the_answer_is_a_pair(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "train.py").write_text(SCRIPT.replace("(20 + 400 / given.bs)", "(2 / given.lr + 400 / given.bs)"))
    words = ["--command", COMMAND, "--metric", "val_acc", "--at-least", "0.9", *GRID, "--seeds", "1", *RATES]
    assert cli.main(["sweep", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"command-train at learning rate {r}" for r in (0.1, 0.2)]
    assert all("3 runs recorded (3 reached, 0 censored, 0 diverged)" in line for line in lines)
    assert len(records()) == 6
    assert cli.main(["fit", *words, "--json"]) == 0
    curve = json.loads(capsys.readouterr().out)["curve"]
    assert curve["A"] == pytest.approx(2, rel=0.3)  # updates at ever larger batches, times the learning rate
    assert curve["largest_learning_rate"] == 0.2
    assert cli.main(["recommend", *words, "--json", "--limit", "9"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["learning_rate"] == pytest.approx(0.2, rel=0.2)  # fewer updates, and as long ones
    assert 4 <= told["batch_size"] <= 64
    assert cli.main(["sweep", *words, "--plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["command-train at learning rate 0.2"]["n_runs"] == 3
    assert plan["missing_cpu_hours"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--learning-rates", "0.1"], "allowed: a list of distinct numbers more than 0, for instance [0.1, 0.2]"),
        (["--learning-rates", "[0.1, 0.1]"], "allowed: a list of distinct numbers more than 0"),
        ([*RATES, "--learning-rate", "0.1"], "--learning-rate = '0.1' is not allowed; allowed: nothing beside"),
        (
            [*RATES, "--command", COMMAND.replace("{learning_rate}", "0.1")],
            "one, as the command has no {learning_rate}",
        ),
    ],
)
def test_learning_rates_that_cannot_be_swept_are_refused_in_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweep", "--command", COMMAND, "--metric", "val_acc", "--at-least", "0.9", *GRID, *options]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_a_pilot_of_several_learning_rates_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--command", COMMAND, "--metric", "val_acc", "--at-least", "0.9", *GRID, *RATES]
    assert cli.main(["recommend", "--pilot", *words]) == 1
    assert "allowed: one of them here: --learning-rate RATE" in capsys.readouterr().err


def test_a_pilot_makes_two_ends_and_a_middle_and_answers(capsys: pytest.CaptureFixture[str]) -> None:
    grid = ("--batch-sizes", "[4, 8, 16, 32, 64]", "--seeds", "3")
    words = ["--command", COMMAND, *GOAL, *grid, "--json", "--limit", "0.9"]
    assert cli.main(["recommend", "--pilot", *words]) == 0
    found = capsys.readouterr()
    assert found.err.startswith("batchtime: this pilot will cost an unknown time")
    assert json.loads(found.out)["batch_size"] > 4
    assert {run.batch_size for run in records()} == {4, 16, 64}
    assert sweep(*grid, "--plan") == 0
    assert "hours of CPU for 15 runs" in capsys.readouterr().out
    assert len(records()) == 9


def test_a_sweep_by_precision_ends_when_the_law_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--batch-sizes", "[4, 16, 64, 256]", "--seeds", "5", "--precision", "0.9", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["precise"]
    assert found["n_runs"] < 20


def test_a_command_needs_no_torch_here() -> None:
    assert sweep() == 0
    program = (
        "import sys; from batchtime.cli import main\n"
        "for verb in ('sweep', 'fit', 'recommend'):\n"
        "    assert main([verb, *sys.argv[1:], *['--limit', '0.9'][: 2 * (verb == 'recommend')]]) == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = [sys.executable, "-c", program, "--command", COMMAND, *GOAL, *GRID]
    assert subprocess.run(done, check=False, stdout=subprocess.DEVNULL).returncode == 0


BAD = [
    (["--command", "python train.py --seed {seed} --out {out}"], "allowed: one with {batch_size} in it"),
    (["--command", PRINTS], "allowed: one with {out}, the folder of its log, or --line REGEX for what it prints"),
    (["--command", "train {batch_size} {out} {gpu}"], "in braces batch_size, learning_rate, seed, out, updates; any"),
    (["--command", "train {batch_size} {out} {seed"], "any other brace is written twice"),
    (["--command", "train {batch_size} 'open"], "words as a shell reads them (No closing quotation)"),
    (["--command", " "], "allowed: a program and its arguments"),
    (["--command", f"cd src && {COMMAND}"], "a program and its arguments, which no shell reads; say bash -c"),
    (["--command", f"CUDA_VISIBLE_DEVICES=0 {COMMAND}"], "which no shell reads; say bash -c 'NAME=value program"),
    (["--command", "python train.py {batch_size} {out}", "--seeds", "2"], "1, as the command has no {seed}"),
    (["--budget", "100"], "budget = 100 is not allowed; allowed: a number of updates where {updates} takes it"),
    (["--command", COMMAND + " {updates}"], "budget = None is not allowed"),
    (["--time-out", "0"], "time_out = 0.0 is not allowed; allowed: seconds, finite and more than 0"),
    (["--learning-rate", "fast"], "--learning-rate = 'fast' is not allowed; allowed: one number more than 0"),
    (["--learning-rate", "0"], "learning_rate = 0.0 is not allowed"),
    (["--batch-sizes", "[0]"], "batch_sizes = [0] is not allowed"),
    (["--target", "0.5"], "--target = '0.5' is not allowed; allowed: nothing beside --command"),
    (["--at-least", "0.8", "0.9"], "allowed: one target"),
    (["--metric", "loss"], "rises = True is not allowed"),
    (["digits-mlp"], "NAME = 'digits-mlp' is not allowed; allowed: one name, --all, or --command"),
    (["--command", "no-such-program {batch_size} {seed} {out}"], "no-such-program cannot be started: No such file"),
    ([*ONE, "--line", "x"], "lacks the groups (?P<step>...) and (?P<value>...); add them"),
    ([*ONE, "--metric", "val_accuracy"], "no line holds the metric 'val_accuracy'; nearest are: val_acc"),
    (["--metric", "val_acc\n"], "metric = 'val_acc\\n' is not allowed"),
]


@pytest.mark.parametrize(("options", "said"), BAD, ids=[said for _, said in BAD])
def test_what_cannot_be_swept_is_refused_in_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(*options) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert records() == []


@pytest.mark.parametrize("missing", ["--metric", "--batch-sizes", "--learning-rate", "--at-least"])
def test_what_is_missing_is_said_in_one_line(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*GOAL, *GRID]
    at = words.index(missing)
    assert cli.main(["sweep", "--command", COMMAND, *words[:at], *words[at + 2 :]]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert missing in line


def test_recommend_says_where_logs_tell_no_seconds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "train.py").write_text(SCRIPT.replace('"time": seconds, ', ""))
    assert sweep() == 0
    capsys.readouterr()
    assert cli.main(["recommend", "--command", COMMAND, *GOAL, *GRID]) == 1
    assert "give a table TIMING.csv beside its runs" in capsys.readouterr().err


def test_another_copy_of_the_program_on_a_worker_is_refused(here: Path) -> None:
    (run, *_) = chosen().sweep.runs()
    (here / "train.py").write_text(SCRIPT + "# edited\n")
    with pytest.raises(WorkloadError, match="the files that it names are not what this sweep was started with"):
        run_command(run, folder=here)


def test_several_runs_at_once_do_not_mix(here: Path) -> None:
    with ThreadPoolExecutor(3) as executor:
        made = complete(chosen().sweep, name="command-train", store=Store(here / "data"), executor=executor)
    for run in made:
        assert run.outcome.upper == pytest.approx(20 + 400 / run.batch_size, rel=0.3)
    assert len(list(Path("data/cache/commands/command-train").iterdir())) == 6

"""What newcomers stumbled over: each is told in one line what to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from batchtime.cli import main
from batchtime.cli.common import diverged_note, lines
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.measurements import Observation
from batchtime.runs.records import Evaluations, Outcome
from batchtime.runs.store import Store
from batchtime.train.own import own_experiment
from batchtime.train.sweep import train

from .builders import record
from .test_own import MODULE, forget


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of a module `work` of one's own, in which the program is called."""
    (tmp_path / "work.py").write_text(MODULE)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BATCHTIME_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("work", None)
    forget()


@pytest.mark.parametrize("verb", ["clock", "noise", "learners"])
def test_a_verb_of_named_sweeps_says_that_it_takes_no_function(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "work:good"]) == 1
    said = capsys.readouterr().err
    assert "'work:good' is not allowed; allowed: a name that `batchtime workloads` lists, and here no function" in said
    assert said.count("\n") == 1


def test_a_verb_that_takes_a_function_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["time", "mnist-lenett"]) == 1
    assert "(mnist-lenet" in (said := capsys.readouterr().err)
    assert "module:function of your own" in said


@pytest.mark.usefixtures("folder")
def test_a_name_is_printed_as_it_is_typed_and_fit_remembers_the_flags_of_the_sweep(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(sweep: object, *, name: str, store: Store, **_: object) -> list[object]:
        made = [train(spec) for spec in sweep.runs()]  # type: ignore[attr-defined]
        monkeypatch.setattr(Store, "runs", lambda _self, asked: made if asked == name else [])
        assert store.runs_file(name).name == "work.good.jsonl"
        return made

    monkeypatch.setattr("batchtime.train.sweep.complete", here)
    flags = ["--batch-sizes", "[4, 64]", "--seeds", "2", "--budget", "1500"]
    assert main(["sweep", "work:good", *flags]) == 0
    assert capsys.readouterr().out.startswith("work:good: 4 runs recorded")
    assert main(["fit", "work:good"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("work:good: ")
    assert "work:good as it was swept last: --batch-sizes '[4, 64]' --seeds 2 --budget 1500" in captured.err
    assert main(["fit", "work:good", "--seeds", "1"]) == 0  # a flag that is given goes before
    assert "--seeds" not in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("def stops():\n    raise ValueError('no such file')", "work:stops stopped before anything was trained"),
        ("import sys\nsys.exit(3)", "work stopped while it was imported (SystemExit: 3, in work.py"),
        ("import nowhere_at_all", "work cannot be imported (ModuleNotFoundError: No module named 'nowhere_at_all'"),
    ],
)
def test_a_crash_in_a_function_of_ones_own_is_shown_as_such(
    change: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "work.py").write_text(f"{MODULE}\n{change}\n")
    assert main(["sweep", "work:stops"]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "PYTHONPATH" not in told
    assert told.count("\n") == 1


def test_a_crash_in_the_middle_of_a_run_names_the_line_and_the_run(folder: Path) -> None:
    late = (
        "def late():\n    count = [0]\n    def loss(outputs, targets):\n        count[0] += 1\n"
        "        assert count[0] < 9, 'nine'\n        return squares(outputs, targets)\n    return good(loss=loss)\n"
    )
    (folder / "work.py").write_text(f"{MODULE}\n{late}")
    spec = own_experiment("work:late").sweep.runs()[0]
    line = (folder / "work.py").read_text().splitlines().index("        assert count[0] < 9, 'nine'") + 1
    with pytest.raises(Exception, match=rf"work:late stopped in the run of .* seed 0 .*nine, in work.py, line {line}"):
        train(spec)


SCRIPT = """
import batchtime as bt
from batchtime.train.own import own_experiment
chosen = own_experiment("work:good", batch_sizes=[8, 32], seeds=1)
{guard}print(len(bt.sweep(chosen, workers=1)))
"""


def test_a_script_without_a_main_guard_is_told_so(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT.format(guard=""))
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "SweepError: script.py has no main guard" in last
    assert 'if __name__ == "__main__":' in last


@pytest.mark.full
def test_a_script_with_a_main_guard_sweeps(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT.format(guard='if __name__ == "__main__":\n    '))
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_without_a_terminal_progress_is_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    progress = lines("sweep work:good", clock=lambda: now[0])
    for done in range(1, 301):  # a run a second, five minutes
        now[0] += 1
        progress(done, 300)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 5
    assert said[1] == "batchtime: sweep work:good: 120 of 300 done after 2 minutes"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_is_one_line() -> None:
    program = str(Path(sys.executable).with_name("batchtime"))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([program, "workloads"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "batchtime: the result cannot be written: No space left on device\n"


def test_a_learning_rate_is_suspected_where_runs_diverged() -> None:
    lost = replace(
        record(batch_size=4),
        outcome=Outcome(status="censored", lower=10, upper=None),
        evaluations=Evaluations(updates=(10,), metrics={"error": (0.9,), "loss": (None,)}),
    )
    said = diverged_note([lost, record(batch_size=8)])
    assert said is not None
    assert "1 of 2 runs diverged (batch sizes 4): the learning rate 0.1 is probably too large there" in said
    assert "--learning-rate 0.033" in said
    fine = replace(record(), evaluations=Evaluations(updates=(10, 20), metrics={"error": (0.5, 0.1)}))
    assert diverged_note([fine]) is None


def test_a_law_that_does_not_fit_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    del capsys
    updates: dict[int, Callable[[int], int]] = {4: lambda k: 4000 + k, 16: lambda k: 90 + k, 64: lambda k: 300 + k}
    runs = [
        Observation(batch_size=size, lower=of(7 * seed) - 1, upper=of(7 * seed), seed=seed)
        for size, of in updates.items()
        for seed in range(5)
    ]
    said = " ".join(fit_inverse_law(runs).warnings)
    assert "took" in said
    assert "updates than the law says, more than chance explains" in said
    assert "1e+03" not in said


@pytest.mark.full
def test_torchvision_can_be_imported_beside_a_torch_for_the_cpu(tmp_path: Path, root: Path) -> None:
    from importlib.util import find_spec

    found = find_spec("torchvision")
    assert found is not None
    assert found.origin is not None
    shutil.copytree(
        Path(found.origin).parent, tmp_path / "torchvision", ignore=shutil.ignore_patterns("*.so", "models")
    )
    (tmp_path / "torchvision" / "models").mkdir()
    (tmp_path / "torchvision" / "models" / "__init__.py").touch()
    there = os.environ | {"PYTHONPATH": str(tmp_path)}
    tried = [sys.executable, "-c", "import torchvision; print(torchvision.__file__)"]
    subprocess.run([sys.executable, str(root / ".ci" / "mend_torchvision.py")], env=there, check=True)
    subprocess.run([sys.executable, str(root / ".ci" / "mend_torchvision.py")], env=there, check=True)
    done = subprocess.run(tried, env=there, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(str(tmp_path)), done.stderr
    assert (tmp_path / "torchvision" / "extension.py").read_text().count("added by batchtime") == 1
    assert "|| $(BIN)/python .ci/mend_torchvision.py" in (root / "Makefile").read_text()

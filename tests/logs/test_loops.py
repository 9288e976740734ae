"""Scripts with Lightning and Hugging Face that watch themselves, really run, alone and in two processes."""

import contextlib
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.long
EXAMPLES = Path(__file__).parents[2] / "examples"
TRAINED = 1437


def run(command: str, folder: Path, variables: dict[str, str]) -> str:
    """Run a command line in a folder, and return what it printed."""
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env=variables, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


LIGHTNING = f"python {EXAMPLES}/lightning_digits.py --batch-size 16 --out measured --seed 3"
TRAINER = f"{EXAMPLES}/trainer_digits.py --batch-size 16 --out out --watch measured --seed 3"


@pytest.mark.parametrize(
    ("command", "batches"),
    [
        (f"{LIGHTNING} --accumulate 4", 4),
        (f"{LIGHTNING} --accumulate 2 --processes 2", 4),
        (f"python {TRAINER} --accumulate 4", 4),
        (f"python -m torch.distributed.run --nproc-per-node 2 {TRAINER} --accumulate 2", 4),
    ],
    ids=["Lightning", "Lightning, two processes", "Trainer", "Trainer, two processes"],
)
def test_batches_that_are_accumulated_and_processes_make_one_update(
    command: str, batches: int, tmp_path: Path, with_libraries: dict[str, str]
) -> None:
    printed = run(command, tmp_path, with_libraries)
    runs, timing, evaluations = (
        pd.read_csv(tmp_path / "measured" / name) for name in ("runs.csv", "timing.csv", "evaluations.csv")
    )
    (row,) = runs.to_dict("records")  # of the first process alone
    assert row["batch_size"] == 16 * batches
    assert row["learning_rate"] == pytest.approx(0.2)
    assert row["seed"] == 3
    assert not row["censored"]
    an_epoch = evaluations["updates"].to_numpy()[0]
    assert an_epoch == pytest.approx(TRAINED / row["batch_size"], abs=1.5)  # and not so many batches
    assert (evaluations["updates"] % an_epoch == 0).all()
    assert evaluations["value"].to_numpy()[-1] >= 0.9
    assert (evaluations["value"].to_numpy()[:-1] < 0.9).all()
    assert row["updates"] == evaluations["updates"].to_numpy()[-1]
    assert {int(number) for number in re.findall(r"(\d+) updates", printed)} == {row["updates"]}  # it ended there
    assert ((timing["seconds"] > 1e-5) & (timing["seconds"] < 5)).all()
    assert len(timing) > 1


def test_a_metric_that_is_not_logged_is_refused_with_those_that_are(
    tmp_path: Path, with_libraries: dict[str, str]
) -> None:
    for name, metric in (("lightning", "val_acc"), ("trainer", "eval_accuracy")):
        text = (EXAMPLES / f"{name}_digits.py").read_text()
        (tmp_path / f"{name}_digits.py").write_text(text.replace(f'metric="{metric}"', 'metric="accuracy"'))
        more = " --watch measured" if name == "trainer" else ""
        done = subprocess.run(
            ["bash", "-c", f"python {name}_digits.py{more}"],
            cwd=tmp_path,
            env=with_libraries,
            check=False,
            capture_output=True,
        )
        assert done.returncode != 0
        assert "metric = 'accuracy' is not allowed; allowed: one of " in done.stderr.decode()
        assert metric in done.stderr.decode().rpartition("one of")[2]


def blocks(root: Path, language: str, *, holds: str) -> str:
    """Return the block of the page for Monday morning that holds some words."""
    page = (root / "book" / "monday.md").read_text(encoding="utf-8")
    (found,) = [block for block in re.findall(rf"```{language}\n(.*?)\n```", page, re.DOTALL) if holds in block]
    return str(found)


MINUTES = {"One": 1, "Ten": 10, "Fifteen": 15}


@contextlib.contextmanager
def in_the_minutes_of_the_page(root: Path, *, holds: str) -> Iterator[None]:
    """Measure the CPU time of what is run inside, against the heading above the block that holds some words."""
    before_it = (root / "book" / "monday.md").read_text(encoding="utf-8").partition(holds)[0]
    said = MINUTES[re.findall(r"^## (\w+) minutes?:", before_it, re.MULTILINE)[-1]]

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    yield
    seconds = spent() - before
    print(f"{holds}: {seconds:.0f} CPU seconds of {60 * said}")  # noqa: T201 - shown by pytest -rP
    assert seconds < 60 * said


def test_the_page_goes_from_a_lightning_script_to_a_batch_size(
    root: Path, tmp_path: Path, with_libraries: dict[str, str]
) -> None:
    shutil.copy(EXAMPLES / "lightning_digits.py", tmp_path / "train.py")
    with in_the_minutes_of_the_page(root, holds="train.py --batch-size $size"):
        printed = run(blocks(root, "sh", holds="train.py"), tmp_path, with_libraries)
    assert "1 learner: batch size " in printed
    assert len(pd.read_csv(tmp_path / "measured" / "runs.csv")) == 6
    program = (
        "import lightning\nfrom train import Digits\n"
        + blocks(root, "python", holds="lightning.Trainer(")
        + "\nmodule = Digits(16)\n"
        + blocks(root, "python", holds="Tuner")
        + "\nprint('largest', largest)\nmodule.batch_size = 512\ntrainer.fit(module)\n"
    )
    assert re.search(r"largest (\d+)", run(f"cat > a.py <<'E'\n{program}E\npython a.py", tmp_path, with_libraries))
    assert 512 in set(pd.read_csv(tmp_path / "measured" / "runs.csv")["batch_size"])


def test_the_page_shows_how_accelerate_finds_the_largest_batch(
    root: Path, tmp_path: Path, with_libraries: dict[str, str]
) -> None:
    program = (
        "def train_a_few_updates(batch_size):\n"
        "    if batch_size > 300:\n"
        "        raise RuntimeError('CUDA out of memory.')\n"
        + blocks(root, "python", holds="find_executable_batch_size")
    )
    (tmp_path / "a.py").write_text(program)
    assert 150 <= int(run("python a.py", tmp_path, with_libraries)) <= 300


def test_the_page_adds_a_callback_to_a_trainer(root: Path, tmp_path: Path, with_libraries: dict[str, str]) -> None:
    text = (EXAMPLES / "trainer_digits.py").read_text()
    lines = "\n    ".join(blocks(root, "python", holds="batchtime.huggingface").split("\n"))
    (tmp_path / "a.py").write_text(text.replace("    trainer.train()\n", f"    {lines}\n    trainer.train()\n"))
    run("python a.py", tmp_path, with_libraries)
    assert not pd.read_csv(tmp_path / "measured" / "runs.csv")["censored"].any()


ANSWERS = {"char_gpt.py": (2, r"1 learner: batch size \d+ at learning rate "), "trainer_digits.py": (1, "n_inf")}
"""Of each script how many learning rates are swept, and what is said in the end."""


@pytest.mark.parametrize("script", ANSWERS)
def test_the_page_goes_from_a_command_to_a_law_or_a_batch_size(
    script: str, root: Path, tmp_path: Path, with_libraries: dict[str, str]
) -> None:
    shutil.copy(EXAMPLES / script, tmp_path)
    (tmp_path / "data").mkdir()
    variables = with_libraries | {"BATCHTIME_DATA": str(tmp_path / "data")}
    with in_the_minutes_of_the_page(root, holds=f"python {script}"):
        printed = run(blocks(root, "sh", holds=script), tmp_path, variables)
    rates, said = ANSWERS[script]
    assert printed.count(": 6 runs recorded (6 reached, 0 censored, 0 diverged)") == rates
    assert re.search(said, printed)

"""The challenge: tasks whose best size is known, entries that pay for what they see, and entries that are refused."""

import doctest
import json
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from batchtime import cli
from batchtime.book.beyond import challenge
from batchtime.book.beyond.challenge import Pilot, Task, answer, baselines, scores, tasks
from batchtime.errors import ChallengeError, ParameterError
from batchtime.runs.store import Store

from .test_cli import complaint

STORE = Store(Path(__file__).parents[1] / "data", recording=True)
SIZES = (8, 32, 128, 512)
MADE = Task(
    name="made",
    workload="made",
    batch_sizes=SIZES,
    updates=tuple((100 * (1 + 64 / size), 110 * (1 + 64 / size)) for size in SIZES),
    seconds=tuple(1 + size / 64 for size in SIZES),
    nominal=False,
)


@pytest.fixture(scope="module")
def every() -> list[Task]:
    return tasks(STORE)


# Tasks


def test_tasks_are_recorded_and_published_series_of_four_sizes_or_more(every: list[Task]) -> None:
    assert len(every) == len({task.name for task in every}) >= 70
    names = {task.name for task in every}
    assert {"mnist-lenet", "cifar10-cnn", "zeus-cifar100-0.5", "mlperf-bert", "zhang2025-1.2B"} <= names
    for task in every:
        assert len(task.batch_sizes) >= 4
        assert len(task.batch_sizes) == len(task.updates) == len(task.seconds)
        assert (np.diff(task.batch_sizes) > 0).all()
        assert min(map(len, task.updates)) >= 1
        assert (task.total > 0).all()


def test_seconds_are_measured_where_somebody_measured_them(every: list[Task]) -> None:
    by_name = {task.name: task for task in every}
    assert by_name["zeus-cifar100-0.5"].total[6] == pytest.approx(16.4 * 8.2767, rel=1e-4)
    assert not by_name["mnist-lenet"].nominal
    assert by_name["mlperf-bert"].nominal
    assert len(by_name["mnist-lenet"].updates[0]) == 20  # every seed


def test_without_recorded_runs_the_published_series_are_the_tasks(tmp_path: Path) -> None:
    alone = tasks(Store(tmp_path))
    assert len(alone) > 40
    assert "mnist-lenet" not in {task.name for task in alone}


# The pilot and the score


def test_a_pilot_pays_for_each_run_and_for_twenty_updates_of_each_timing() -> None:
    pilot = Pilot(MADE)
    assert [pilot.run(8), pilot.run(8), pilot.run(8)] == [900, 990, 900]  # seeds take turns
    assert pilot.time(512) == 9
    assert pilot.spent == pytest.approx((900 + 990 + 900) * 1.125 + 20 * 9)


def test_a_size_that_was_not_run_is_refused_with_those_that_were() -> None:
    for ask in (Pilot(MADE).run, Pilot(MADE).time):
        with pytest.raises(ParameterError, match=r"batch_size = 48 .*those that were run: 8, 32, 128, 512"):
            ask(48)


def test_an_answer_loses_what_its_nearest_measured_size_takes_longer() -> None:
    found = answer(MADE, lambda pilot: pilot.run(128) * 0 + 600)
    total = np.array([105 * (1 + 64 / size) * (1 + size / 64) for size in SIZES])
    assert found.used == 512
    assert found.regret == pytest.approx(total[3] / total.min() - 1)
    assert found.spent == pytest.approx(150 * 3 / total.min())


def test_every_workload_counts_the_same_and_the_pilot_is_paid_over_ten_trainings() -> None:
    def made(workload: str, regret: float, spent: float) -> challenge.Answer:
        return challenge.Answer(task="t", workload=workload, asked=8, used=8, regret=regret, spent=spent)

    frame = scores({"one": [made("a", 0.0, 1), made("a", 0.2, 1), made("b", 0.5, 3)], "two": [made("a", 0.0, 0)]})
    assert frame["entry"].tolist() == ["two", "one"]
    row = frame.set_index("entry").loc["one"]
    assert row[["regret", "worst", "spent", "within_10"]].tolist() == pytest.approx([0.3, 0.5, 2.0, 0.25])
    assert row["cost"] == pytest.approx(0.3 + 2.0 / 10)


def test_six_baselines_answer_every_task_and_the_advice_is_within_ten_percent_most_often(every: list[Task]) -> None:
    frame = scores({name: [answer(task, choose) for task in every] for name, choose in baselines(STORE).items()})
    table = frame.set_index("entry")
    assert len(table) == 6
    assert (
        table.loc["batchtime recommend", "regret"]
        < table.drop(index=["batchtime recommend", "two lines"])["regret"].min() / 3
    )
    assert table.loc["always 64", "spent"] == 0


def test_recorded_advice_is_that_of_every_task_and_of_todays_package(every: list[Task]) -> None:
    kept = STORE.advice(challenge.RECORD)[-1]
    assert kept.series == tuple(task.name for task in every), "run benchmarks/gpu_truth.py --record"
    for place in (3, 40):
        assert challenge.advised_all([every[place]]).batch_size == kept.batch_size[place : place + 1]


def test_the_two_lines_are_the_line_and_the_least_product() -> None:
    assert doctest.testmod(challenge).failed == 0
    assert answer(MADE, baselines(STORE)["two lines"]).used == 32


# Entries


def entry(folder: Path, text: str) -> Path:
    (folder / "entry.py").write_text(textwrap.dedent(text), encoding="utf-8")
    return folder / "entry.py"


def test_an_entry_is_answered_the_same_twice_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = entry(
        tmp_path,
        """
        import random
        def choose(pilot):
            print("nobody reads this")
            pilot.run(pilot.batch_sizes[0])
            return random.choice(pilot.batch_sizes)
        """,
    )
    first, second = (challenge.answers(path, [MADE, MADE]) for _ in range(2))
    assert first == second
    assert first[0].spent > 0


BAD = [
    ("def choose(pilot:", r"SyntaxError: .* \(line 1\)"),
    ("def choose(pilot):\n    return 1 / 0", r"task made: ZeroDivisionError: division by zero \(line 2\)"),
    ("def choose(pilot): return 'big'", r"choose returned 'big'; return a batch size"),
    ("import os\ndef choose(pilot): os._exit(0)", r"task made: it ended its process"),
    ("def other(pilot): return 8", r"has no function choose; write def choose\(pilot\)"),
    ("import nothing_of_that_name", r"stops when it is read: ModuleNotFoundError: .* \(line 1\)"),
    ("def choose(pilot): return None", r"choose returned None"),
    ("def choose(pilot): return -3", r"choose returned -3"),
    ("def choose(pilot): return float('nan')", r"choose returned nan"),
    ("def choose(pilot): return pilot.run(48)", r"batch_size = 48 .*those that were run: 8, 32, 128, 512 \(line 1\)"),
]


# Each has a process of its own, which takes a second to start.
@pytest.mark.parametrize(("text", "said"), [*BAD[:4], *(pytest.param(*one, marks=pytest.mark.full) for one in BAD[4:])])
def test_a_bad_entry_is_refused_in_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ChallengeError, match=said) as told:
        challenge.answers(entry(tmp_path, text), [MADE])
    assert "\n" not in str(told.value)


def test_an_entry_that_never_ends_is_stopped(tmp_path: Path) -> None:
    path = entry(tmp_path, "def choose(pilot):\n    while True: pass")
    with pytest.raises(ChallengeError, match=r"task made: no answer within 0.5 s; let it end sooner, or say --limit"):
        challenge.answers(path, [MADE], limit=0.5)


def test_a_file_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenge, "tasks", lambda _store: [MADE])
    assert "there is no file" in complaint(capsys, "challenge", str(tmp_path / "none.py"))
    assert "limit = -1.0 is not allowed" in complaint(capsys, "challenge", str(tmp_path / "none.py"), "--limit", "-1")


def test_the_entry_of_the_page_is_scored_as_it_stands_there(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (root / "notebooks" / "challenge.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```python\n(.*?def choose.*?)```", page, re.DOTALL)
    assert len(text.splitlines()) <= 20
    path = entry(tmp_path, text)
    assert cli.main(["challenge", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tasks"] >= 70
    by_name = {row["entry"]: row for row in found["scores"]}
    assert len(by_name) == 7
    assert by_name["entry.py"]["cost"] < by_name["two lines"]["cost"]


def test_a_person_reads_the_same_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenge, "tasks", lambda _store: [MADE])
    assert cli.main(["challenge", str(entry(tmp_path, "def choose(pilot): return 64"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 tasks of 1 workloads")
    assert len(lines) == 2 + 7
    assert any(line.startswith("entry.py ") for line in lines)

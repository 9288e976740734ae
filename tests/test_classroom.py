"""Promises of the classroom: a student's story from real runs, and a class whose law is found when it is known."""

import contextlib
import functools
import io
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batchtime import cli
from batchtime.book.teaching import classroom
from batchtime.book.teaching.classroom import rehearse, tell
from batchtime.book.teaching.pool import BATCH_SIZES, CLOCKED_RUNS, Story, pool, read_class, share, width
from batchtime.book.teaching.results import read_observations, read_student, write_student
from batchtime.errors import ClockError, FitError, StoreError
from batchtime.fit.measurements import Observation
from batchtime.fit.update_time import BUSY
from batchtime.plan.simulation import simulate
from batchtime.runs.records import StudentResult, StudyDesign, TimedRun, TimingRecord
from batchtime.runs.spec import RunSpec
from batchtime.runs.store import Store, Writer

from .test_cli import complaint

DESIGN = StudyDesign(seeds=12, batch_sizes=BATCH_SIZES)
pooled = functools.cache(lambda number: pool(students(number)))  # several tests ask for the same simulated class
pytestmark = pytest.mark.usefixtures("in_this_process")


def students(number: int, design: StudyDesign = DESIGN) -> list[StudentResult]:
    """Return a simulated class whose law is known, all with one machine."""
    runs = simulate(design, 0, number)
    seconds = {size: 1e-4 + 1e-6 * size for size in BATCH_SIZES}
    return [
        StudentResult(
            student=seed + 1,
            observations=tuple(replace(run, seed=seed + 1) for run in runs if run.seed == seed),
            seconds=seconds,
        )
        for seed in range(design.seeds)
    ]


@pytest.fixture(scope="module")
def told(in_this_process: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """Return a data folder in which student 3 has been through the whole story."""
    folder = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classroom, "BUSY", np.inf)  # on a busy machine each measurement would be made several times
        assert cli.main(["class", "--student", "3", "--data", str(folder), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def story(told: Path) -> Story:
    """Return what student 3 found."""
    return tell(3, store=Store(told))


# One student, for real


def test_a_student_trains_fits_times_predicts_and_asks_the_clock(
    told: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["class", "--student", "3", "--data", str(told), "--out", str(told)]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    clock = f"{CLOCKED_RUNS} runs with new seeds"
    for part in ("UPDATES", "SECONDS", "BOTH", "THE CLOCK", clock, "by your clock", "student-3.csv"):
        assert part in text
    assert cli.main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for quantity in ("n_inf", "critical_batch_size", "optimal_batch_size"):
        low, high = found["intervals"][quantity]
        assert low < found[quantity] < high
    assert f"at {found['optimal_batch_size']:.3g} examples" in text
    assert 0 < found["measured_seconds"] < 60


def test_what_is_done_is_not_done_again_and_what_is_missing_is(told: Path) -> None:
    store = Store(told)
    path = store.runs_file("class-3")
    before, result = path.read_bytes(), read_student(told / "student-3.csv")
    assert tell(3, store=store).result == result
    assert path.read_bytes() == before
    path.write_bytes(b"".join(before.splitlines(keepends=True)[:4]))  # as after Ctrl-C
    again = tell(3, store=store).result
    assert again == result
    assert len(path.read_bytes().splitlines()) == len(before.splitlines()) == len(BATCH_SIZES)


def test_each_student_has_other_seeds_and_the_clock_has_none_of_theirs(told: Path) -> None:
    shares = [run.seed for student in (1, 2, 3, 999) for run in share(student).sweep.runs()]
    assert set(shares) == {1, 2, 3, 999}
    clocked = {run.seed for run in Store(told).timed_runs("class-3", own=True)}
    assert clocked == {1000 * k + 3 for k in range(1, CLOCKED_RUNS + 1)}


def test_a_busy_machine_is_told_and_stops_nobody(story: Story) -> None:
    assert "other programs ran beside" not in replace(story, wall_over_cpu=1.0).text()
    assert "wall time 1.30 times CPU time" in replace(story, wall_over_cpu=1.3).text()


def test_runs_that_never_got_there_are_shown_as_such(story: Story) -> None:
    first = replace(story.result.observations[0], lower=10_000, upper=None)
    result = replace(story.result, observations=(first, *story.result.observations[1:]))
    nothing = replace(story.clocked, measured=None)
    text = replace(story, result=result, clocked=nothing).text()
    assert ">10000" in text
    assert "measured nothing, for no run reached the target" in text


# The file of a student


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    one = students(0)[0]
    whole = replace(one, observations=tuple(replace(r, lower=round(r.lower)) for r in one.observations))
    last = Observation(batch_size=512, lower=500, upper=None, seed=1)
    exact = Observation(batch_size=256, lower=310, upper=310, seed=1)
    rounded = tuple(replace(r, upper=round(r.lower) + 9) for r in whole.observations[:-2])
    result = replace(whole, observations=(*rounded, exact, last))
    write_student(tmp_path / "new" / "a.csv", result)
    assert read_student(tmp_path / "new" / "a.csv") == result


def test_a_file_without_its_own_columns_is_a_table_of_measurements(told: Path, tmp_path: Path) -> None:
    rows = [line.split(",") for line in (told / "student-3.csv").read_text().splitlines()]
    (tmp_path / "runs.csv").write_text("\n".join(",".join(row[2:6]) for row in rows))
    alike = [replace(run, seed=3) for run in read_observations(tmp_path / "runs.csv")]
    assert tuple(alike) == read_student(told / "student-3.csv").observations


@pytest.mark.parametrize(
    ("column", "text", "told"),
    [
        ("protocol", "2", r"line 4 is of protocol version 2, and this program's is 1; let everybody use one version"),
        ("student", "8", r"line 4, column student, value '8': allowed is a whole number from 1 to 999, the same in"),
        ("student", "1000", r"column student, value '1000'"),
        ("batch_size", "2", r"line 4, column batch_size, value '2': allowed is .* each once"),
        ("updates", "many", r"line 4, column updates, value 'many'"),
        ("updates_lower", "99999", r"column updates_lower, value '99999'"),
        ("censored", "perhaps", r"column censored, value 'perhaps'"),
        ("seconds", "0", r"column seconds, value '0'"),
        ("seconds", "", r"column seconds, value ''"),
    ],
)
def test_a_damaged_cell_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, text: str, told: str
) -> None:
    files = [tmp_path / f"{one.student}.csv" for one in students(0)[:3]]
    for one, path in zip(students(0), files, strict=False):
        write_student(path, one)
    lines = [line.split(",") for line in files[0].read_text().splitlines()]
    lines[3][lines[0].index(column)] = text
    files[0].write_text("\n".join(",".join(line) for line in lines) + "\n")
    assert re.search(told, complaint(capsys, "class", "--pool", *map(str, files)))


def test_other_mistakes_of_a_class_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (tmp_path / name for name in ("ann.csv", "bob.csv"))
    write_student(first, students(0)[0])
    write_student(second, students(1)[0])
    said = complaint(capsys, "class", "--pool", str(first), str(second))
    assert f"{first} and {second} are both of student 1; leave one out" in said
    assert "make no class" in complaint(capsys, "class", "--pool", str(first))
    first.write_text(first.read_text().replace("censored", "stopped", 1))
    assert "unknown or repeated columns ['stopped']" in complaint(capsys, "class", "--pool", str(first), str(second))
    assert "cannot read" in complaint(capsys, "class", "--pool", str(tmp_path / "none.csv"), str(second))
    assert "--out = " in complaint(capsys, "class", "--pool", str(second), "--out", str(tmp_path))
    assert "student = 1000 is not allowed" in complaint(capsys, "class", "--student", "1000", "--data", str(tmp_path))


# The class


@pytest.mark.parametrize(("classes", "least"), [(4, 3), pytest.param(20, 16, marks=pytest.mark.full)])
def test_the_law_of_a_class_is_found_and_its_interval_covers(classes: int, least: int) -> None:
    held = 0
    for number in range(classes):
        fit = pooled(number)
        low, high = fit.together.intervals.critical_batch_size
        assert low is not None
        assert high is not None
        held += low <= DESIGN.law.critical_batch_size <= high
        assert fit.together.n_runs == 12 * len(BATCH_SIZES)
    assert held >= least  # 19 are expected of 20, with a standard deviation of 1


CLASSES = pytest.mark.parametrize("classes", [4, pytest.param(8, marks=pytest.mark.full)])


@CLASSES
def test_the_interval_of_independent_runs_narrows_by_the_root_of_the_students(classes: int) -> None:
    factors = [pooled(number).narrowing("critical_batch_size") for number in range(classes)]
    assert None not in factors
    assert np.median([factor for factor in factors if factor]) == pytest.approx(np.sqrt(12), rel=0.25)


@CLASSES
def test_students_who_go_together_gain_less_for_one_alone_cannot_see_it(classes: int) -> None:
    alike = replace(DESIGN, correlation=0.9)
    fits = [pool(students(number, alike)) for number in range(classes)]
    factors = [fit.narrowing("n_inf") or 0.0 for fit in fits]
    assert np.median(factors) < 0.6 * np.sqrt(12)
    assert np.mean([fit.holding("n_inf") / 12 for fit in fits]) < 0.8  # where 95 % are promised
    assert any("go together" in note for note in fits[0].together.warnings)
    assert "note: Runs of one seed go together" in fits[0].text()


def test_a_student_without_a_law_or_with_an_open_interval_is_still_part_of_the_class() -> None:
    first, *others = students(0)
    only = replace(first, observations=first.observations[:1], seconds=dict(list(first.seconds.items())[:2]))
    fit = pool([only, *others])
    assert fit.alone[1] is None
    assert fit.together.n_runs == 11 * len(BATCH_SIZES) + 1
    assert fit.narrowing("critical_batch_size") is not None  # by the median student
    lost = [replace(one, observations=one.observations[:2]) for one in students(0)]
    assert pool(lost).narrowing("critical_batch_size") is None
    assert "an interval is open" in pool(lost).text()


def test_every_machine_has_its_own_optimum() -> None:
    slow, fast, *_ = students(0)
    fit = pool([slow, replace(fast, seconds={size: 4e-4 + 1e-6 * size for size in BATCH_SIZES})])
    assert fit.optima[2] / fit.optima[1] == pytest.approx(2)


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    paths = [tmp_path / f"{one.student}.csv" for one in students(0)]
    for one, path in zip(students(0), paths, strict=True):
        write_student(path, one)
    assert read_class(paths[::-1]) == read_class(paths)
    with pytest.raises(StoreError, match="both of student 5"):
        read_class([*paths, paths[4]])


def test_two_students_of_one_number_make_no_class() -> None:
    one, two, *_ = students(0)
    with pytest.raises(FitError, match="each with another number"):
        pool([one, replace(two, student=1)])
    with pytest.raises(FitError, match="two or more"):
        pool([one])


def test_a_width_is_that_of_the_logarithm() -> None:
    assert width((2.0, 2.0 * np.e)) == pytest.approx(1)
    assert width((None, 3.0)) == np.inf


def test_a_rehearsal_shows_what_a_student_sees_and_leaves_nothing_behind(
    told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []

    def run(command: Sequence[str], *, cwd: str, **_options: object) -> subprocess.CompletedProcess[str]:
        """Do in this process what the command does, where student 3 has been before."""
        shutil.copytree(told, cwd, dirs_exist_ok=True)
        folders.append(Path(cwd))
        with contextlib.chdir(cwd), contextlib.redirect_stdout(io.StringIO()) as said:
            code = cli.main(command[1:])
        return subprocess.CompletedProcess(command, code, said.getvalue(), "")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("subprocess.run", run)
    seen = rehearse(3)
    assert seen.text.startswith("Student 3: the whole story")
    assert seen.result == read_student(told / "student-3.csv")
    assert seen.seconds > 0
    assert [folder.exists() for folder in folders] == [False]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_a_rehearsal_in_a_process_of_its_own_takes_a_laptop_less_than_three_minutes(tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    seen = rehearse(5)
    assert seen.text.startswith("Student 5: the whole story")
    assert seen.result.student == 5
    assert 0 < seen.seconds < 180  # what is promised of a laptop
    assert set(tmp_path.iterdir()) == before


def test_a_disturbed_measurement_is_made_again_and_in_the_end_taken_as_it_is(
    told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.runs_file("class-3").parent.mkdir(parents=True)
    shutil.copy(Store(told).runs_file("class-3"), store.runs_file("class-3"))  # trained, and not timed
    quiet, clocked = Store(told).latest_timing("class-3", own=True), Store(told).timed_runs("class-3", own=True)
    made: list[float] = []
    asked: list[float] = []

    def timing(*_arguments: object, **_options: object) -> TimingRecord:
        made.append((1.5, 1.3, 1.7, 1.4)[len(made)])
        return replace(
            quiet,
            timings=tuple(
                replace(one, cpu_seconds=tuple(wall / made[-1] for wall in one.wall_seconds)) for one in quiet.timings
            ),
        )

    def disturbed(specs: Sequence[RunSpec], *, writer: Writer, most_wall_over_cpu: float) -> list[TimedRun]:
        asked.append(most_wall_over_cpu)
        if most_wall_over_cpu < np.inf:
            raise ClockError("others were running")
        taken = [
            replace(clocked[0], setting=spec.setting, batch_size=spec.batch_size, seed=spec.seed) for spec in specs
        ]
        for run in taken:
            writer.append(run)
        return taken

    monkeypatch.setattr(classroom, "time_updates", timing)
    monkeypatch.setattr(classroom, "time_runs", disturbed)
    story = tell(3, store=store)
    assert made == [1.5, 1.3, 1.7, 1.4]
    assert store.latest_timing("class-3", own=True).wall_over_cpu == pytest.approx(1.3)
    assert asked == [BUSY] * 4 + [np.inf]
    assert story.clocked.n_runs == CLOCKED_RUNS
    assert "other programs ran beside" in story.text()

"""A challenge: choose batch sizes for tasks that are not named, from runs and timings that have to be paid for.

An entry is a file with a function `choose(pilot) -> float`. A task is a published or recorded series; the measured size
nearest to the answer counts, by how much longer than the best it takes (regret), and by what the pilot spent. Ten
trainings are reckoned with: cost = regret + spent / 10, spent in trainings at the best size.
"""

import importlib.util
import math
import multiprocessing
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchtime.book.beyond import gpu_truth, universal
from batchtime.errors import BatchtimeError, ChallengeError, StoreError, check
from batchtime.fit.face import recommend
from batchtime.fit.recommendation import Recommendation
from batchtime.runs import published
from batchtime.runs.catalogue import experiment
from batchtime.runs.provenance import provenance
from batchtime.runs.records import AdviceRecord
from batchtime.runs.store import Store

Array = npt.NDArray[np.float64]

LEAST_SIZES = 4
TIMED_UPDATES = 20
"""What timing a batch size costs."""
TRAININGS = 10
"""Over how many trainings the pilot pays."""
LIMIT_SECONDS = 10.0
"""That an entry may think about one task."""
RECORD = "challenge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A series whose best batch size is known.

    Args:
        name: Of the series.
        workload: Series of one workload count together as much as one of another.
        batch_sizes: (K,) at which every run reached the target, increasing.
        updates: For each of them what its runs needed; one mean for a published series.
        seconds: (K,) of an update.
        nominal: Whether these are 1 + M / M_0, with M_0 the middle of the sizes, because nobody published any.
    """

    name: str
    workload: str
    batch_sizes: tuple[int, ...]
    updates: tuple[tuple[float, ...], ...]
    seconds: tuple[float, ...]
    nominal: bool

    @property
    def total(self) -> Array:
        """Mean seconds to the target (K,)."""
        return np.asarray([np.mean(runs) * s for runs, s in zip(self.updates, self.seconds, strict=True)])


@dataclass(slots=True)
class Pilot:
    """What an entry gets: the batch sizes of a task, its runs and timings, and what they have cost so far.

    Args:
        task: Whose runs and timings they are; entries leave it alone.

    Example:
        >>> pilot = Pilot(
        ...     Task(
        ...         name="made",
        ...         workload="made",
        ...         batch_sizes=(8, 64),
        ...         updates=((500,), (200,)),
        ...         seconds=(1, 4),
        ...         nominal=True,
        ...     )
        ... )
        >>> pilot.run(8), pilot.time(64), pilot.spent
        (500, 4, 580.0)
    """

    task: Task
    spent: float = 0.0
    _next: dict[int, int] = field(default_factory=dict)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Those that may be asked for, increasing."""
        return self.task.batch_sizes

    def run(self, batch_size: float) -> float:
        """Train once to the target, for as many seconds as that takes; return the updates. Seeds take turns."""
        place = self._place(batch_size)
        runs, turn = self.task.updates[place], self._next.get(place, 0)
        self._next[place] = turn + 1
        updates = runs[turn % len(runs)]
        self.spent += updates * self.task.seconds[place]
        return updates

    def time(self, batch_size: float) -> float:
        """Time twenty updates; return the seconds of one."""
        place = self._place(batch_size)
        self.spent += TIMED_UPDATES * self.task.seconds[place]
        return self.task.seconds[place]

    def _place(self, batch_size: float) -> int:
        allowed = f"those that were run: {', '.join(map(str, self.batch_sizes))}"
        check(batch_size in self.batch_sizes, name="batch_size", value=batch_size, allowed=allowed)
        return self.batch_sizes.index(int(batch_size))

    def ends_and_middle(self) -> list[int]:
        """Return the least, the middle (of logarithms) and the largest batch size."""
        places = gpu_truth.pilot(np.array(self.batch_sizes, dtype=float))
        return [self.batch_sizes[place] for place in places]


Choose = Callable[[Pilot], float]


# Tasks


def tasks(store: Store) -> list[Task]:
    """Return every series with four batch sizes or more that tells a best one, published and recorded, by name.

    Published series with seconds are those that `gpu_truth.cases` calls answerable, on the device with the most batch
    sizes; the others, and recorded ones, are those that `universal.screened` fits.
    """
    recorded = universal.recorded_means(store) if store.folder.is_dir() and store.published() else None
    means = universal.points(recorded)
    about = universal.screened(means)
    answerable = gpu_truth.cases().query("reason == ''")
    answerable = answerable.assign(sizes=answerable["batch_sizes"].map(len))
    answerable = answerable.sort_values(["series", "sizes", "learners", "device"], ascending=[True, True, False, True])
    # the last one of each series
    timed = {str(case["series"]): _published(case) for case in answerable.to_dict("records")}
    for name in about.index[(about["reason"] == "") & (about["batch_sizes"] >= LEAST_SIZES)]:
        if about.loc[name, "source"] == "recorded":
            timed[str(name)] = _recorded(str(name), means[means["series"] == name], store)
        elif name not in timed and not _has_seconds(str(name)):
            timed[str(name)] = _nominal(str(name), means[means["series"] == name])
    return [timed[name] for name in sorted(timed)]


def _has_seconds(name: str) -> bool:
    about = published.series().set_index("name")
    return bool(about.loc[name, "has_seconds"])


def _published(case: Mapping[Any, Any]) -> Task:
    return Task(
        name=case["series"],
        workload=case["workload"],
        batch_sizes=case["batch_sizes"],
        updates=tuple((float(updates),) for updates in case["updates"]),
        seconds=tuple(map(float, case["seconds"])),
        nominal=False,
    )


def _middle_seconds(sizes: Sequence[int]) -> tuple[float, ...]:
    return tuple(1 + size / math.sqrt(sizes[0] * sizes[-1]) for size in sizes)


def _nominal(name: str, frame: pd.DataFrame) -> Task:
    ordered = frame.sort_values("batch_size")
    sizes = tuple(map(int, ordered["batch_size"]))
    return Task(
        name=name,
        workload=str(ordered["workload"].iloc[0]),
        batch_sizes=sizes,
        updates=tuple((float(updates),) for updates in ordered["updates"]),
        seconds=_middle_seconds(sizes),
        nominal=True,
    )


def _recorded(name: str, frame: pd.DataFrame, store: Store) -> Task:
    plain = _nominal(name, frame)
    specs = set(experiment(name).sweep.runs())
    seen = [record.observation() for record in store.runs(name) if record.spec in specs]
    runs = tuple(
        tuple(float(one.upper) for one in seen if one.batch_size == size and one.upper is not None)
        for size in plain.batch_sizes
    )
    try:
        timings = store.latest_timing(plain.workload).timings
    except StoreError:
        seconds, nominal = plain.seconds, True
    else:
        at, medians = zip(*((one.batch_size, one.seconds) for one in timings), strict=True)
        logs = np.interp(np.log(plain.batch_sizes), np.log(at), np.log(medians))
        seconds, nominal = tuple(map(float, np.exp(logs))), False
    return Task(
        name=name,
        workload=plain.workload,
        batch_sizes=plain.batch_sizes,
        updates=runs,
        seconds=seconds,
        nominal=nominal,
    )


# Six baselines


def two_lines(runs: Sequence[tuple[float, float]], timings: Sequence[tuple[float, float]]) -> float:
    """Return the timed batch size of the least product of a line through examples against M and the seconds.

    Args:
        runs: Batch sizes and updates to the target.
        timings: Batch sizes and seconds of an update.

    Example:
        >>> two_lines([(8, 350), (128, 110)], [(8, 1.0), (32, 1.2), (128, 3.0)])
        32
    """
    slope, level = np.polyfit([m for m, _ in runs], [m * n for m, n in runs], 1)
    return min(timings, key=lambda timing: (slope + level / timing[0]) * timing[1])[0]


def _two_lines(pilot: Pilot) -> float:
    runs = [(size, pilot.run(size)) for size in pilot.ends_and_middle()]
    return two_lines(runs, [(size, pilot.time(size)) for size in pilot.batch_sizes])


def _break_even(pilot: Pilot) -> float:
    sizes = np.array(pilot.batch_sizes, dtype=float)
    delta, gamma = gpu_truth.line(sizes, np.array([pilot.time(size) for size in pilot.batch_sizes]))
    return float(delta / gamma) if gamma > 0 else float(sizes[-1])


def _advised(pilot: Pilot) -> Recommendation:
    """Return what the package recommends from one run at each end and the middle, and the seconds of every size."""
    runs = [(size, pilot.run(size)) for size in pilot.ends_and_middle()]
    timings = [(size, pilot.time(size)) for size in pilot.batch_sizes]
    return recommend(
        pd.DataFrame(runs, columns=["batch_size", "updates"]), pd.DataFrame(timings, columns=["batch_size", "seconds"])
    )


def advised_all(chosen: Sequence[Task]) -> AdviceRecord:
    """Return what the package recommends for each task; its best guess where it refuses."""
    found = [_advised(Pilot(task)) for task in chosen]
    return AdviceRecord(
        series=tuple(task.name for task in chosen),
        device=("",) * len(chosen),
        learners=(1,) * len(chosen),
        batch_size=tuple(None if one.best_guess is None else one.best_guess.batch_size for one in found),
        regret=tuple(None if one.regret is None else float(f"{one.regret:.3g}") for one in found),
        reasons=tuple(" ".join(one.reasons) for one in found),
        provenance=provenance(threads=1),
    )


def _recommended(known: dict[str, int]) -> Choose:
    """Return the package's own advice as an entry, which pays for its pilot; recorded answers save the reckoning."""

    def choose(pilot: Pilot) -> float:
        if pilot.task.name not in known:
            guess = _advised(pilot).best_guess
            return float(pilot.batch_sizes[0] if guess is None else guess.batch_size)
        for size in pilot.ends_and_middle():
            pilot.run(size)
        for size in pilot.batch_sizes:
            pilot.time(size)
        return float(known[pilot.task.name])

    return choose


def baselines(store: Store) -> dict[str, Choose]:
    """Return six entries by name."""
    kept = store.advice(RECORD) if store.folder.is_dir() else []
    known = (
        {name: size for name, size in zip(kept[-1].series, kept[-1].batch_size, strict=True) if size} if kept else {}
    )
    return {
        "always 32": lambda _pilot: 32.0,
        "always 64": lambda _pilot: 64.0,
        "the largest": lambda pilot: float(pilot.batch_sizes[-1]),
        "delta / gamma": _break_even,
        "two lines": _two_lines,
        "batchtime recommend": _recommended(known),
    }


# Entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an entry answered to a task: `asked` and `used` (the nearest measured size), `regret`, and `spent`."""

    task: str
    workload: str
    asked: float
    used: int
    regret: float
    spent: float


def answer(task: Task, choose: Choose) -> Answer:
    """Return what a function chooses for a task.

    Raises:
        ChallengeError: If it returns no finite number of more than 0.
    """
    pilot = Pilot(task)
    asked = choose(pilot)
    try:
        size = float(asked)
    except (TypeError, ValueError):
        size = math.nan
    if not 0 < size < math.inf:
        raise ChallengeError(f"choose returned {asked!r}; return a batch size, a number of more than 0")
    total = task.total
    place = int(np.abs(np.log(np.array(task.batch_sizes) / size)).argmin())
    least = float(total.min())
    return Answer(
        task=task.name,
        workload=task.workload,
        asked=size,
        used=task.batch_sizes[place],
        regret=float(total[place]) / least - 1,
        spent=pilot.spent / least,
    )


def load(path: Path) -> Choose:
    """Return the function `choose` of a file.

    Raises:
        ChallengeError: If there is no such file or function, or the file stops with an error.
    """
    if not path.is_file():
        raise ChallengeError(f"there is no file {path}; name one with a function choose(pilot)")
    spec = importlib.util.spec_from_file_location("entry", path)
    if spec is None or spec.loader is None:
        raise ChallengeError(f"{path} is no Python file; its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["entry"] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ChallengeError(f"{path} stops when it is read: {_where(error)}") from error
    choose = getattr(module, "choose", None)
    if not callable(choose):
        raise ChallengeError(f"{path} has no function choose; write def choose(pilot): ... return a batch size")
    return choose  # type: ignore[no-any-return]


def _where(error: Exception) -> str:
    """Return an error in one line, with the line of the entry in which it was raised."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} (line {error.lineno})"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.name != "_place"]
    text = str(error) if isinstance(error, BatchtimeError) else f"{type(error).__name__}: {error}"
    own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if "batchtime" not in frame.filename]
    return f"{text} (line {(own or lines)[-1]})"


def _work(connection: Connection, path: Path, chosen: Sequence[Task]) -> None:
    """Answer every task in a process of its own, whose prints nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        choose = load(path)
        connection.send(None)
        for task in chosen:
            random.seed(0)
            np.random.seed(0)  # noqa: NPY002 - entries may use it, and are to answer the same twice
            try:
                connection.send(answer(task, choose))
            except ChallengeError as error:
                connection.send(f"{path}, task {task.name}: {error}")
                return
            except Exception as error:  # noqa: BLE001 - whatever an entry raises
                connection.send(f"{path}, task {task.name}: {_where(error)}")
                return
    except ChallengeError as error:
        connection.send(str(error))


def answers(path: Path, chosen: Sequence[Task], *, limit: float = LIMIT_SECONDS) -> list[Answer]:
    """Return what an entry answers to each task; it works in a process of its own.

    Args:
        path: The entry's file.
        chosen: The tasks.
        limit: Seconds that it may take to be read, and for each task.

    Raises:
        ChallengeError: If it cannot be read, raises, answers no batch size, takes longer, or stops its process.
    """
    check(limit > 0, name="limit", value=limit, allowed="more than 0 seconds")
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(there, path, list(chosen)), daemon=True)
    worker.start()
    there.close()
    try:
        _received(here, f"{path}, as it is read", limit + 30)  # the process imports the package first
        return list(_answers(here, path, chosen, limit))
    finally:
        worker.kill()
        worker.join()


def _answers(here: Connection, path: Path, chosen: Sequence[Task], limit: float) -> Iterator[Answer]:
    for task in chosen:
        found = _received(here, f"{path}, task {task.name}", limit)
        assert isinstance(found, Answer)  # noqa: S101 - errors are raised, and nothing else is sent
        yield found


def _received(here: Connection, what: str, limit: float) -> object:
    if not here.poll(limit):
        raise ChallengeError(f"{what}: no answer within {limit:g} s; let it end sooner, or say --limit")
    try:
        found = here.recv()
    except EOFError as error:
        raise ChallengeError(f"{what}: it ended its process; return a batch size instead") from error
    if isinstance(found, str):
        raise ChallengeError(found)
    return found


# Scores


def scores(several: dict[str, Sequence[Answer]]) -> pd.DataFrame:
    """Return how each entry did, the cheapest first.

    Columns: entry, within_10 (share of the tasks), regret (mean), worst, spent (mean, in trainings at the best size),
    cost (regret + spent / 10): means are over workloads, of the means over the tasks of each.
    """
    made = []
    for name, found in several.items():
        frame = pd.DataFrame([{"workload": a.workload, "regret": a.regret, "spent": a.spent} for a in found])
        frame["within_10"] = (frame["regret"] <= gpu_truth.WITHIN).astype(float)
        mean = frame.groupby("workload").mean().mean()
        made.append(
            {
                "entry": name,
                "within_10": mean["within_10"],
                "regret": mean["regret"],
                "worst": frame["regret"].max(),
                "spent": mean["spent"],
                "cost": mean["regret"] + mean["spent"] / TRAININGS,
            }
        )
    return pd.DataFrame(made).sort_values("cost", kind="stable").reset_index(drop=True)


def apart(store: Store) -> pd.DataFrame:
    """Return what the advice and the two lines of code lose on recorded series, on published ones, and on all.

    Columns: kind, tasks, workloads, advice_share and two_lines_share: mean regrets, workloads weighing alike.
    """
    recorded, entries = set(store.published()) if store.folder.is_dir() else set(), baselines(store)
    ways = {"advice_share": entries["batchtime recommend"], "two_lines_share": entries["two lines"]}
    rows = []
    for task in tasks(store):
        regrets = {way: answer(task, choose).regret for way, choose in ways.items()}
        kinds = ("recorded" if task.name in recorded else "published", "all")
        rows += [{"kind": kind, "workload": task.workload, **regrets} for kind in kinds]
    groups = pd.DataFrame(rows).groupby(["kind", "workload"])
    means = groups.mean().assign(tasks=groups.size()).reset_index("workload").groupby("kind")
    found = means.agg({"tasks": "sum", "workload": "size", **dict.fromkeys(ways, "mean")}).reset_index()
    return found.rename(columns={"workload": "workloads"}).sort_values("kind", ascending=False, ignore_index=True)


def challenge(store: Store, entry: Path | None = None, *, limit: float = LIMIT_SECONDS) -> pd.DataFrame:
    """Return the scores of an entry and of the six baselines.

    Args:
        store: Of the recorded runs; without any, only published series are tasks.
        entry: Its file; None for the baselines alone.
        limit: Seconds that it may think about one task.

    Raises:
        ChallengeError: If the entry cannot be scored.
    """
    chosen = tasks(store)
    several: dict[str, Sequence[Answer]] = {} if entry is None else {entry.name: answers(entry, chosen, limit=limit)}
    several |= {name: [answer(task, choose) for task in chosen] for name, choose in baselines(store).items()}
    return scores(several).assign(tasks=len(chosen), workloads=len({task.workload for task in chosen}))

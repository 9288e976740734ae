"""The calculator's script gives the advice of the package, size and bound, run by node as a browser would."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import playwright
import pytest

from batchtime.fit.advice import recommend
from batchtime.fit.measurements import Observation, UpdateTiming, timings_of
from batchtime.runs import published
from batchtime.runs.catalogue import experiment
from batchtime.runs.store import Store, data_folder

Table = tuple[list[tuple[float, float]], list[tuple[float, float]]]
NODE = shutil.which("node") or str(Path(playwright.__file__).with_name("driver") / "node")


def by_script(root: Path, tables: list[Table]) -> list[dict[str, float]]:
    """Return what the script advises on some tables."""
    code = (
        f"const a = require({json.dumps(str(root / 'book' / '_assets' / 'advice.js'))});"
        "const all = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(all.map(([runs, timings]) => a.recommend(runs, timings))))"
    )
    ran = subprocess.run([NODE, "-e", code], input=json.dumps(tables), capture_output=True, text=True, check=True)
    found: list[dict[str, float]] = json.loads(ran.stdout)
    return found


def recorded() -> list[Table]:
    store = Store(data_folder(), recording=True)
    tables: list[Table] = []
    for name, seeds in (("mnist-lenet", 20), ("cifar10-cnn", 1), ("cifar100-cnn", 3), ("europarl-gru", 6)):
        chosen = experiment(name)
        runs = [
            (r.batch_size, float(r.outcome.upper))
            for r in store.runs(name)
            if r.batch_size in chosen.fitted and r.seed < seeds and r.outcome.upper is not None
        ]
        timings = chosen.relevant(store.latest_timing(name).timings)
        tables.append((runs, [(t.batch_size, s) for t in timings for s in t.wall_seconds]))
    return tables


def others_published() -> list[Table]:
    tables: list[Table] = []
    for one in published.listing():
        if not one["has_seconds"]:
            continue
        runs = published.runs(str(one["name"]))
        runs = runs[~runs["censored"]] if "censored" in runs else runs
        if runs.get("learning_rate") is not None and runs["learning_rate"].nunique() > 1:
            runs = runs[runs["learning_rate"] == runs["learning_rate"].mode()[0]]
        seconds = timings_of(published.timings(str(one["name"])))
        if runs["batch_size"].nunique() > 1:
            pairs = [(float(m), float(n)) for m, n in zip(runs["batch_size"], runs["updates"], strict=True)]
            tables.append((pairs, [(t.batch_size, s) for t in seconds for s in t.wall_seconds]))
    return tables


def made() -> list[Table]:
    """Return tables as people have them: few sizes, one run each, a plateau, a cliff, a pole, odd timings."""
    random = np.random.default_rng(5)
    tables: list[Table] = []
    for sizes, seeds, pole, spread in (
        ((8, 64), 1, 0.0, 0.1),
        ((8, 64, 512), 1, 0.0, 0.1),
        ((8, 64, 512), 3, 0.0, 0.1),
        ((8, 16, 64, 256), 1, 0.0, 0.2),
        ((4, 8, 16, 64, 128, 256), 3, 3.2, 0.05),
        ((4, 8, 16, 64, 128, 256), 5, 0.0, 0.0),
    ):
        runs = [
            (m, float(round((300 + 9000 / (m - pole)) * math.exp(random.normal(0, spread)))))
            for m in sizes
            for _ in range(seeds)
        ]
        for seconds in (
            {m: 2e-3 + 1e-4 * m for m in (4, 8, 32, 128, 512)},
            {m: max(2e-3, 1e-4 * m) for m in (8, 16, 32, 64, 128, 256, 512)},
            {8: 1e-3, 64: 1.1e-3, 512: 4e-2},
        ):
            repeats = random.choice([1, 5])
            tables.append(
                (runs, [(m, s * math.exp(random.normal(0, 0.02))) for m, s in seconds.items() for _ in range(repeats)])
            )
    return tables


def a_third_of_those_made() -> list[Table]:
    """Return each table of runs once, with each of the timings in turn."""
    return [table for k, table in enumerate(made()) if (k - k // 3) % 3 == 0]


def a_third_of_those_published() -> list[Table]:
    """Return some targets of each series: the targets of one have the same timings."""
    return others_published()[::3]


@pytest.mark.parametrize(
    "kind",
    [
        a_third_of_those_made,
        *(pytest.param(kind, marks=pytest.mark.full) for kind in (made, recorded, a_third_of_those_published)),
        pytest.param(others_published, marks=pytest.mark.long),
    ],
)
def test_the_script_advises_the_size_and_bound_of_the_package(root: Path, kind: object) -> None:
    tables: list[Table] = kind()  # type: ignore[operator]
    assert len(tables) >= 4
    for (runs, seconds), found in zip(tables, by_script(root, tables), strict=True):
        observations = [Observation(batch_size=m, lower=n, upper=n) for m, n in runs]
        sizes = sorted({m for m, _ in seconds})
        timings = [
            UpdateTiming(batch_size=m, wall_seconds=w, cpu_seconds=w)  # type: ignore[arg-type]
            for m in sizes
            for w in (tuple(s for size, s in seconds if size == m),)
        ]
        wanted = recommend(observations, timings)
        assert wanted.best_guess is not None
        assert found["batch_size"] == pytest.approx(wanted.best_guess.batch_size, rel=0.01)
        assert found["regret"] == pytest.approx(wanted.regret, rel=0.01, abs=1e-6)
        assert found["seconds"] == pytest.approx(wanted.best_guess.predicted_seconds, rel=0.01)
        assert found["within"] == pytest.approx(wanted.best_guess.within_5_percent, rel=0.01)

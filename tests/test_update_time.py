"""The time per update: recovered from its own values, with intervals that cover, on a quiet machine only."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from batchtime.errors import FitError
from batchtime.fit import update_time
from batchtime.fit.measurements import UpdateTiming
from batchtime.fit.update_time import choose_form, fit_update_time, median_seconds
from batchtime.laws.quantity import Interval


def covers(interval: Interval, value: float) -> bool:
    low, high = interval
    return (low is None or low <= value) and (high is None or value <= high)


def timing(batch_size: int, seconds: Sequence[float], busy: float = 1.0) -> UpdateTiming:
    return UpdateTiming(
        batch_size=batch_size, wall_seconds=tuple(busy * s for s in seconds), cpu_seconds=tuple(seconds)
    )


def jittered(seed: int, *, bend: float = 0.0) -> list[UpdateTiming]:
    generator = np.random.default_rng(seed)
    sizes = (1, 4, 16, 48, 96, 192, 512)
    return [
        timing(m, list((1e-3 + 1e-5 * m) * (1 + bend * math.log(m)) * np.exp(generator.normal(0, 0.05, size=15))))
        for m in sizes
    ]


def test_a_time_per_update_is_recovered_from_its_own_values() -> None:
    fit = fit_update_time([timing(m, [0.002 + 1e-5 * m] * 3) for m in (1, 10, 100, 1000)])
    assert fit.update_time.fixed_seconds == pytest.approx(0.002)
    assert fit.update_time.seconds_per_example == pytest.approx(1e-5)
    assert fit.largest_deviation == pytest.approx(0, abs=1e-12)
    assert fit.r2 == pytest.approx(1)
    assert fit.batch_sizes == (1, 10, 100, 1000)
    assert fit.warnings == ()


def test_medians_are_of_all_durations_of_a_batch_size() -> None:
    found = median_seconds([timing(64, [4, 5, 6]), timing(8, [1, 3]), timing(8, [2])])
    assert list(found.items()) == [(8, 2), (64, 5)]


def test_time_intervals_cover_the_truth() -> None:
    fits = [fit_update_time(jittered(seed)) for seed in range(30)]
    assert np.mean([covers(fit.fixed_seconds, 1e-3) for fit in fits]) >= 0.9
    assert np.mean([covers(fit.seconds_per_example, 1e-5) for fit in fits]) >= 0.9


def test_a_bent_time_per_update_is_said() -> None:
    fit = fit_update_time(jittered(0, bend=0.3))
    assert fit.largest_deviation > 0.15
    assert any("not straight" in warning for warning in fit.warnings)


def test_a_time_of_one_term_is_fitted_on_its_boundary_and_said() -> None:
    flat = fit_update_time([timing(m, [0.01 / (1 + m / 1e4)]) for m in (1, 10, 100)])
    assert flat.update_time.seconds_per_example == 0
    assert flat.seconds_per_example[0] is None
    assert any("do not grow" in warning for warning in flat.warnings)
    steep = fit_update_time([timing(m, [1e-5 * m * m]) for m in (1, 10, 100)])
    assert steep.update_time.fixed_seconds == 0
    assert any("in proportion" in warning for warning in steep.warnings)


def test_a_busy_machine_is_refused_unless_allowed() -> None:
    timings = [timing(m, [0.002 + 1e-5 * m] * 3, busy=1.25) for m in (1, 100)]
    with pytest.raises(FitError, match=r"wall / CPU seconds = 1\.25.*quiet"):
        fit_update_time(timings)
    fit = fit_update_time(timings, allow_busy=True)
    assert fit.wall_over_cpu == pytest.approx(1.25)
    assert any("busy" in warning for warning in fit.warnings)


@pytest.mark.parametrize(
    ("timings", "said"),
    [
        ([], "two distinct batch sizes"),
        ([timing(8, [1.0]), timing(8, [1.1])], r"not \[8\]"),
        ([timing(8, [1.0]), timing(16, [])], "no repeats"),
        ([timing(8, [1.0]), timing(16, [0.0])], r"0\.0 seconds"),
        ([timing(8, [1.0]), timing(16, [math.nan])], "nan seconds"),
        ([timing(8, [1.0]), timing(0, [1.0])], "batch size 0"),
        ([timing(8, [1.0]), UpdateTiming(batch_size=16, wall_seconds=(1.0, 1.0), cpu_seconds=(1.0,))], "in pairs"),
    ],
)
def test_timings_that_determine_no_line_are_refused(timings: list[UpdateTiming], said: str) -> None:
    with pytest.raises(FitError, match=said):
        fit_update_time(timings)


@pytest.mark.parametrize("n", [4, 5])
def test_medians_drawn_by_rank_are_those_of_bootstrap_samples(n: int) -> None:
    generator = np.random.default_rng(1)
    durations = np.array([1.0, 2.0, 4.0, 8.0, 16.0])[:n]
    drawn = np.median(generator.choice(durations, size=(200_000, n)), axis=1)
    by_rank = np.concatenate([update_time._resampled_medians(durations, generator) for _ in range(100)])  # noqa: SLF001
    for value in np.unique(drawn):
        assert np.mean(by_rank == value) == pytest.approx(np.mean(drawn == value), abs=0.005)


def test_the_form_is_chosen_without_solving_more_than_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    solve, solved = update_time._solve, []  # noqa: SLF001
    monkeypatch.setattr(update_time, "_solve", lambda *given: (solved.append(given), solve(*given))[1])
    choose_form(jittered(0))
    # One for the line, one for the larger of the two, four starts of the power mean.
    assert len(solved) == 6

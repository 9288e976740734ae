"""How runs scatter: a spread that falls with the batch size, scatter and misfit told apart, counts in whole numbers."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.likelihood import gather
from batchtime.fit.measurements import Observation
from batchtime.fit.spreads import relative_spreads, with_spreads

from .test_fit import LAW, exact, sampled

SIZES = (2, 4, 8, 16, 64, 256)


def falling(seed: int, *, floor: float, first: float, seeds: int = 40) -> list[Observation]:
    """Return runs of the law whose variance of log N is floor^2 plus what goes as 1 / M^2, first^2 at M = 2."""
    generator = np.random.default_rng(seed)
    runs = []
    for size in SIZES:
        spread = math.sqrt(floor**2 + (first**2 - floor**2) * (2 / size) ** 2)
        updates = LAW.updates(float(size)) * np.exp(generator.normal(-(spread**2) / 2, spread, size=seeds))
        runs += [exact(size, float(n)) for n in updates]
    return runs


def ratio(runs: Sequence[Observation]) -> float:
    """Return how many times the spread at the smallest batch size is that at the largest."""
    rows = with_spreads(gather(runs))
    return float(np.exp(rows.relative[rows.size == 0][0] - rows.relative[rows.size == len(rows.sizes) - 1][0]))


@pytest.mark.parametrize(("floor", "first"), [(0.1, 0.3), (0.02, 0.3), (0.1, 0.1)])
def test_a_spread_that_falls_is_recovered_from_many_runs_and_one_that_does_not_too(floor: float, first: float) -> None:
    assert ratio(falling(0, floor=floor, first=first)) == pytest.approx(first / floor, rel=0.4)


def test_where_runs_tell_nothing_the_spread_falls_by_what_is_usual() -> None:
    # The mean of log(1 - q) / 2 over q from 0 to 1 is -1/2: a factor exp(1/2) = 1.6.
    two = [exact(2, 2300.0), exact(1024, 303.9)]
    assert ratio(two) == pytest.approx(math.exp(0.5), rel=0.05)


def test_relative_spreads_have_a_root_mean_square_of_one_over_the_runs() -> None:
    rows = gather(falling(0, floor=0.1, first=0.3, seeds=3))
    for share in (0.0, 0.5, 0.99):
        assert np.average(np.exp(2 * relative_spreads(rows, share)), weights=rows.counts) == pytest.approx(1)
    assert np.ptp(relative_spreads(rows, 0.0)) == 0


def test_an_outlier_of_the_law_is_not_taken_for_scatter_where_runs_are_repeated() -> None:
    # The smallest batch size stands 60 % off the law of the others, its runs scatter like theirs.
    runs = [replace(r, lower=1.6 * r.lower, upper=1.6 * r.lower) if r.batch_size == 2 else r for r in sampled(1)]
    assert ratio(runs) == pytest.approx(ratio(sampled(1)), rel=1e-6)


def test_scatter_is_that_of_runs_and_misfit_that_of_means() -> None:
    # Runs 10 % above and below their mean, means 20 % above and below the law.
    off = {4: 1.2, 16: 1 / 1.2, 64: 1.2, 256: 1 / 1.2}
    runs = [exact(m, LAW.updates(float(m)) * f * math.exp(e)) for m, f in off.items() for e in (-0.1, 0.1)]
    fit = fit_inverse_law(runs)
    # Two runs at +-0.1 have the variance 0.02 with one degree of freedom.
    assert fit.scatter == pytest.approx(math.sqrt(0.02), rel=0.1)
    assert fit.misfit is not None
    assert 0.1 < fit.misfit < 0.4


def test_one_run_at_each_batch_size_has_no_scatter_and_a_misfit() -> None:
    fit = fit_inverse_law(sampled(1, seeds=1))
    assert fit.scatter is None
    assert fit.misfit == pytest.approx(0.15, rel=0.7)
    assert fit_inverse_law([exact(4, 1300), exact(64, 362.5)]).misfit is None


def test_equal_counts_do_not_scatter_and_their_rounding_is_no_lack_of_fit() -> None:
    counts = {256: 18, 512: 10, 1024: 7}  # 17.6, 10.5, 6.95 on n_inf = 3.4, alpha = 3635: each within half an update
    fit = fit_inverse_law([exact(m, n) for m, n in counts.items() for _ in range(2)])
    assert fit.scatter == 0
    assert fit.lack_of_fit is not None
    assert fit.lack_of_fit > 0.5
    assert "lack of fit" not in "\n".join(fit.warnings)
    halves = fit_inverse_law([exact(m, n + 0.001 * m / 256) for m, n in counts.items() for _ in range(2)])
    assert halves.lack_of_fit is not None
    assert halves.lack_of_fit < 0.01


def test_updates_that_rise_are_taken_for_examples() -> None:
    said = " ".join(fit_inverse_law([exact(m, 125.0 * m * f) for m in (32, 64, 128) for f in (1, 1.02)]).warnings)
    assert "rise with the batch size" in said
    assert "examples" in said
    assert "open" not in said


def test_updates_that_fall_faster_than_one_over_m_are_said_to_be_near_a_pole() -> None:
    said = " ".join(fit_inverse_law([exact(m, 4e6 / m**1.17) for m in (16, 32, 64, 128, 256)]).warnings)
    assert "faster than 1 / M" in said
    assert "smallest batch sizes out" in said
    assert "above 256" not in said


def test_a_batch_size_with_more_updates_than_a_smaller_one_is_named() -> None:
    table = {32: 128590.0, 64: 149914.0, 128: 73113.6, 512: 23347.2, 1024: 20480.0}
    said = " ".join(fit_inverse_law([exact(m, n) for m, n in table.items()]).warnings)
    assert "17 % higher at batch size 64 than at 32" in said


@pytest.mark.parametrize("seed", range(8))
def test_runs_of_a_law_are_told_nothing_of_their_shape(seed: int) -> None:
    said = " ".join(fit_inverse_law(sampled(seed, sizes=(2, 8, 32, 128, 512), seeds=5)).warnings)
    assert not any(words in said for words in ("rise with", "higher at batch size", "faster than"))

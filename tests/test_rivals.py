"""Promises of the rival laws: each is recovered where it is true, none is judged on too few batch sizes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from batchtime.book.comparisons import arm
from batchtime.book.pages.rivals import contest
from batchtime.errors import FitError
from batchtime.fit.measurements import Observation
from batchtime.fit.rival_laws import INVERSE, LAWS, Law, compare, fit_law
from batchtime.laws.quantity import Array
from batchtime.runs.catalogue import experiment
from batchtime.runs.records import Outcome

from .builders import record

SIZES = np.array([2, 4, 8, 16, 32, 64, 128, 256, 512], dtype=np.float64)
TRUE = {
    "inverse law": (700.0, 5000.0),
    "perfect scaling": (5000.0,),
    "power law": (3000.0, 0.4),
    "hard knee": (700.0, 20000.0),
    "smooth knee": (700.0, 20000.0, 2.5),
    "free exponent": (700.0, 5000.0, 0.6),
    "pole": (700.0, 5000.0, 1.5),
    "noise floor": (700.0, 3000.0, 1.6),
}


def runs(updates: Array, *, spread: float = 0.0, seeds: int = 10, sizes: Array = SIZES) -> list[Observation]:
    """Return runs at batch sizes that scatter about mean updates."""
    random = np.random.default_rng(0)
    found = []
    for size, mean in zip(sizes, updates, strict=True):
        for seed in range(seeds):
            value = float(mean * np.exp(spread * random.standard_normal() - spread**2 / 2))
            found.append(Observation(batch_size=float(size), lower=value, upper=value, seed=seed))
    return found


def squares(law: Law, means: Array, parameters: tuple[float, ...]) -> float:
    return float(np.sum(np.log(law.updates(SIZES, *parameters) / means) ** 2))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_law_is_recovered_from_its_own_means(law: Law) -> None:
    means = law.updates(SIZES, *TRUE[law.name])
    assert fit_law(law, SIZES, means) == pytest.approx(TRUE[law.name], rel=1e-4)


@pytest.mark.parametrize("law", [law for law in LAWS if law is not INVERSE], ids=lambda law: law.name)
def test_a_rival_that_is_true_beats_the_inverse_law(law: Law) -> None:
    found = compare(runs(law.updates(SIZES, *TRUE[law.name]), spread=0.01))
    assert found.ours is not None
    mine = next(one for one in found.fitted if one.law is law)
    assert mine.aicc < found.ours.aicc
    assert mine.leave_one_out_error < found.ours.leave_one_out_error
    assert mine.lack_of_fit is not None
    assert found.ours.lack_of_fit is not None
    assert mine.lack_of_fit > 0.01
    assert found.ours.lack_of_fit < 0.01 or law.name == "perfect scaling"  # that one is the inverse law with n_inf = 0
    assert mine.worst < 0.05


def test_the_inverse_law_wins_where_it_is_true() -> None:
    found = compare(runs(INVERSE.updates(SIZES, *TRUE["inverse law"]), spread=0.05))
    assert found.winner is found.ours is found.fitted[0]
    assert found.untested == ()
    assert [found.behind(one) for one in found.fitted[:1]] == [0]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_no_global_search_finds_a_better_fit(law: Law) -> None:
    random = np.random.default_rng(1)
    means = INVERSE.updates(SIZES, 700, 5000) * np.exp(0.1 * random.standard_normal(len(SIZES)))
    ours = squares(law, means, fit_law(law, SIZES, means))
    reaches = {
        "n_inf": (np.log(1), np.log(5000)), "alpha": (np.log(10), np.log(1e6)), "scale": (np.log(10), np.log(1e6)),
        "beta": (np.log(0.05), np.log(20)), "q": (np.log(0.05), np.log(20)), "a": (np.log(10), np.log(1e9)),
        "m_0": (np.log(1e-6), np.log(1.999)),
    }  # fmt: skip
    bounds = [reaches[name] for name in law.parameters]
    other = optimize.differential_evolution(
        lambda place: squares(law, means, tuple(np.exp(place))), bounds, rng=0, maxiter=150, popsize=12, polish=True
    )
    assert ours <= float(other.fun) * (1 + 1e-6)


@pytest.mark.parametrize("examples", [6, pytest.param(30, marks=pytest.mark.full)])
def test_laws_that_hold_the_inverse_law_fit_no_worse_in_any_unit(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(
        st.floats(1, 1e6),
        st.floats(1e-2, 1e3),
        st.floats(0.0, 0.3),
        st.integers(0, 99),
        st.sampled_from([1e-3, 1.0, 1e6]),
    )
    def no_worse(n_inf: float, critical: float, noise: float, seed: int, unit: float) -> None:
        sizes = SIZES * unit
        errors = np.exp(noise * np.random.default_rng(seed).standard_normal(len(sizes)))
        means = INVERSE.updates(sizes, n_inf, n_inf * critical * unit) * errors

        def left(law: Law) -> float:
            return float(np.sum(np.log(law.updates(sizes, *fit_law(law, sizes, means)) / means) ** 2))

        least = left(INVERSE)
        for law in LAWS:
            if law.name in ("smooth knee", "free exponent", "pole", "noise floor"):
                assert left(law) <= least * 1.01 + 1e-9

    no_worse()


def test_a_third_parameter_is_not_testable_on_six_batch_sizes_and_a_second_not_on_five() -> None:
    for count, testable in ((7, 8), (6, 4), (5, 1), (4, 0)):
        found = compare(runs(INVERSE.updates(SIZES[:count], 700, 5000), sizes=SIZES[:count], spread=0.05))
        assert len(found.fitted) == testable
        assert {one.law for one in found.fitted} | set(found.untested) == set(LAWS)
        assert (found.winner is None) == (found.best_left_out is None) == (count < 6)


def test_the_corrected_aic_is_that_of_its_formula() -> None:
    found = compare(runs(INVERSE.updates(SIZES, 700, 5000), spread=0.1))
    assert found.ours is not None
    means = np.array([np.mean([r.lower for r in runs(INVERSE.updates(SIZES, 700, 5000), spread=0.1)
                               if r.batch_size == size]) for size in SIZES])  # fmt: skip
    left = float(np.sum(np.log(found.ours.updates(SIZES) / means) ** 2))
    # 9 means, 3 parameters with the variance: 2 k + 2 k (k + 1) / (n - k - 1) = 6 + 24 / 5
    assert found.ours.aicc == pytest.approx(9 * np.log(left / 9) + 6 + 24 / 5, abs=0.1)


def test_runs_without_scatter_have_no_test_of_fit() -> None:
    found = compare(runs(INVERSE.updates(SIZES, 700, 5000), seeds=1))
    assert found.ours is not None
    assert found.ours.lack_of_fit is None


def test_a_batch_size_where_most_runs_were_lost_is_left_out() -> None:
    seen = runs(INVERSE.updates(SIZES, 700, 5000), spread=0.05)
    lost = [replace(run, upper=None) if run.batch_size == 2 and (run.seed or 0) < 6 else run for run in seen]
    assert compare(lost).batch_sizes == tuple(SIZES[1:])
    some = [replace(run, upper=None) if run.batch_size == 2 and (run.seed or 0) < 5 else run for run in seen]
    assert compare(some).batch_sizes == tuple(SIZES)


def test_one_batch_size_is_refused_with_the_remedy() -> None:
    with pytest.raises(FitError, match=r"only at batch sizes \[4\]; add runs at others"):
        compare([Observation(batch_size=4, lower=90 + k, upper=91 + k, seed=k) for k in range(5)])
    with pytest.raises(FitError, match="2 batch sizes for the 3 parameters of the pole"):
        fit_law(next(law for law in LAWS if law.name == "pole"), SIZES[:2], SIZES[:2])


def test_a_contest_is_held_with_and_without_the_batch_sizes_kept_out_of_the_fit() -> None:
    chosen = experiment("mnist-lenet").changed(batch_sizes=[2, 4, 8, 16, 32, 64, 128], seeds=4)
    chosen = replace(chosen, sealed=(16,), left_out=(2,))
    records = [
        replace(
            record(batch_size=spec.batch_size, seed=spec.seed),
            outcome=Outcome(status="reached", lower=mean, upper=mean + 9 + spec.seed),
        )
        for spec in chosen.sweep.runs()
        for mean in (round(700 + 5000 / spec.batch_size),)
    ]
    found = contest(arm(chosen, records, "some"))
    assert found.fitted.batch_sizes == (4, 8, 32, 64, 128)
    assert found.every is not None
    assert found.every.batch_sizes == (2, 4, 8, 16, 32, 64, 128)
    whole = replace(chosen, sealed=(), left_out=())
    assert contest(arm(whole, records, "all")).every is None

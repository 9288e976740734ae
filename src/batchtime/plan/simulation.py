"""Tables of runs whose law is known, and what three estimators make of them: do the intervals cover, is there a bias?

Each table is simulated from its own random numbers, so that any slice of a recorded study can be made again.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from scipy.optimize import brentq, leastsq
from scipy.stats import norm

from batchtime.errors import check
from batchtime.fit.inverse_law import fit_inverse_law, least_squares_law
from batchtime.fit.measurements import Observation
from batchtime.fit.scatter import LEVEL
from batchtime.laws.quantity import Array, holds
from batchtime.laws.updates import InverseLaw
from batchtime.runs.provenance import provenance
from batchtime.runs.records import Progress, StudyDesign, StudyRecord, unwatched
from batchtime.runs.store import Store, writing

QUANTITIES = ("n_inf", "alpha", "critical_batch_size")
CVS = (0.05, 0.15, 0.3)
DIGITS = 5
"""Significant digits of a recorded estimate."""

COVERAGE = tuple(StudyDesign(cv=cv, correlation=correlation) for correlation, cv in product((0.0, 0.9), CVS))
"""Evaluated on a fine grid with an unlimited budget, runs of one seed independent or going together."""

BIAS = tuple(
    replace(design, cv=cv)
    for design in (
        StudyDesign(evaluated="by updates", every=100),
        StudyDesign(evaluated="by examples", every=2000),
        StudyDesign(budget="updates"),
        StudyDesign(budget="examples"),
    )
    for cv in CVS
)
"""Evaluated rarely, or with a budget that stops a quarter of the runs."""

_LENET = StudyDesign(cv=0.12, first_cv=0.29, correlation=0.1)
_SOFTMAX = StudyDesign(cv=0.01, first_cv=0.3, correlation=0.1)
_THREE = (4, 32, 256)
SPREADS = (
    _LENET,
    replace(_LENET, correlation=0.3),
    _SOFTMAX,
    StudyDesign(cv=0.19, first_cv=0.45, correlation=0.3),
    replace(_LENET, batch_sizes=_THREE, seeds=3),
    replace(_LENET, batch_sizes=_THREE, seeds=3, correlation=0.3),
    replace(_SOFTMAX, batch_sizes=_THREE, seeds=3, first_cv=0.1),
    StudyDesign(cv=0.12, correlation=0.3, batch_sizes=_THREE, seeds=3),
    replace(_LENET, seeds=1, correlation=0.0),
    replace(_SOFTMAX, seeds=1, correlation=0.0),
    StudyDesign(seeds=1),
    replace(_LENET, budget="updates", censored=0.4),
    StudyDesign(correlation=0.3, budget="updates", censored=0.4),
    StudyDesign(cv=0.19, first_cv=0.45, correlation=0.3, budget="updates", censored=0.4),
)
"""Spreads that fall with the batch size and seeds that go together as in the recorded sweeps (LeNet, softmax, Adam):
many seeds, three at three batch sizes, one alone, and two runs in five stopped by a budget."""

STUDIES = {"coverage": COVERAGE, "bias": BIAS, "spreads": SPREADS}
"""The recorded studies by name."""
REPLICATIONS = {"coverage": 1000, "bias": 200, "spreads": 400}
"""Tables of each design. Of 1000, a share of 95 % is known to 0.7 % (one standard error); a median needs fewer."""


def with_cvs(name: str, cvs: Sequence[float]) -> list[StudyDesign]:
    """Return the designs of a recorded study, with these coefficients of variation in place of its own."""
    settings = dict.fromkeys(replace(design, cv=1.0) for design in STUDIES[name])
    return [replace(design, cv=float(cv)) for design in settings for cv in cvs]


# One table


def simulate(design: StudyDesign, seed: int, replication: int) -> list[Observation]:
    """Return the runs of one simulated table, as they are seen: intervals between evaluations, or censored."""
    random = np.random.default_rng([seed, replication])
    shared = random.standard_normal(design.seeds)
    budget = _budget(design)
    runs = []
    for size, spread in zip(design.batch_sizes, _spreads(design), strict=True):
        own = random.standard_normal(design.seeds)
        z = math.sqrt(design.correlation) * shared + math.sqrt(1 - design.correlation) * own
        updates = design.law.updates(float(size)) * np.exp(spread * z - spread**2 / 2)
        most = budget / size if design.budget == "examples" else budget
        runs += [_seen(design, float(size), float(n), most, number) for number, n in enumerate(updates)]
    return runs


def _spreads(design: StudyDesign) -> Array:
    """Return the standard deviation of log N at each batch size."""
    level, first = (math.log1p(cv**2) for cv in (design.cv, design.first_cv or design.cv))
    noise = (first - level) * (min(design.batch_sizes) / np.array(design.batch_sizes, dtype=np.float64)) ** 2
    return np.asarray(np.sqrt(level + noise))


def _seen(design: StudyDesign, size: float, updates: float, most: float, seed: int) -> Observation:
    """Return what is known of a run that needs so many updates and is stopped at `most`."""
    if updates > most:
        return Observation(batch_size=size, lower=most, upper=None, seed=seed)
    if design.evaluated == "by ratio":
        power = math.ceil(math.log(updates) / math.log1p(design.every))
        lower, upper = (1 + design.every) ** (power - 1), (1 + design.every) ** power
    else:
        step = design.every / size if design.evaluated == "by examples" else design.every
        count = math.ceil(updates / step)
        lower, upper = (count - 1) * step, count * step
    return Observation(batch_size=size, lower=lower, upper=min(upper, most), seed=seed)


def _budget(design: StudyDesign) -> float:
    """Return the updates, or examples, at which the expected share of runs is stopped; infinite for no budget."""
    if design.budget == "none":
        return math.inf
    sizes = np.array(design.batch_sizes, dtype=np.float64)
    unit = sizes if design.budget == "examples" else np.ones_like(sizes)
    spread = _spreads(design)
    medians = np.log(design.law.updates(sizes) * unit) - spread**2 / 2

    def excess(log_budget: float) -> float:
        return float(np.mean(norm.sf((log_budget - medians) / spread))) - design.censored

    return math.exp(brentq(excess, float(medians.min()) - 10, float(medians.max()) + 10))


# The estimators


def _reached(runs: Sequence[Observation]) -> tuple[Array, Array]:
    """Return batch sizes and updates, at the evaluation that saw the target, of the runs that got there."""
    reached = [(run.batch_size, run.upper) for run in runs if run.upper is not None]
    sizes, updates = np.array(reached, dtype=np.float64).T
    return sizes, updates


def ordinary_least_squares(runs: Sequence[Observation]) -> InverseLaw:
    """Return the line through updates against 1 / M, as most plots are fitted; censored runs are dropped."""
    sizes, updates = _reached(runs)
    slope, level = np.polyfit(1 / sizes, updates, 1)
    return InverseLaw(n_inf=float(level), alpha=float(slope))


def log_least_squares(runs: Sequence[Observation]) -> InverseLaw:
    """Return the law of least squared errors of log N, run by run; censored runs are dropped."""
    sizes, updates = _reached(runs)
    start = least_squares_law(runs)

    def errors(logs: Array) -> Array:
        n_inf, alpha = np.exp(np.clip(logs, -50, 50))
        return np.asarray(np.log((n_inf + alpha / sizes) / updates))

    logs = leastsq(errors, np.log([max(start.n_inf, 1e-3), max(start.alpha, 1e-3)]), full_output=True)[0]
    n_inf, alpha = np.exp(np.clip(logs, -50, 50))
    return InverseLaw(n_inf=float(n_inf), alpha=float(alpha))


INTERVAL = "interval likelihood"
ESTIMATORS: dict[str, Callable[[Sequence[Observation]], InverseLaw]] = {
    "ordinary least squares": ordinary_least_squares,
    "log least squares": log_least_squares,
    INTERVAL: lambda runs: fit_inverse_law(runs).law,
}


# Many tables


def study(
    design: StudyDesign, *, replications: int, seed: int = 0, first: int = 0, progress: Progress = unwatched
) -> StudyRecord:
    """Return what the estimators make of tables `first` to `first + replications - 1` of one design."""
    allowed = "a whole number, at least 1"
    check(replications >= 1, name="replications", value=replications, allowed=allowed)
    truth = {quantity: float(getattr(design.law, quantity)) for quantity in QUANTITIES}
    estimates: dict[str, dict[str, list[float]]] = {name: {"n_inf": [], "alpha": []} for name in ESTIMATORS}
    covered: dict[str, list[int]] = {quantity: [] for quantity in QUANTITIES}
    censored = 0
    for number in range(first, first + replications):
        runs = simulate(design, seed, number)
        fit = fit_inverse_law(runs)
        for name, estimator in ESTIMATORS.items():
            law = fit.law if name == INTERVAL else estimator(runs)
            for quantity, values in estimates[name].items():
                values.append(float(f"{getattr(law, quantity):.{DIGITS}g}"))
        for quantity, hits in covered.items():
            hits.append(int(holds(getattr(fit.intervals, quantity), truth[quantity])))
        censored += fit.n_censored
        progress(number - first + 1, replications)
    return StudyRecord(
        design=design,
        seed=seed,
        estimates={
            name: {quantity: tuple(values) for quantity, values in found.items()} for name, found in estimates.items()
        },
        covered={quantity: tuple(hits) for quantity, hits in covered.items()},
        censored=censored / (replications * design.seeds * len(design.batch_sizes)),
        provenance=provenance(threads=1),
    )


def complete_study(
    designs: Sequence[StudyDesign],
    *,
    name: str,
    replications: int,
    store: Store,
    seed: int = 0,
    progress: Progress = unwatched,
) -> list[StudyRecord]:
    """Return a study of each design, in their order, simulating those that are not recorded.

    Args:
        designs: How tables are simulated.
        name: Under which name the study is recorded.
        replications: Tables of each design; a recorded study of more counts, none of fewer does.
        store: Where it is recorded.
        seed: Of the random numbers.
        progress: Called with the designs done and all designs.

    Raises:
        StoreError: If records cannot be read or written.
    """

    def known() -> dict[StudyDesign, StudyRecord]:
        fit = [one for one in store.studies(name) if one.seed == seed and one.replications >= replications]
        return {one.design: one for one in reversed(fit)}

    done = known()
    if missing := [design for design in designs if design not in done]:
        with writing(store.studies_file(name)) as writer:
            for design in missing:
                progress(len(designs) - len(missing) + missing.index(design), len(designs))
                writer.append(study(design, replications=replications, seed=seed))
        done = known()
    progress(len(designs), len(designs))
    return [done[design] for design in designs]


# What came of it


def design_text(design: StudyDesign) -> str:
    """Return how a table is simulated, without its law and its batch sizes."""
    unit = {"by ratio": f"every {100 * design.every:.0f} %", "by updates": f"every {design.every:g} updates"}
    seen = unit.get(design.evaluated, f"every {design.every:g} examples")
    stopped = (
        "" if design.budget == "none" else f", {100 * design.censored:.0f} % stopped by a budget in {design.budget}"
    )
    together = f", correlation {design.correlation:g} by seed" if design.correlation else ""
    falling = "" if design.first_cv is None else f", scatter of {100 * design.first_cv:g} % at the smallest batch size"
    sizes, seeds = len(design.batch_sizes), design.seeds
    few = "" if (sizes, seeds) == (9, 10) else f", {sizes} batch sizes, {seeds} seed{'s' if seeds > 1 else ''}"
    return f"evaluated {seen}{stopped}{together}{falling}{few}"


def coverage(found: StudyRecord, quantity: str) -> float:
    """Return the share of tables whose 95 % interval of a quantity holds the truth."""
    return float(np.mean(found.covered[quantity]))


def estimates(found: StudyRecord, estimator: str, quantity: str) -> Array:
    """Return the estimates of a quantity, shape (replications,); a critical batch size without end is infinite."""
    both = found.estimates[estimator]
    if quantity != "critical_batch_size":
        return np.array(both[quantity])
    n_inf = np.array(both["n_inf"])
    return np.where(n_inf > 0, np.array(both["alpha"]) / np.where(n_inf > 0, n_inf, 1.0), np.inf)


def bias(found: StudyRecord, estimator: str, quantity: str) -> float:
    """Return how far the median estimate of a quantity is off the truth, in the quantity's unit."""
    return float(np.median(estimates(found, estimator, quantity)) - getattr(found.design.law, quantity))


def lowest_coverage(several: Sequence[StudyRecord]) -> float:
    """Return the least coverage of any quantity in some studies."""
    return min(coverage(one, quantity) for one in several for quantity in QUANTITIES)


def highest_coverage(several: Sequence[StudyRecord]) -> float:
    """Return the greatest coverage of any quantity in some studies."""
    return max(coverage(one, quantity) for one in several for quantity in QUANTITIES)


def standard_error(several: Sequence[StudyRecord]) -> float:
    """Return the standard error of a coverage of 95 % in the study with the fewest tables."""
    return math.sqrt(LEVEL * (1 - LEVEL) / min(one.replications for one in several))


def expected_bias(design: StudyDesign) -> tuple[str, float] | None:
    """Return the quantity that rare evaluation biases, and by how much; None where it biases none.

    A run is seen to end half of the distance of two evaluations too late: k / 2 updates at every batch size, which adds
    to n_inf, or n / 2 examples, n / (2 M) updates, which adds to alpha.
    """
    quantity = {"by updates": "n_inf", "by examples": "alpha"}.get(design.evaluated)
    return None if quantity is None else (quantity, design.every / 2)

"""How much room each inequality of the bound leaves: both sides on a problem where it is tight, and where it is loose.

Every function of `MARGINS` is named after the label of an inequality in the chapter "The bound". Sides are computed
exactly where that can be done, and otherwise as a mean over simulated runs, with its standard error.
"""

from collections.abc import Callable

from batchtime.theory.bounds import Constants
from batchtime.theory.margins import assumptions, exact, necessary, sufficient
from batchtime.theory.margins.sides import Case, Margin
from batchtime.theory.margins.toys import RUNS, Toy, huber, long_valley, quadratic, round_bowl, wavy

__all__ = [
    "CASE",
    "MARGINS",
    "RUNS",
    "Case",
    "Margin",
    "Toy",
    "huber",
    "long_valley",
    "quadratic",
    "round_bowl",
    "wavy",
]

MARGINS: dict[str, Callable[[Case], list[Margin]]] = {
    "smooth": assumptions.smooth,
    "bounded-noise": assumptions.bounded_noise,
    "convex": assumptions.convex,
    "pl": assumptions.pl,
    "strongly-convex": assumptions.strongly_convex,
    "expand": assumptions.expand,
    "descent": assumptions.descent,
    "one-step": sufficient.one_step,
    "averaged-step": sufficient.averaged_step,
    "averaged": sufficient.averaged,
    "weighted-step": sufficient.weighted_step,
    "weighted": sufficient.weighted,
    "weighted-law": sufficient.weighted_law,
    "rest": sufficient.rest,
    "critical-below-pole": sufficient.critical_below_pole,
    "last-step": sufficient.last_step,
    "last": sufficient.last,
    "harmonic-noise": sufficient.harmonic_noise,
    "harmonic-averaged": sufficient.harmonic_averaged,
    "harmonic-last": sufficient.harmonic_last,
    "best-between": sufficient.best_between,
    "expected-smoothness": sufficient.expected_smoothness,
    "interpolation-step": sufficient.interpolation_step,
    "interpolation-count": sufficient.interpolation_count,
    "examples-needed-average": necessary.examples_needed_average,
    "van-trees": necessary.van_trees,
    "step-needed": necessary.step_needed,
    "updates-needed": necessary.updates_needed,
    "needed-law": necessary.needed_law,
    "any-method-quiet": exact.any_method_quiet,
    "any-method-updates": exact.any_method_updates,
    "any-method": exact.any_method_sum,
    "spectrum-worst": exact.spectrum_worst,
    "spectrum-count": exact.spectrum_count,
    "spectrum-best": exact.spectrum_best,
    "curve-quadratic": exact.curve_quadratic,
    "curve-constant": exact.curve_constant,
    "curve-capped": exact.curve_capped,
    "no-pilot": exact.no_pilot,
    "passage": necessary.passage,
}
"""For each inequality of the chapter both sides on a tight problem, then on a loose one."""

CASE = Case(
    constants=Constants(smoothness=1.0, curvature=0.05, noise_variance=10.0, distance=1.0, start=0.5, gap=0.01),
    rate=0.1,
    batch_size=1024,
)
"""The case of the tests: L = 1, mu = 0.05, sigma^2 = 10, D = 1, epsilon = 0.01."""

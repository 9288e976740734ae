"""Every equation of the chapter, and what its names stand for when a machine reads it off its page.

`WORDS` names what is no expression in numbers; `SHOWN` says for each equation where its values come from.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from batchtime.theory.bounds import Constants
from tests.bound import drawn, shown
from tests.bound.drawn import Names
from tests.bound.shown import Setting

WORDS = {
    r"\mathbb E f(\bar x_N) - f^*": r"\gap",
    r"\mathbb E f(x) - f^*": r"\gap",
    r"\mathbb E \, f - f^*": r"\gap",
    r"\Delta_N": r"\gap",
    r"\frac{\mathbb E_t \| x_{t+1} - x^* \|^2}{\| x_t - x^* \|^2}": r"\kept",
    r"\operatorname{sd} (N)": r"\spread",
}
"""Left sides that are no expressions in numbers, and the names under which their values are given."""

ORTHOGONAL = math.sqrt(2.5) * np.eye(2)
Said = Callable[[Setting], Names | list[Names]]

SHOWN: dict[str, Said] = {
    "update": lambda _: drawn.regression(),
    "batch-gradient": lambda _: drawn.regression(),
    "smooth": lambda _: drawn.regression(),
    "convex": lambda s: drawn.far_out(s.constants, 0.1),
    "pl": lambda _: drawn.regression(),
    "strongly-convex": lambda _: drawn.regression(),
    "strongly-convex-pl": lambda _: drawn.regression(),
    "bounded-noise": lambda _: drawn.regression(),
    "unbiased": lambda _: drawn.regression(),
    "batch-noise": lambda _: drawn.regression(),
    "second-moment": lambda _: drawn.regression(),
    "without-replacement": lambda _: drawn.regression(again=False),
    "expand": lambda _: drawn.regression(),
    "descent": lambda _: drawn.regression(),
    "progress": shown.progress,
    "one-step": lambda s: drawn.at_the_minimum() if s.first else drawn.far_out(s.constants, 0.1),
    "three-points": lambda _: drawn.regression(),
    "noise-meets-step": lambda _: drawn.regression(),
    "step-length": lambda _: drawn.regression(),
    "averaged-step": lambda s: drawn.at_the_minimum() if s.first else drawn.far_out(s.constants, s.rate),
    "averaged-tight": lambda s: drawn.quiet_slope(s.constants, s.rate),
    "lopsided": lambda s: drawn.lopsided(s.constants, s.rate, s.size),
    "last-step": shown.last_step,
    "slope-by-gap": lambda _: drawn.regression(),
    "last-series": shown.series,
    "last-small-step": shown.last_small_step,
    "best-limits": shown.best_limits,
    "best-last": shown.best_last,
    "expected-smoothness": lambda _: drawn.interpolated(ORTHOGONAL),
    "interpolation-step": lambda _: drawn.interpolated(ORTHOGONAL),
    "weighted-step": lambda s: drawn.at_the_minimum() if s.first else drawn.regression(rate=0.001) | {"within": 0.005},
    "weights": shown.weights,
    "rest-balance": lambda s: drawn.bowl_at_rest(s.constants, s.rate, s.size),
    "cocoercive": lambda _: drawn.regression(),
    "van-trees": lambda _: drawn.estimated(),
    "cosine-prior": lambda _: drawn.cosine(1.7),
    "examples-needed-average": shown.examples_needed_average,
    "any-method-quiet": lambda _: drawn.chain(),
    "curve-sde": shown.curve_sde,
    "curve-step-error": shown.curve_step_error,
    "power-step": shown.power_step,
    "pole": shown.pole,
    "passage": lambda s: drawn.run_certified(s.constants),
    "scatter-of-a-run": shown.scatter,
    "passage-spread": lambda _: drawn.passage(),
    "noise-factor": lambda _: {},
    "averaged": shown.averaged_bound,
    "averaged-count": shown.averaged_excess,
    "averaged-excess": shown.averaged_excess,
    "contraction": shown.contraction,
    "last-floor": shown.last_floor,
    "last": shown.last,
    "last-count": shown.last_count,
    "last-law": shown.last_law,
    "last-exact": shown.last_exact,
    "harmonic-noise": shown.plain,
    "harmonic-averaged": shown.harmonic_averaged,
    "harmonic-last": shown.harmonic_last,
    "harmonic-form": shown.harmonic_form,
    "best-rate": shown.best_rate,
    "best-between": shown.best_between,
    "interpolation-count": shown.interpolation,
    "gaussian-step": shown.gaussian_step,
    "gaussian-count": shown.gaussian_count,
    "without-replacement-law": shown.without_replacement,
    "weighted": shown.weighted,
    "weighted-count": shown.weighted_count,
    "weighted-law": shown.weighted_law,
    "rest": shown.rest,
    "pl-floor": shown.pl_floor,
    "spectrum-worst": shown.spectrum_worst,
    "spectrum-count": shown.spectrum_count,
    "spectrum-best": shown.spectrum_best,
    "spectrum-leading": shown.spectrum_leading,
    "needed-law": shown.necessary,
    "step-needed": shown.step_needed,
    "examples-needed": shown.examples_needed,
    "posterior": shown.posterior,
    "updates-needed": shown.updates_needed,
    "any-method": shown.any_method,
    "any-method-updates": lambda _: {"L": 1e8, r"\mu": 1.0, "within": 1e-3},
    "critical-below-pole": shown.critical,
    "curve-step": shown.curve_step,
    "curve-law": shown.curve_law,
    "curve-isotropic": shown.curve_isotropic,
    "curve-quadratic": shown.curve_quadratic,
    "curve-constant": shown.first_order,
    "curve-capped": shown.curve_capped,
    "curve-linear": shown.curve_linear,
    "curve-tuned": shown.curve_tuned,
    "curve-optimum": shown.curve_optimum,
    "no-pilot": shown.no_pilot,
}
"""For each equation what its names stand for; a list where they stand for something else in each of its relations."""

ROOM = {
    "any-method-updates",
    "best-between",
    "best-last",
    "contraction",
    "curve-capped",
    "curve-constant",
    "curve-quadratic",
    "no-pilot",
    "passage",
    "spectrum-best",
}
"""Those with an inequality that is an equality nowhere, or not where all of its terms can be seen."""


def _uneven(_: Setting) -> Names:
    return drawn.regression(inputs=drawn.UNEVEN)


def nearly_round(c: Constants) -> Constants:
    """Return constants with curvatures that are nearly alike, and a target near the start."""
    return replace(c, curvature=c.smoothness / 2, gap=c.start / 1.5)


def _less(label: str, name: str, factor: float) -> Callable[[Setting], Names]:
    """Return the names of an equation, one of them smaller or larger."""

    def names(s: Setting) -> Names:
        known = SHOWN[label](s)
        assert isinstance(known, dict)
        value = known[name]
        return known | {name: (lambda size: factor * value(size)) if callable(value) else factor * value}

    return names


LOOSE: dict[str, Callable[[Setting], Names]] = {
    "smooth": _uneven,
    "convex": _uneven,
    "pl": _uneven,
    "strongly-convex": _uneven,
    "expand": _uneven,
    "descent": _uneven,
    "one-step": _uneven,
    "averaged-step": _uneven,
    "weighted-step": _uneven,
    "cocoercive": _uneven,
    "bounded-noise": _less("bounded-noise", r"\sigma", 2),
    "batch-noise": _less("batch-noise", r"\sigma", 2),
    "expected-smoothness": lambda _: drawn.interpolated(drawn.UNEVEN),
    "interpolation-step": lambda _: drawn.interpolated(drawn.UNEVEN),
    "last-step": _less("last-step", r"\Delta_{t+1}", 0.9),
    "averaged": _less("averaged", r"\gap", 0.9),
    "weighted": _less("weighted", r"\gap", 0.9),
    "last": _less("last", r"\gap", 0.9),
    "rest": _less("rest", r"\gap", 0.9),
    "any-method": lambda s: _less("any-method", "N", 1.1)(s) | {"M": s.size},
    "spectrum-count": lambda s: shown.one_spectrum(nearly_round(s.constants), s.rate),
    "examples-needed": _less("examples-needed", "N", 1.1),
    "examples-needed-average": _less("examples-needed-average", "N", 1.1),
    "needed-law": _less("needed-law", "N", 1.1),
    "updates-needed": _less("updates-needed", "N", 1.1),
    "step-needed": _less("step-needed", r"\eta", 0.9),
    "critical-below-pole": shown.critical_last,
}
"""Where the two sides of an inequality are equal above: a case in which they are not, which shows its direction."""

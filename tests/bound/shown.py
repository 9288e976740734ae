"""What the names in an equation stand for, so that a machine can read it off its page and evaluate it.

`SHOWN` holds, for each equation that says something of numbers, what the code of the book has for its names. `=` stands
for an expression on its own, and a word in `WORDS` for a left side that is no expression in numbers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from scipy.special import gamma, gammainc, gammaincc

from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw
from batchtime.theory.bounds import (
    AveragedIterate,
    Constants,
    LastIterate,
    examples_needed,
    interpolation,
    necessary,
    without_replacement,
)
from batchtime.theory.curve import FirstOrder, QuadraticCurve, clock
from batchtime.theory.problems import GaussianLeastSquares, NoisyQuadratic
from batchtime.theory.quadratics import Quadratics, any_method
from batchtime.theory.weighted import WeightedAverage, bent_floor, floor_at_rest
from tests.latex import Value

Names = dict[str, Value]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Numbers at which an equation is evaluated: a problem, a step size and a batch size above the poles."""

    constants: Constants
    rate: float
    size: float

    def names(self) -> Names:
        """Return what is called the same in every equation."""
        c = self.constants
        return {
            "L": c.smoothness,
            r"\mu": c.curvature,
            r"\sigma": math.sqrt(c.noise_variance),
            "D": c.distance,
            r"\Delta_0": c.start,
            r"\varepsilon": c.gap,
            r"\eta": self.rate,
            "M": self.size,
            "q": c.gap / c.start,
            r"\Lambda": math.log(c.start / c.gap),
        }


def _law(law: InverseLaw) -> Names:
    return {"N": law.updates, r"n_\infty": law.n_inf, r"\alpha": law.alpha}


def _counted(theorem: AveragedIterate | LastIterate | WeightedAverage, s: Setting) -> Names:
    return _law(theorem.law(s.rate)) | {
        "N": lambda size: theorem.updates(size, s.rate),
        "M_0": theorem.pole(s.rate),
    }


def _harmonic(rate: LearningRate, law: InverseLaw, s: Setting) -> Names:
    return _law(law) | {r"\eta": rate.at(s.size), r"\lambda": 0.5}


def _averaged_bound(s: Setting) -> Names:
    return {r"\gap": AveragedIterate(constants=s.constants).bound(77, s.size, s.rate), "N": 77.0}


def _averaged_excess(s: Setting) -> Names:
    return _counted(AveragedIterate(constants=s.constants), s)


def _last_floor(s: Setting) -> Names:
    return {"F": LastIterate(constants=s.constants).floor(s.size, s.rate)}


def _last(s: Setting) -> Names:
    theorem = LastIterate(constants=s.constants)
    floor, c = theorem.floor(s.size, s.rate), theorem.contraction(s.rate)
    return {r"\gap": theorem.bound(77, s.size, s.rate), "N": 77.0, "F": floor, "c": c}


def _last_count(s: Setting) -> Names:
    theorem = LastIterate(constants=s.constants)
    return _counted(theorem, s) | {"K": 1 / -math.log1p(-theorem.contraction(s.rate))}


def _last_law(s: Setting) -> Names:
    theorem = LastIterate(constants=s.constants)
    return _last_count(s) | {"N": theorem.law(s.rate).updates}


def _last_exact(s: Setting) -> Names:
    alike = replace(s.constants, curvature=s.constants.smoothness)
    return {"c": LastIterate(constants=alike).contraction(s.rate), "h": s.constants.smoothness}


def _contraction(s: Setting) -> Names:
    theorem = LastIterate(constants=s.constants)
    return {"c": theorem.contraction(1 / s.constants.smoothness)}


def _harmonic_averaged(s: Setting) -> Names:
    rate, law = AveragedIterate(constants=s.constants).harmonic(0.3)
    return _harmonic(rate, law, s) | {r"\lambda": 0.3}


def _harmonic_last(s: Setting) -> Names:
    return _harmonic(*LastIterate(constants=s.constants).harmonic(), s)


def _harmonic_form(s: Setting) -> Names:
    rate, law = LastIterate(constants=s.constants).harmonic()
    return _law(law) | {r"\eta": rate.at, r"\eta_{\max}": rate.maximum, "H": rate.half_batch_size}


def _best_rate(s: Setting) -> Names:
    c = s.constants
    size = c.noise_variance / (c.smoothness * c.gap)  # m = 1
    return {"m": 1.0, "x": AveragedIterate(constants=c).best(size)[0] * c.smoothness}


def _best_between(s: Setting) -> Names:
    return {"N^*": lambda size: AveragedIterate(constants=s.constants).best(size)[1]}


def _interpolation(s: Setting) -> Names:
    c = s.constants
    law = interpolation(
        smoothness=c.smoothness, largest_smoothness=3 * c.smoothness, curvature=c.curvature, distance=1, gap=c.gap
    )[1]
    return _law(law) | {r"L_{\max}": 3 * c.smoothness, "D": 1.0}


def _gaussian_step(s: Setting) -> Names:
    problem = GaussianLeastSquares(dimension=8, examples=64, distance=1, gap=0.01)
    return {r"\kept": problem.left(s.size, s.rate), "d": 8.0}


def _gaussian_count(s: Setting) -> Names:
    start = 1.0
    problem = GaussianLeastSquares(dimension=8, examples=64, distance=math.sqrt(2 * start), gap=s.constants.gap)
    return {"N": lambda size: problem.updates(size, problem.best_rate), "q": s.constants.gap / start, "d": 8.0}


def _without_replacement(s: Setting) -> Names:
    law = InverseLaw(n_inf=50, alpha=3000)
    return _law(law) | {"n": 7000.0, "code": without_replacement(law, 7000).updates(s.size)}


def _weighted(s: Setting) -> Names:
    return {r"\gap": WeightedAverage(constants=s.constants).bound(77, s.size, s.rate), "N": 77.0}


def _weighted_count(s: Setting) -> Names:
    return _counted(WeightedAverage(constants=s.constants), s)


def _weighted_law(s: Setting) -> Names:
    rate, law = WeightedAverage(constants=s.constants).harmonic(0.3)
    return _harmonic(rate, law, s) | {r"\lambda": 0.3}


def _rest(s: Setting) -> Names:
    return {r"\gap": floor_at_rest(s.constants, s.size, s.rate)}


def _pl_floor(s: Setting) -> Names:
    c = s.constants
    temperature = s.rate * c.noise_variance / (2 * s.size)
    return {
        r"\gap": temperature * bent_floor(c.smoothness / c.curvature, 1.5),
        "T": temperature,
        "u": 1.5,
        r"\gamma": lambda a, u: float(gamma(a) * gammainc(a, u)),
        r"\Gamma": lambda a, u: float(gamma(a) * gammaincc(a, u)),
    }


def _spectrum_worst(s: Setting) -> Names:
    problems = Quadratics(constants=s.constants)
    return {"=": problems.bound(77, s.size, s.rate), "N": 77.0, "F": problems.floor(s.size, s.rate)}


def _spectrum_count(s: Setting) -> Names:
    problems = Quadratics(constants=s.constants)
    pole = problems.pole(s.rate)
    return {
        "N": lambda size: problems.updates(size, s.rate),
        "K": 1 / (-2 * math.log1p(-s.rate * s.constants.curvature)),
        "M_0": pole,
        "r": pole / s.size,
    }


def _spectrum_best(s: Setting) -> Names:
    return {"N^*": lambda size: Quadratics(constants=s.constants).best(size)[1], "y": 0.8}


def _spectrum_leading(s: Setting) -> Names:
    factors = math.log(s.constants.start / s.constants.gap)
    return {"y": factors / (1 + factors)}


def _necessary(s: Setting) -> Names:
    return {"N": necessary(s.constants).updates}


def _step_needed(s: Setting) -> Names:
    c = s.constants
    return {r"\eta": 1 / (c.smoothness / 2 + c.noise_variance / (4 * c.gap * s.size))}


def _examples_needed(s: Setting) -> Names:
    needed = examples_needed(s.constants)
    return {"N": needed / s.size, r"\alpha_{lb}": needed}


def _posterior(s: Setting) -> Names:
    c, seen = s.constants, 5000.0
    spread, noise = 2 * c.start / c.curvature, c.noise_variance / c.curvature**2  # variances of prior and query
    return {"k": seen, r"\gap": c.curvature / 2 * spread * noise / (noise + seen * spread)}


def _updates_needed(s: Setting) -> Names:
    c = s.constants
    return {"N": math.log(c.gap / c.start) / (2 * math.log(1 - s.rate * c.curvature))}


def _any_method(s: Setting) -> Names:
    law = any_method(s.constants)
    most = max(law.n_inf, law.alpha / s.size)
    return {"N": most, "n_{lb}": law.n_inf, r"\alpha_{lb}": law.alpha}


def _bowl(s: Setting) -> tuple[QuadraticCurve, float]:
    """Return the curve of a bowl with curvature 1, its step size, and so a temperature of half of the pole."""
    c = s.constants
    problem = NoisyQuadratic(
        curvatures=(1.0,), examples=1, noise_variance=c.noise_variance, distance=math.sqrt(2 * c.start), gap=c.gap
    )
    return QuadraticCurve(problem=problem), 0.3


def _curve_isotropic(s: Setting) -> Names:
    curve, rate = _bowl(s)
    tau = curve.pole() / 2
    updates = curve.problem.updates(rate / tau, LearningRate(maximum=rate))
    return {r"\eta": rate, "h": 1.0, r"\tau": tau, "N": updates, r"\Phi": curve.distance, r"\kappa": clock, "x": 0.3}


def _curve_quadratic(s: Setting) -> Names:
    return _curve_isotropic(s) | {"L": 1.0}


def _curve_step(s: Setting) -> Names:
    return {r"\tau": s.rate / s.size}


def _first_order(s: Setting) -> Names:
    curve, rate = _bowl(s)
    first = curve.first_order()
    size = 4 * rate / curve.pole()
    tau = rate / size
    bend = (1 / (curve.pole() - tau) ** 2 - 1 / (curve.pole() * s.constants.start / s.constants.gap - tau) ** 2) / 4
    return {
        r"\eta": rate,
        "M": size,
        "A": first.distance,
        r"\alpha": first.alpha,
        r"\beta": bend,
        "N": curve.distance(tau) / rate,
    }


def _curve_capped(s: Setting) -> Names:
    curve, rate = _bowl(s)
    names, rule = _first_order(s), LearningRate(maximum=rate, half_batch_size=4 * rate / curve.pole())
    size = 5.0
    step = rule.at(size)
    law = FirstOrder(distance=curve.first_order().distance, alpha=curve.first_order().alpha).law(rule)
    return names | {
        "M": size,
        "N": curve.distance(step / size) / step,
        r"n_\infty": law.n_inf,
        r"\alpha_{capped}": law.alpha,
        r"\eta_{\max}": rate,
        "H": rule.half_batch_size,
    }


def _curve_linear(s: Setting) -> Names:
    curve, _ = _bowl(s)
    slope = curve.pole() / 3
    return {"N": lambda size, rate: curve.distance(rate / size) / rate, r"\Phi": curve.distance, "a": slope}


def _curve_law(s: Setting) -> Names:
    return _curve_linear(s) | {r"\eta": _bowl(s)[0].pole() / 3 * s.size}


def _curve_tuned(s: Setting) -> Names:
    curve, rate = _bowl(s)
    tau = curve.pole() / 3
    size, fixed, each = rate / tau, 1e-3, 1e-5
    updates = curve.distance(tau) / rate
    return {
        r"\eta": rate,
        r"\tau": tau,
        "M": size,
        "N": updates,
        r"\delta": fixed,
        r"\gamma": each,
        r"\Phi": curve.distance,
        "T": updates * (fixed + each * size),
    }


def _curve_optimum(s: Setting) -> Names:
    first = _bowl(s)[0].first_order()
    best = first.best_batch_size(rate=s.rate, fixed=1e-3, per_example=1e-5)
    known: Names = {r"\delta": 1e-3, r"\gamma": 1e-5, "A": first.distance, r"\alpha": first.alpha}
    return known | {r"M_{opt}": best}


def _no_pilot(s: Setting) -> Names:
    law = LastIterate(constants=s.constants).harmonic()[1]
    fixed, each = 1e-3, 1e-5
    best = FirstOrder(distance=law.n_inf, alpha=law.alpha).best_batch_size(rate=1, fixed=fixed, per_example=each)
    known: Names = {r"\delta": fixed, r"\gamma": each, r"M_{opt}": best, r"n_\infty": law.n_inf, r"\alpha": law.alpha}
    ratio = math.sqrt(law.critical_batch_size / (fixed / each))
    return known | {"T": lambda size: law.updates(size) * (fixed + each * size), "r": ratio}


def _critical(s: Setting) -> Names:
    return _counted(LastIterate(constants=s.constants), s)


def _plain(_: Setting) -> Names:
    return {"a": 0.7, r"\eta": 0.2, "L": 1 / 0.2 - 1 / 0.7}  # 1 / eta = L + 1 / a


WORDS = {
    r"\mathbb E f(\bar x_N) - f^*": r"\gap",
    r"\mathbb E f(x) - f^*": r"\gap",
    r"\mathbb E \, f - f^*": r"\gap",
    r"\Delta_N": r"\gap",
    r"\frac{\mathbb E_t \| x_{t+1} - x^* \|^2}{\| x_t - x^* \|^2}": r"\kept",
    # What an update is; the line below it says what is computed.
    r"x_{t+1} = x_t - \eta \, \nabla f(x_t) - \frac{\eta}{\sqrt M} \, \Sigma^{1/2} \xi_t , \\": "",
}
"""Left sides that are no expressions in numbers, and the names under which their values are given."""

SHOWN: dict[str, Callable[[Setting], Names]] = {
    "noise-factor": lambda _: {},
    "averaged": _averaged_bound,
    "averaged-count": _averaged_excess,
    "averaged-excess": _averaged_excess,
    "contraction": _contraction,
    "last-floor": _last_floor,
    "last": _last,
    "last-count": _last_count,
    "last-law": _last_law,
    "last-exact": _last_exact,
    "harmonic-noise": _plain,
    "harmonic-averaged": _harmonic_averaged,
    "harmonic-last": _harmonic_last,
    "harmonic-form": _harmonic_form,
    "best-rate": _best_rate,
    "best-between": _best_between,
    "interpolation-count": _interpolation,
    "gaussian-step": _gaussian_step,
    "gaussian-count": _gaussian_count,
    "without-replacement-law": _without_replacement,
    "weighted": _weighted,
    "weighted-count": _weighted_count,
    "weighted-law": _weighted_law,
    "rest": _rest,
    "pl-floor": _pl_floor,
    "spectrum-worst": _spectrum_worst,
    "spectrum-count": _spectrum_count,
    "spectrum-best": _spectrum_best,
    "spectrum-leading": _spectrum_leading,
    "needed-law": _necessary,
    "step-needed": _step_needed,
    "examples-needed": _examples_needed,
    "posterior": _posterior,
    "updates-needed": _updates_needed,
    "any-method": _any_method,
    "any-method-updates": lambda _: {},
    "critical-below-pole": _critical,
    "curve-step": _curve_step,
    "curve-law": _curve_law,
    "curve-isotropic": _curve_isotropic,
    "curve-quadratic": _curve_quadratic,
    "curve-constant": _first_order,
    "curve-capped": _curve_capped,
    "curve-linear": _curve_linear,
    "curve-tuned": _curve_tuned,
    "curve-optimum": _curve_optimum,
    "no-pilot": _no_pilot,
}
"""The equations that are read off their pages, and what their names stand for."""

SHARP = {
    "averaged",
    "last",
    "last-law",
    "weighted",
    "rest",
    "needed-law",
    "step-needed",
    "examples-needed",
}
"""Those that bound what the code computes as a bound: both sides are to be equal."""

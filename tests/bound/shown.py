"""What the names of each equation stand for, so that a machine can read it off its page and evaluate it.

Numbers are what the code of the book has for them; cases with means and vectors come from `drawn`. `=` stands for an
expression on its own, and `within` for how nearly an inequality is to be an equality.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import gamma, gammainc, gammaincc
from scipy.stats import chi2

from batchtime.laws.learning_rate import LearningRate
from batchtime.laws.updates import InverseLaw
from batchtime.theory import bounds, quadratics
from batchtime.theory.bounds import AveragedIterate, Constants, LastIterate
from batchtime.theory.curve import FirstOrder, QuadraticCurve, clock
from batchtime.theory.margins import round_bowl
from batchtime.theory.problems import GaussianLeastSquares, NoisyQuadratic
from batchtime.theory.quadratics import Quadratics
from batchtime.theory.weighted import WeightedAverage, bent_floor, floor_at_rest
from tests.bound import drawn
from tests.bound.drawn import Names
from tests.latex import Between, Of, Vector


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Numbers at which an equation is evaluated: a problem, a step size and a batch size above the poles.

    Some inequalities are equalities in two cases that exclude each other; `first` says which of them is looked at.
    """

    constants: Constants
    rate: float
    size: float
    first: bool

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


def averaged_bound(s: Setting) -> Names:
    return {r"\gap": AveragedIterate(constants=s.constants).bound(77, s.size, s.rate), "N": 77.0}


def averaged_excess(s: Setting) -> Names:
    return _counted(AveragedIterate(constants=s.constants), s)


def last_floor(s: Setting) -> Names:
    return {"F": LastIterate(constants=s.constants).floor(s.size, s.rate)}


def last(s: Setting) -> Names:
    theorem = LastIterate(constants=s.constants)
    floor, c = theorem.floor(s.size, s.rate), theorem.contraction(s.rate)
    return {r"\gap": theorem.bound(77, s.size, s.rate), "N": 77.0, "F": floor, "c": c}


def last_count(s: Setting) -> Names:
    theorem = LastIterate(constants=s.constants)
    return _counted(theorem, s) | {"K": 1 / -math.log1p(-theorem.contraction(s.rate))}


def last_exact(s: Setting) -> Names:
    alike = replace(s.constants, curvature=s.constants.smoothness)
    return {"c": LastIterate(constants=alike).contraction(s.rate), "h": s.constants.smoothness}


def last_law(s: Setting) -> Names:
    pole = LastIterate(constants=s.constants).pole(s.rate)
    return last_count(s) | {"M": 30 * pole, "within": 0.002}  # where the next order is less


def contraction(s: Setting) -> Names:
    theorem = LastIterate(constants=s.constants)
    return {"c": theorem.contraction(1 / s.constants.smoothness)}


def harmonic_averaged(s: Setting) -> Names:
    rate, law = AveragedIterate(constants=s.constants).harmonic(0.3)
    return _harmonic(rate, law, s) | {r"\lambda": 0.3}


def harmonic_last(s: Setting) -> Names:
    return _harmonic(*LastIterate(constants=s.constants).harmonic(), s)


def harmonic_form(s: Setting) -> Names:
    rate, law = LastIterate(constants=s.constants).harmonic()
    return _law(law) | {r"\eta": rate.at, r"\eta_{\max}": rate.maximum, "H": rate.half_batch_size}


def best_rate(s: Setting) -> Names:
    c, m = s.constants, 1.0 if s.first else 3.0
    size = m * c.noise_variance / (c.smoothness * c.gap)
    return {"m": m, "x": AveragedIterate(constants=c).best(size)[0] * c.smoothness}


def best_between(s: Setting) -> list[Names]:
    theorem = AveragedIterate(constants=s.constants)
    size = theorem.harmonic()[1].critical_batch_size
    names: Names = {"N^*": lambda size: theorem.best(size)[1], "within": 0.01}
    return [names | {"M": 1e4 * size}, names | {"M": 1e-4 * size}]


def interpolation(s: Setting) -> Names:
    c = s.constants
    law = bounds.interpolation(
        smoothness=c.smoothness, largest_smoothness=3 * c.smoothness, curvature=c.curvature, distance=1.3, gap=c.gap
    )[1]
    return _law(law) | {r"L_{\max}": 3 * c.smoothness, "D": 1.3}


def gaussian_step(s: Setting) -> Names:
    problem = GaussianLeastSquares(dimension=8, examples=64, distance=1, gap=0.01)
    return {r"\kept": problem.left(s.size, s.rate), "d": 8.0}


def gaussian_count(s: Setting) -> Names:
    start = 1.0
    problem = GaussianLeastSquares(dimension=8, examples=64, distance=math.sqrt(2 * start), gap=s.constants.gap)
    names: Names = {"N": lambda size: problem.updates(size, problem.best_rate), "q": s.constants.gap / start, "d": 8.0}
    return names | {"M": 0.15}  # far below d, where the series is


def without_replacement(s: Setting) -> Names:
    law = InverseLaw(n_inf=50, alpha=3000)
    return _law(law) | {"n": 7000.0, "code": bounds.without_replacement(law, 7000).updates(s.size)}


def weighted(s: Setting) -> Names:
    return {r"\gap": WeightedAverage(constants=s.constants).bound(77, s.size, s.rate), "N": 77.0}


def weighted_count(s: Setting) -> Names:
    return _counted(WeightedAverage(constants=s.constants), s)


def weighted_law(s: Setting) -> Names:
    rate, law = WeightedAverage(constants=s.constants).harmonic(0.3)
    return _harmonic(rate, law, s) | {r"\lambda": 0.3}


def weighted_theorem(s: Setting) -> Names:
    rate, law = WeightedAverage(constants=s.constants).harmonic()
    return _harmonic(rate, law, s)


def rest(s: Setting) -> Names:
    rate = (0.4 if s.first else 1.6) / s.constants.smoothness
    return {r"\gap": floor_at_rest(s.constants, s.size, rate), r"\eta": rate}


def pl_floor(s: Setting) -> Names:
    c = s.constants
    temperature = s.rate * c.noise_variance / (2 * s.size)
    return {
        r"\gap": temperature * bent_floor(c.smoothness / c.curvature, 1.5),
        "T": temperature,
        "u": 1.5,
        r"\gamma": lambda a, u: float(gamma(a) * gammainc(a, u)),
        r"\Gamma": lambda a, u: float(gamma(a) * gammaincc(a, u)),
    }


def spectrum_worst(s: Setting) -> Names:
    problems = Quadratics(constants=s.constants)
    return {"=": problems.bound(2, s.size, s.rate), "N": 2.0, "F": problems.floor(s.size, s.rate)}


def spectrum_count(s: Setting) -> list[Names]:
    """Return the names where all curvatures are alike, which reaches the lower side, then at 1 / L: the upper side."""
    c = s.constants
    alike = one_spectrum(replace(c, curvature=c.smoothness), 0.3 / c.smoothness)
    return [alike, one_spectrum(c, 1 / c.smoothness), alike]


def one_spectrum(c: Constants, rate: float) -> Names:
    problems = Quadratics(constants=c)
    size = 1.3 * problems.pole(rate)
    return {
        r"\mu": c.curvature,
        r"\varepsilon": c.gap,
        r"\Lambda": math.log(c.start / c.gap),
        r"\eta": rate,
        "M": size,
        "N": lambda size: problems.updates(size, rate),
        "K": 1 / (-2 * math.log1p(-rate * c.curvature)),
        "M_0": problems.pole(rate),
        "r": problems.pole(rate) / size,
    }


def spectrum_best(s: Setting) -> Names:
    return {"N^*": lambda size: Quadratics(constants=s.constants).best(size)[1], "y": 0.8}


def spectrum_leading(s: Setting) -> Names:
    factors = math.log(s.constants.start / s.constants.gap)
    return {"y": factors / (1 + factors)}


def necessary(s: Setting) -> Names:
    return {"N": bounds.necessary(s.constants).updates}


def step_needed(s: Setting) -> Names:
    c = s.constants
    return {r"\eta": 1 / (c.smoothness / 2 + c.noise_variance / (4 * c.gap * s.size))}


def examples_needed(s: Setting) -> Names:
    needed = bounds.examples_needed(s.constants)
    return {"N": needed / s.size, r"\alpha_{lb}": needed}


def posterior(s: Setting) -> Names:
    c, seen = s.constants, 5000.0
    spread, noise = 2 * c.start / c.curvature, c.noise_variance / c.curvature**2  # variances of prior and query
    return {"k": seen, r"\gap": c.curvature / 2 * spread * noise / (noise + seen * spread)}


def updates_needed(s: Setting) -> Names:
    c = s.constants
    rate = 1e-4 / c.curvature  # both sides meet for short steps
    return {r"\eta": rate, "N": math.log(c.gap / c.start) / (2 * math.log(1 - rate * c.curvature)), "within": 2e-4}


def any_method(s: Setting) -> Names:
    law = quadratics.any_method(s.constants)
    size = law.critical_batch_size  # where both parts are equal
    return {"N": law.n_inf, "M": size, "n_{lb}": law.n_inf, r"\alpha_{lb}": law.alpha}


def bowl(s: Setting) -> tuple[QuadraticCurve, float]:
    """Return the curve of a bowl with curvature 1, its step size, and so a temperature of half of the pole."""
    c = s.constants
    problem = NoisyQuadratic(
        curvatures=(1.0,), examples=1, noise_variance=c.noise_variance, distance=math.sqrt(2 * c.start), gap=c.gap
    )
    return QuadraticCurve(problem=problem), 0.3


def curve_isotropic(s: Setting) -> Names:
    curve, rate = bowl(s)
    tau = curve.pole() / 2
    updates = curve.problem.updates(rate / tau, LearningRate(maximum=rate))
    return {r"\eta": rate, "h": 1.0, r"\tau": tau, "N": updates, r"\Phi": curve.distance, r"\kappa": clock, "x": 0.3}


def curve_quadratic(s: Setting) -> Names:
    return curve_isotropic(s) | {"L": 1.0}


def curve_step(s: Setting) -> Names:
    toy = round_bowl(s.constants)
    known, x = drawn.of_toy(toy), Vector(toy.start)
    noise = np.random.default_rng(0).standard_normal((1, len(toy.start)))
    after = x - Vector(toy.batch(x.rows, s.size, np.random.default_rng(0))) * s.rate
    return known | {
        r"\tau": s.rate / s.size,
        "x_t": known["x^*"] + x,
        "x_{t+1}": known["x^*"] + after,
        r"\Sigma": toy.constants.noise_variance / len(toy.start),
        r"\xi_t": Vector(noise),
    }


def first_order(s: Setting) -> Names:
    curve, rate = bowl(s)
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


def curve_capped(s: Setting) -> Names:
    curve, rate = bowl(s)
    names, rule = first_order(s), LearningRate(maximum=rate, half_batch_size=4 * rate / curve.pole())
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


def curve_linear(s: Setting) -> Names:
    curve, _ = bowl(s)
    slope = curve.pole() / 3
    return {"N": lambda size, rate: curve.distance(rate / size) / rate, r"\Phi": curve.distance, "a": slope}


def curve_law(s: Setting) -> Names:
    return curve_linear(s) | {r"\eta": bowl(s)[0].pole() / 3 * s.size}


def curve_tuned(s: Setting) -> Names:
    curve, rate = bowl(s)
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


def curve_optimum(s: Setting) -> Names:
    first = bowl(s)[0].first_order()
    best = first.best_batch_size(rate=s.rate, fixed=1e-3, per_example=1e-5)
    known: Names = {r"\delta": 1e-3, r"\gamma": 1e-5, "A": first.distance, r"\alpha": first.alpha}
    return known | {r"M_{opt}": best}


def no_pilot(s: Setting) -> Names:
    law = LastIterate(constants=s.constants).harmonic()[1]
    fixed, each = 1e-3, 1e-5
    best = FirstOrder(distance=law.n_inf, alpha=law.alpha).best_batch_size(rate=1, fixed=fixed, per_example=each)
    known: Names = {r"\delta": fixed, r"\gamma": each, r"M_{opt}": best, r"n_\infty": law.n_inf, r"\alpha": law.alpha}
    ratio = math.sqrt(law.critical_batch_size / (fixed / each))
    return known | {"T": lambda size: law.updates(size) * (fixed + each * size), "r": ratio}


def critical(s: Setting) -> Names:
    return _counted(AveragedIterate(constants=s.constants), s)


def critical_last(s: Setting) -> Names:
    return _counted(LastIterate(constants=s.constants), s)


def plain(_: Setting) -> Names:
    return {"a": 0.2 / (1 - 2e-4), r"\eta": 0.2, "L": 1e-3, "within": 1e-6}  # 1 / eta = L + 1 / a


def curve_sde(s: Setting) -> Names:
    """Return an update of the page's first equation as the increment of its diffusion over the time eta."""
    names = s.names() | curve_step(s)
    scale = names[r"\Sigma"]
    return names | {
        "d X": names["x_{t+1}"] - names["x_t"],
        "X": names["x_t"],
        "d s": s.rate,
        "d W": names[r"\xi_t"] * -math.sqrt(s.rate),
        r"\Sigma": lambda _: scale,
    }


def curve_step_error(s: Setting) -> Names:
    curve, _ = bowl(s)
    tau, rate = curve.pole() / 2, 3e-4
    updates = curve.problem.updates(rate / tau, LearningRate(maximum=rate))
    return {r"\eta": rate, "h": 1.0, r"\tau": tau, "N": updates, r"\Phi": curve.distance}


def series(_: Setting) -> Names:
    return {"M_0": 0.6, "M": 2.0, "q": 0.1}


def last_step(s: Setting) -> Names:
    theorem = LastIterate(constants=s.constants)
    names: Names = {"c": theorem.contraction(s.rate)}
    return names | {rf"\Delta_{at}": theorem.bound(n, s.size, s.rate) for at, n in (("t", 7), ("{t+1}", 8))}


def last_small_step(s: Setting) -> list[Names]:
    theorem, c, short = LastIterate(constants=s.constants), 0.02, 1e-7
    law = theorem.law(short)
    names: Names = {r"\eta": short, r"n_\infty": law.n_inf, r"\alpha": law.alpha, "M_0": theorem.pole(short)}
    return [{"c": c, "K": 1 / -math.log1p(-c)}, names, names, names]


def progress(s: Setting) -> Names:
    alike = LastIterate(constants=replace(s.constants, curvature=s.constants.smoothness))
    return {"=": 2 * s.constants.smoothness * alike.floor(s.size, s.rate)}  # |grad f|^2 = 2 L (f - f*), at rest


def best_limits(s: Setting) -> list[Names]:
    c = s.constants

    def at(m: float) -> Names:
        updates = AveragedIterate(constants=c).best(m * c.noise_variance / (c.smoothness * c.gap))[1]
        return {"m": m, "n": updates * 2 * c.gap / (c.smoothness * c.distance**2)}

    return [at(2.5), at(2.5), at(0.005), at(0.005)]


def best_last(s: Setting) -> Names:
    theorem = LastIterate(constants=s.constants)
    most = theorem.best(s.size)[0]
    return {
        "N^*": lambda size: theorem.best(size)[1],
        r"\eta": Between(most / 2, 1.01 * most),
        "K": Of(lambda names: 1 / -math.log1p(-theorem.contraction(names[r"\eta"]))),
        "M_0": Of(lambda names: theorem.pole(names[r"\eta"])),
    }


def pole(s: Setting) -> list[Names]:
    short = 1e-7
    poles = (theorem(constants=s.constants).pole(short) for theorem in (AveragedIterate, LastIterate))
    return [*({r"\eta": short, "M_0": found} for found in poles), {r"\eta": short}]


def power_step(s: Setting) -> Names:
    power, short = 0.7, 1e-13
    quiet = LastIterate(constants=replace(s.constants, noise_variance=0))

    def rate(size: float) -> float:
        return float(short * size**power)

    return {
        "p": power,
        r"\eta": Of(lambda names: rate(names["M"])),
        "N": lambda size: quiet.updates(size, rate(size)),
    }


def scatter(_: Setting) -> Names:
    d = 7
    return {"=": float(chi2(d).std() / chi2(d).mean()), "d": float(d)}


def examples_needed_average(s: Setting) -> Names:
    c = s.constants
    spread, noise = 2 * c.start / c.curvature, c.noise_variance / c.curvature**2  # variances of prior and query

    def left(seen: float) -> float:
        return c.curvature / 2 * spread * noise / (noise + seen * spread) - c.gap

    return {"N": brentq(left, 0, 1e12, xtol=1e-9) / s.size}


def weights(_: Setting) -> Names:
    return {r"\eta": 0.4, r"\mu": 0.5, "N": 6.0}

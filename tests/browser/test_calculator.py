"""The calculator in a browser: its formulas and its fit are the package's, and every reader can use it."""

import io
import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from batchtime.book.teaching.results import read_observations
from batchtime.book.training_times import of_experiment
from batchtime.errors import FitError, ParameterError, StoreError, check
from batchtime.fit import scatter
from batchtime.fit.advice import recommend
from batchtime.fit.inverse_law import fit_inverse_law
from batchtime.fit.likelihood import Quantity, gather, most_likely_law, profile_intervals
from batchtime.fit.means import finite
from batchtime.fit.measurements import Observation, timings_of
from batchtime.fit.training_time import TrainingTimeFit
from batchtime.fit.update_time import fit_update_time
from batchtime.laws.curve import CurveLaw, Form
from batchtime.laws.quantity import Interval, interval_text, number_text
from batchtime.laws.scaling import Network, largest_useful, optimal_scaling, strong_scaling, weak_scaling, with_learners
from batchtime.laws.time import AllReduceTime, TrainingTime, UpdateTime
from batchtime.laws.updates import InverseLaw
from batchtime.runs.catalogue import experiment, tasks
from batchtime.runs.store import Store, data_folder
from batchtime.train.sweep import complete
from tests.accessible import violations

PHONE = {"width": 390, "height": 844}
RUNS = "batch_size,updates\n8,1420\n8,1310\n8,1380\n64,850\n64,810\n64,830\n512,760\n512,740\n512,735\n"
FITTED = "9 runs at 3 batch sizes"


DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """Return a window without a network, and what its page complains about."""
    context = browser.new_context(offline=True, viewport=DESK)  # type: ignore[arg-type]
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file:") else complaints.append(request.url))
    yield page, complaints
    context.close()


@pytest.fixture
def page(window: tuple[Page, list[str]], site: Path) -> Iterator[Page]:
    """Open the calculator anew from its file; it keeps nothing but what its address says."""
    page, complaints = window
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    page.emulate_media(media="screen")
    page.goto("about:blank")
    complaints.clear()
    show(page, (site / "calculator.html").as_uri())
    yield page
    assert complaints == []


def show(page: Page, address: str) -> None:
    """Open an address and wait until the result is there."""
    page.goto(address)
    expect(page.locator("#calculator-result")).not_to_be_empty()


def settled(page: Page) -> str:
    """Return the result once the page has come to rest."""
    page.wait_for_timeout(300)
    return page.locator("#calculator-result").inner_text()


def paste(page: Page, table: str) -> None:
    """Put a table into its field and ask for its law."""
    page.locator("#calculator-table").fill(table)
    page.get_by_role("button", name="Fit these runs").click()


def size_text(size: float) -> str:
    """Return a batch size as the page says it: whole from ten on, else two digits."""
    return f"{round(size):,}" if size >= 10 else f"{float(f'{size:.2g}'):g}"


def within_text(low: float, high: float) -> str:
    """Return the batch sizes of a range as the page says them: the whole ones inside."""
    return f"{math.ceil(low - 1e-9):,} to {math.floor(high + 1e-9):,}"


# Its formulas are the package's


def settings() -> list[tuple[TrainingTime, Network | None, int, dict[str, object]]]:
    """Return training times, networks and learners, and each as the page has it."""
    draw = np.random.default_rng(0)
    chosen: list[tuple[TrainingTime, Network | None, int, dict[str, object]]] = []
    for p, shape, learners in itertools.product(
        (0.5, 0.83, 1, 2.3, math.inf), ("none", "ring", "tree"), (1, 2, 3, 8, 64, 1000)
    ):
        values = {name: 10 ** draw.uniform(*span) for name, span in SPANS.items()}
        chosen.append(setting(values, float(p), shape, learners))
    usual = {"n_inf": 300.0, "alpha": 4e3, "delta": 1e-3, "gamma": 1e-5, "latency": 2e-5, "bandwidth": 1e10}
    usual["payload"] = 1e6
    missing = ((), ("n_inf",), ("alpha",), ("delta",), ("gamma",), ("n_inf", "delta"), ("alpha", "gamma"))
    return [
        *chosen,
        *(setting(usual | dict.fromkeys(zeros, 0.0), 1.0, "ring", 4) for zeros in missing),
        *(setting(usual | {zero: 0.0}, 2.0, "none", 4) for zero in ("n_inf", "delta", "gamma")),
    ]


SPANS = {
    "n_inf": (0, 6),
    "alpha": (0, 8),
    "delta": (-6, 1),
    "gamma": (-8, 0),
    "latency": (-7, -2),
    "bandwidth": (6, 11),
    "payload": (3, 10),
}


def setting(
    values: dict[str, float], p: float, shape: Any, learners: int
) -> tuple[TrainingTime, Network | None, int, dict[str, object]]:
    """Return a setting for the package, and for the page."""
    time = TrainingTime(
        law=InverseLaw(n_inf=values["n_inf"], alpha=values["alpha"]),
        update_time=UpdateTime(fixed_seconds=values["delta"], seconds_per_example=values["gamma"], sharpness=p),
    )
    network = None
    if shape != "none":
        wire = AllReduceTime(latency_seconds=values["latency"], seconds_per_byte=1 / values["bandwidth"], shape=shape)
        network = Network(all_reduce=wire, payload_bytes=values["payload"])
    return time, network, learners, {**values, "p": p, "shape": shape}


def formulas(time: TrainingTime, network: Network | None, learners: int) -> dict[str, float]:
    """Return what the package makes of a setting."""
    given = () if network is None else (network,)
    shared = with_learners(time, learners, *given)
    values = {
        "optimum": shared.optimal_batch_size,
        "least": shared.least_seconds,
        "share": shared.noise_share,
        "exchange": 0.0 if network is None else network.all_reduce.seconds(learners, network.payload_bytes),
        "critical": time.law.critical_batch_size,
        "break even": shared.update_time.break_even_batch_size,
        "optimal": optimal_scaling(time, learners, *given),
        **{f"T({size})": shared.seconds(size) for size in (1, 37, 4096)},
        **{f"N({size})": time.law.updates(size) for size in (1, 37, 4096)},
        **{f"t({size})": shared.update_time.seconds(size) for size in (1, 37, 4096)},
    }
    if shared.update_time.sharpness == 1 or 0 < shared.optimal_batch_size < math.inf:
        values["low"], values["high"] = shared.within(0.05)
    if 0 < time.optimal_batch_size < math.inf:
        values["strong"], values["weak"] = (way(time, learners, *given) for way in (strong_scaling, weak_scaling))
        values["useful"] = largest_useful(time, *given)
    return values


IN_THE_PAGE = """
    all => all.map(([s, L]) => {
        const { model } = batchtimeCalculator, shared = model.withLearners(s, L);
        const [low, high] = model.within(shared, 0.05);
        const at = (name, value) => Object.fromEntries([1, 37, 4096].map(M => [`${name}(${M})`, value(M)]));
        return {
            optimum: model.optimum(shared), least: model.least(shared), low, high, share: model.noiseShare(shared),
            exchange: model.allReduce(s, L), critical: model.critical(s), "break even": model.breakEven(shared),
            optimal: model.optimal(s, L), strong: model.strong(s, L), weak: model.weak(s, L), useful: model.useful(s),
            ...at("T", M => model.seconds(shared, M)), ...at("N", M => model.updates(s, M)),
            ...at("t", M => model.updateSeconds(shared, M)),
        };
    })
"""


def test_every_formula_is_that_of_the_package(page: Page) -> None:
    cases = settings()
    computed = page.evaluate(IN_THE_PAGE, [[shown, learners] for *_, learners, shown in cases])
    assert len(computed) == len(cases) == 100
    for (time, network, learners, shown), found in zip(cases, computed, strict=True):
        wanted = formulas(time, network, learners)
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-9, abs=0), (shown, learners)


# Its fit is the package's


def counts_of(name: str) -> list[tuple[float, float]]:
    """Return batch size and updates of the recorded runs that a sweep fits, as exact counts."""
    chosen = experiment(name)
    runs = chosen.fit_observations(complete(chosen.sweep, name=name, store=Store(data_folder())))
    return [(float(run.batch_size), float(run.upper)) for run in runs if run.upper is not None]


def drawn(seed: int) -> list[tuple[float, float]]:
    """Return a random table: few or many runs of a law, on it or off it, with arms that may be missing."""
    draw = np.random.default_rng(seed)
    sizes = 2.0 ** draw.choice(np.arange(13), size=draw.integers(2, 10), replace=False)
    n_inf, alpha = 10 ** draw.uniform(1, 4), 10 ** draw.uniform(1, 5)
    n_inf, alpha = ((n_inf, alpha), (1e-9, alpha), (n_inf, 1e-9))[draw.choice(3, p=(0.8, 0.1, 0.1))]
    spread = 10 ** draw.uniform(-3, -0.2)
    off = {size: math.exp(draw.normal() * draw.choice([0, 0.3])) for size in sizes}
    return [
        (size, float((n_inf + alpha / size) * off[size] * math.exp(draw.normal(0, spread))))
        for size in sizes
        for _ in range(draw.integers(1, 8))
    ]


TABLES = {
    **{name: name for name in (*(task.name for task in tasks().values()), "mnist-logistic")},
    "random": range(12),
    "more of random": range(12, 60),
    "every run at a batch size the same": [(8.0, 900.0)] * 3 + [(64.0, 500.0)] * 3 + [(512.0, 480.0)] * 3,
    "two runs": [(8.0, 900.0), (64.0, 500.0)],
    "on a law": [(float(m), 300 + 4000 / m) for m in (2, 8, 32, 128) for _ in range(2)],
    "beyond all reason": [(float(m), 10.0 ** (3 * (k % 3))) for k, m in enumerate((2, 2, 2, 16, 16, 16, 128, 128))],
}


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(source, id=name, marks=pytest.mark.full if name.startswith("more") else ())
        for name, source in TABLES.items()
    ],
)
def test_the_fit_and_its_intervals_are_those_of_the_package(
    page: Page, source: str | range | list[tuple[float, float]]
) -> None:
    if isinstance(source, range):
        tables = [drawn(seed) for seed in source]
    else:
        tables = [counts_of(source) if isinstance(source, str) else source]
    for runs in tables:
        found = page.evaluate("runs => batchtimeCalculator.model.fit(runs)", runs)
        law, spread, lack_of_fit, intervals = with_one_spread(runs)
        near = {"rel": 1e-4, "abs": 1e-6 * law.updates(min(size for size, _ in runs))}
        assert found["n_inf"] == pytest.approx(law.n_inf, **near), runs
        assert found["alpha"] == pytest.approx(law.alpha, **near), runs
        assert found["spread"] == pytest.approx(spread, rel=1e-4, abs=2e-7), runs
        if spread > 1e-6 and lack_of_fit is not None:
            assert found["lackOfFit"] == pytest.approx(lack_of_fit, rel=1e-4, abs=1e-12), runs
        for name, there in intervals.items():
            same_ends(found["intervals"][name], there, runs)


def with_one_spread(
    runs: Sequence[tuple[float, float]],
) -> tuple[InverseLaw, float, float | None, dict[str, Interval]]:
    """Return the package's law, spread, lack of fit and intervals where one spread is taken for all batch sizes."""
    best = most_likely_law(gather([Observation(batch_size=size, lower=count, upper=count) for size, count in runs]))
    rows, n = best.rows, best.rows.n_reached
    lack_of_fit, wider = scatter._lack_of_fit(best)  # noqa: SLF001
    cutoff = max(n * math.log1p(scatter.f_point(n - 2) / (n - 2)), wider) if n > 2 else math.inf
    names = {"n_inf": "mean", "alpha": "alpha", "critical": "ratio"}
    units = (rows.unit_updates, rows.unit_updates * rows.unit_batch_size, rows.unit_batch_size)
    intervals: dict[str, Interval] = dict.fromkeys(names, (None, None))
    if best.spread_known:
        ends = profile_intervals(best, [Quantity(kind=kind) for kind in names.values()], [cutoff] * 3)
        intervals = {
            name: (finite(low * unit), finite(high * unit))
            for name, (low, high), unit in zip(names, ends, units, strict=True)
        }
    return rows.law(best.parameters), best.spread * math.sqrt(n / max(n - 2, 1)), lack_of_fit, intervals


def same_ends(found: Sequence[float | None], wanted: Interval, runs: object) -> None:
    """Check that two intervals have the same ends, open ones included."""
    for one, other in zip(found, wanted, strict=True):
        assert (one is None) == (other is None), (found, wanted, runs)
        if one is not None:
            assert one == pytest.approx(other, rel=1e-4), (found, wanted, runs)


def test_the_line_through_timings_is_that_of_the_package(page: Page) -> None:
    draw = np.random.default_rng(3)
    tables = [
        [(m, (2e-3 + 1e-4 * m) * math.exp(draw.normal(0, 0.05))) for m in (4, 8, 64, 256) for _ in range(n)]
        for n in (1, 4)
    ]
    tables.append([(8.0, 4e-3), (64.0, 2e-3), (512.0, 1e-3)])  # no cost of an example is seen
    tables.append([(8.0, 1e-3), (64.0, 9e-3), (512.0, 0.09)])  # and no fixed one
    for table in tables:
        found = page.evaluate("table => batchtimeCalculator.model.fitSeconds(table)", table)
        frame = pd.DataFrame(table, columns=["batch_size", "seconds"])
        line = fit_update_time(timings_of(frame)).update_time
        assert found["delta"] == pytest.approx(line.fixed_seconds, rel=1e-6, abs=1e-12), table
        assert found["gamma"] == pytest.approx(line.seconds_per_example, rel=1e-6, abs=1e-12), table


@pytest.mark.parametrize("form", ["pole", "logarithm"])
def test_a_learning_rate_gives_the_updates_of_the_curve_and_the_best_batch_above_its_pole(
    page: Page, form: Form
) -> None:
    law = CurveLaw(A=15.0, alpha=4500.0, pole=0.03, lift=2.0, largest_learning_rate=0.32, form=form)
    known = {"A": law.A, "alpha": law.alpha, "pole": law.pole, "lift": law.lift, "largest": 0.32, "form": form}
    for rate, p in itertools.product((0.01, 0.08, 0.32), (1.0, 2.5)):
        machine = {"delta": 7e-4, "gamma": 2.5e-5, "p": p, "shape": "none"}
        sizes = [1.05 * rate / law.pole, 16.0, 200.0]
        found = page.evaluate(
            """([curve, rate, machine, sizes]) => {
                const { model } = batchtimeCalculator, s = { ...machine, ...model.atRate(curve, rate) };
                return { updates: sizes.map(M => model.updates(s, M)), lost: model.updates(s, s.pole) === Infinity,
                    best: model.optimum(s), least: model.least(s), within: model.within(s, 0.05) };
            }""",
            [known, rate, machine, sizes],
        )
        assert found["updates"] == pytest.approx([law.updates(m, rate) for m in sizes], rel=1e-9)
        assert found["lost"]
        time = UpdateTime(fixed_seconds=7e-4, seconds_per_example=2.5e-5, sharpness=p)
        grid = np.geomspace(1.0001 * rate / law.pole, 1e4, 400_001)
        seconds = law.updates(grid, np.full_like(grid, rate)) * np.array([time.seconds(grid)]).reshape(-1)
        assert found["least"] == pytest.approx(seconds.min(), rel=1e-6)
        assert found["best"] == pytest.approx(grid[seconds.argmin()], rel=2e-3)
        inside = grid[seconds <= 1.05 * seconds.min()]
        assert found["within"] == pytest.approx([inside[0], inside[-1]], rel=1e-3)


# What it starts from is what was recorded


@pytest.fixture(scope="module")
def fits() -> dict[str, TrainingTimeFit]:
    """Return the fitted training time of each task, by name."""
    store = Store(data_folder())
    return {
        task.name: of_experiment(
            task, complete(task.sweep, name=task.name, store=store), store.latest_timing(task.name).timings
        )
        for task in tasks().values()
    }


def test_presets_are_the_numbers_of_the_package(page: Page, fits: dict[str, TrainingTimeFit]) -> None:
    given = page.evaluate("batchtimeCalculator.presets")
    assert [(one["title"], one["name"]) for one in given] == [(title, task.name) for title, task in tasks().items()]
    for one in given:
        fit = fits[one["name"]]
        time, intervals = fit.time, fit.law_fit.intervals
        wanted = {
            "n_inf": time.law.n_inf,
            "alpha": time.law.alpha,
            "delta": time.update_time.fixed_seconds,
            "gamma": time.update_time.seconds_per_example,
            "p": time.update_time.sharpness,
            "runs": fit.law_fit.n_runs,
        }
        assert {name: one[name] for name in wanted} == pytest.approx(wanted, rel=1e-9)
        assert one["fitted"] == list(fit.within_law)
        same_ends(one["intervals"]["n_inf"], intervals.n_inf, one)
        same_ends(one["intervals"]["alpha"], intervals.alpha, one)
        same_ends(one["intervals"]["critical"], intervals.critical_batch_size, one)
        same_ends(one["intervals"]["optimum"], fit.optimal_batch_size, one)


def test_each_task_is_shown_with_the_optimum_range_and_time_of_the_package(
    page: Page, fits: dict[str, TrainingTimeFit]
) -> None:
    for name, fit in fits.items():
        page.locator("#calculator-preset").select_option(name)
        told = settled(page)
        low, high = fit.time.within(0.05)
        assert f"The best batch has about {size_text(fit.time.optimal_batch_size)} examples" in told
        least, most = fit.optimal_batch_size
        assert least is not None
        assert most is not None
        assert f"(95 % interval: {size_text(least)} to {size_text(most)})" in told
        assert f"any of {within_text(low, high)} comes within 5 %" in " ".join(told.split())
        assert f"takes {number_text(float(f'{fit.time.least_seconds:.2g}'))} seconds" in told
        inside = fit.within_law[0] <= fit.time.optimal_batch_size <= fit.within_law[1]
        assert ("the advice is" in told) != inside
        about = page.locator("#calculator-about").inner_text()
        assert f"from {fit.law_fit.n_runs} runs" in about
        assert interval_text(fit.law_fit.intervals.n_inf) in about


# Everybody can use it


def test_a_reader_with_a_keyboard_alone_changes_the_result(page: Page) -> None:
    before = settled(page)
    reached: set[str] = set()
    for _ in range(300):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.id")
        if focused.removeprefix("calculator-") in reached:
            break  # once around the page
        if focused.startswith("calculator-"):
            reached.add(focused.removeprefix("calculator-"))
            outline = page.evaluate("getComputedStyle(document.activeElement)['outline-style']")
            assert outline != "none", focused
        if focused == "calculator-alpha-slider":
            page.keyboard.press("ArrowRight")
        if focused == "calculator-table":
            page.keyboard.insert_text(RUNS)
        if focused == "calculator-ask":
            assert settled(page) != before
            before = settled(page)
            page.keyboard.press("Enter")
    expect(page.locator("#calculator-fit")).to_contain_text(FITTED)
    assert settled(page) != before
    quantities = ["rate", "n_inf", "alpha", "delta", "gamma", "batch", "pole", "p", "learners"]
    controls = {"preset", "machine", "again", "shape", "copy", "make", "table", "timing", "ask", "advise", "example"}
    controls |= {"file", "seconds-file"}
    assert reached == controls | set(quantities) | {f"{name}-slider" for name in quantities}


def test_every_control_has_a_name_with_its_unit_and_says_its_value(page: Page) -> None:
    page.locator("#calculator-shape").select_option("ring")
    units = {
        "rate": "learning rate",
        "n_inf": "updates",
        "alpha": "examples",
        "delta": "milliseconds",
        "gamma": "milliseconds an example",
        "batch": "examples: your batch",
        "pole": "examples",
        "p": "straight line",
        "learners": "workers",
        "latency": "microseconds",
        "bandwidth": "gigabytes a second",
        "payload": "megabytes",
    }
    for name, unit in units.items():
        slider = page.locator(f"#calculator-{name}-slider")
        label = page.locator(f"label[for=calculator-{name}-slider]")
        expect(label).to_be_visible()
        assert unit in label.inner_text()
        assert unit in (slider.get_attribute("aria-valuetext") or "")
        assert unit in (page.locator(f"#calculator-{name}").get_attribute("aria-label") or "")
    expect(page.get_by_role("slider")).to_have_count(len(units))


def test_the_result_is_announced_once_the_hand_rests(page: Page) -> None:
    region = page.locator("#calculator-result")
    assert (region.get_attribute("role"), region.get_attribute("aria-live")) == ("status", "polite")
    before = settled(page)
    page.evaluate("""
        window.said = 0;
        const region = document.getElementById("calculator-result");
        new MutationObserver(() => window.said++).observe(region, { childList: true });
    """)
    page.locator("#calculator-gamma-slider").focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    after = settled(page)
    assert after != before
    assert all(word in after for word in ("best batch", "within 5 %", "seconds", "What limits"))
    assert page.evaluate("window.said") < 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_state_of_the_page_is_an_obstacle(browser: Browser, site: Path, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    show(page, f"{(site / 'calculator.html').as_uri()}#preset=europarl-gru&learners=8&shape=tree")
    paste(page, RUNS)
    page.locator("#calculator-delta").fill("-1")
    settled(page)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert violations(page) == []
    # The words of the drawings stand out from the ground as the text does.
    colours = page.evaluate("""
        ["#calculator-curve text", "article p"].map(part => getComputedStyle(document.querySelector(part)))
            .map((style, j) => j ? style.color : style.fill)
    """)
    assert colours[0] == colours[1]
    context.close()


def test_a_phone_shows_it_whole_and_its_drawings_legibly(browser: Browser, site: Path) -> None:
    context = browser.new_context(viewport=PHONE)  # type: ignore[arg-type]
    page = context.new_page()
    huge = "n_inf=999999&alpha=1e15&delta=12345.6&gamma=1234.56&learners=1000&shape=ring"
    for address in ("", "#preset=cifar10-cnn&learners=16&shape=ring", f"#preset=mnist-lenet&{huge}"):
        show(page, f"{(site / 'calculator.html').as_uri()}{address}")
        paste(page, RUNS)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for drawing in ("curve", "projection"):
            texts = page.evaluate(f"""
                Array.from(document.querySelectorAll("#calculator-{drawing} text"), text => {{
                    const box = text.getBoundingClientRect(), one = text.getCTM().a ** 2 + text.getCTM().b ** 2;
                    return [box.left, box.right, Math.sqrt(one) * parseFloat(getComputedStyle(text).fontSize)];
                }})
            """)
            assert len(texts) > 8
            assert min(size for *_, size in texts) >= 11
            assert min(left for left, *_ in texts) >= 0
            assert max(right for _, right, _ in texts) <= PHONE["width"]
        page.goto("about:blank")
    context.close()


def test_the_curve_marks_the_optimum_the_range_and_both_batch_sizes(
    page: Page, fits: dict[str, TrainingTimeFit]
) -> None:
    time = fits["mnist-lenet"].time
    marks = {
        "algorithm": time.law.critical_batch_size,
        "machine": time.update_time.break_even_batch_size,
        "best": time.optimal_batch_size,
    }
    words = page.locator("#calculator-curve text").all_text_contents()
    assert {f"{name}: {size_text(size)}" for name, size in marks.items()} <= set(words)
    axis = [int(word) for word in words if word.isdigit() and int(word) >= 2]
    assert {8, 64, 512} <= set(axis)
    # The thick part of the curve goes from one end of the range within 5 % to the other.
    places = page.evaluate("""
        ["within", "algorithm", "machine"].map(part => {
            const line = document.querySelector(`#calculator-curve .${part}`);
            return [0, line.getTotalLength()].map(length => line.getPointAtLength(length).x);
        })
    """)
    thick, (algorithm, _), (machine, _) = places
    octave = (machine - algorithm) / math.log2(marks["machine"] / marks["algorithm"])
    ends = [marks["algorithm"] * 2 ** ((x - algorithm) / octave) for x in thick]
    assert ends == pytest.approx(time.within(0.05), rel=0.01)


@pytest.mark.parametrize("screen", [{"width": 1280, "height": 720}, PHONE], ids=["desk", "phone"])
def test_the_curves_and_what_moves_them_are_on_one_screen(page: Page, screen: dict[str, int]) -> None:
    page.set_viewport_size(screen)  # type: ignore[arg-type]
    settled(page)
    page.locator("#calculator-stage").evaluate("node => node.scrollIntoView({ behavior: 'instant', block: 'start' })")
    page.wait_for_timeout(200)
    parts = ["updates", "seconds", "curve", "brief", "error", *(f"{name}-slider" for name in HANDS), *HANDS]
    for part in parts:
        low, high, left, right = page.locator(f"#calculator-{part}").evaluate(
            "node => (box => [box.top, box.bottom, box.left, box.right])(node.getBoundingClientRect())"
        )
        assert -1 <= low <= high <= screen["height"], part
        assert 0 <= left <= right <= screen["width"], part


HANDS = ("rate", "n_inf", "alpha", "delta", "gamma", "batch")


def test_a_hand_that_moves_waits_less_than_a_frame(page: Page) -> None:
    """In CPU seconds of script, styles and layout: a clock would count what else the machine does."""
    settled(page)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        parts = {"ScriptDuration", "RecalcStyleDuration", "LayoutDuration"}
        return sum(float(one["value"]) for one in metrics if one["name"] in parts)

    before, events = spent(), 15 * len(HANDS)
    moved = page.evaluate(f"""
        (async () => {{
            let moved = 0;
            for (const name of {list(HANDS)}) {{
                const slider = document.getElementById(`calculator-${{name}}-slider`), from = Number(slider.min);
                for (let j = 0; j < 15; j++, moved++) {{
                    slider.value = from + (0.3 + j / 50) * (slider.max - from);
                    slider.dispatchEvent(new Event("input"));
                    await new Promise(requestAnimationFrame);
                }}
            }}
            return moved;
        }})()
    """)
    assert moved == events
    assert (spent() - before) / events < 0.016
    settled(page)


def test_the_learning_rate_moves_the_law_to_its_edge_and_back(page: Page, site: Path) -> None:
    before, n_inf = settled(page), page.locator("#calculator-n_inf").input_value()
    page.locator("#calculator-rate").fill("0.16")
    told = settled(page)
    assert "one curve for all learning rates" in told
    assert "never gets there" in told
    assert float(page.locator("#calculator-pole").input_value()) > 0
    assert float(page.locator("#calculator-n_inf").input_value()) < float(n_inf) / 3
    other = page.context.new_page()
    show(other, page.url)
    assert settled(other) == told
    other.close()
    page.locator("#calculator-rate").fill("5")
    expect(page.locator("#calculator-error")).to_contain_text("the largest rate at which every run got there")
    page.locator("#calculator-rate").fill("0.02")
    assert settled(page) == before
    show(page, f"{(site / 'calculator.html').as_uri()}?#preset=europarl-gru")  # swept at one learning rate
    expect(page.locator("#calculator-rate-slider")).to_be_hidden()


def test_your_batch_is_told_with_what_it_costs(page: Page, fits: dict[str, TrainingTimeFit]) -> None:
    time = fits["mnist-lenet"].time
    page.locator("#calculator-batch").fill("200")
    told = settled(page)
    excess = 100 * (time.seconds(200) / time.least_seconds - 1)
    assert f"A batch of 200: {number_text(time.law.updates(200))} updates" in told
    assert f"{number_text(float(f'{excess:.2g}'))} % above the least" in told
    assert page.locator(".calculator .panels circle.now").count() == 3


def test_a_published_machine_is_named_as_such_and_gives_its_seconds(page: Page) -> None:
    machines = page.evaluate("batchtimeCalculator.machines")
    assert len(machines) >= 3
    for one in machines:
        assert one["title"].startswith("published: ")
        page.locator("#calculator-machine").select_option(one["name"])
        assert "a what-if, not a prediction" in settled(page)
        assert float(page.locator("#calculator-delta").input_value()) == pytest.approx(1e3 * one["delta"], rel=1e-3)
    assert f"machine={machines[-1]['name']}" in page.url
    page.locator("#calculator-machine").select_option("")
    assert "what-if" not in settled(page)


def test_two_tables_make_a_full_answer_that_travels(page: Page) -> None:
    page.get_by_role("button", name="Show an example").click()
    advice = page.locator("#calculator-advice")
    expect(advice).to_contain_text("slower than the best (95 %)")
    runs, timings = (
        pd.read_csv(io.StringIO(page.locator(f"#calculator-{name}").input_value())) for name in ("table", "timing")
    )
    wanted = recommend(
        [Observation(batch_size=m, lower=n, upper=n) for m, n in runs.itertuples(index=False)], timings_of(timings)
    )
    assert wanted.batch_size is not None
    told = advice.inner_text()
    assert f"Batch size {wanted.batch_size}, at most {float(f'{100 * wanted.regret:.2g}'):g} % slower" in told
    line = fit_update_time(timings_of(timings)).update_time
    assert float(page.locator("#calculator-delta").input_value()) == pytest.approx(1e3 * line.fixed_seconds, rel=1e-3)
    other = page.context.new_page()
    show(other, page.url)
    expect(other.locator("#calculator-advice")).to_have_text(told)
    assert settled(other) == settled(page)
    other.close()


def test_the_answer_becomes_a_card_to_save(page: Page) -> None:
    page.get_by_role("button", name="Make a card").click()
    expect(page.locator("#calculator-png")).to_have_attribute("href", re.compile("^data:image/png;base64,.{2000,}"))
    picture = unquote(page.locator("#calculator-svg").get_attribute("href") or "")
    best = page.locator("#calculator-result strong").first.inner_text().split()[0]
    assert f"M ≈ {best}<" in picture
    assert "MNIST, as recorded" in picture
    assert page.locator("#calculator-card img").evaluate("image => image.naturalWidth") == 1200


def test_print_is_a_sheet_with_the_result_and_the_curve_and_nothing_to_press(page: Page) -> None:
    page.locator("#calculator-learners").fill("4")
    told = settled(page)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 720, "height": 1000})  # A4 less its margins
    for shown in ("result", "curve", "projection", "about", "alpha"):
        expect(page.locator(f"#calculator-{shown}")).to_be_visible()
    assert page.locator("#calculator-result").inner_text() == told
    assert page.locator(".calculator :is(button, input[type=range], textarea, input[type=file])").count() > 5
    for control in page.locator(".calculator :is(button, input[type=range], textarea, input[type=file])").all():
        expect(control).to_be_hidden()
    cut = page.evaluate("""
        Array.from(document.querySelectorAll(".calculator *"), node => node.getBoundingClientRect())
            .filter(box => box.width && (box.right > innerWidth || box.left < 0)).length
    """)
    assert cut == 0


# Its state is in the address


def test_an_address_brings_back_what_was_set(page: Page, site: Path) -> None:
    page.locator("#calculator-preset").select_option("cifar100-cnn")
    page.locator("#calculator-shape").select_option("tree")
    for name, text in {"alpha": "12345.6", "learners": "24", "latency": "7", "p": "inf"}.items():
        page.locator(f"#calculator-{name}").fill(text)
    told = settled(page)
    address = page.url
    assert "preset=cifar100-cnn" in address
    assert "n_inf" not in address  # only what differs from the task
    other = page.context.new_page()
    show(other, address)
    assert settled(other) == told
    assert other.url == address
    assert other.locator("#calculator-alpha").input_value() == "12345.6"
    assert other.locator("#calculator-preset").input_value() == "cifar100-cnn"
    assert other.locator("#calculator-curve").inner_html() == page.locator("#calculator-curve").inner_html()
    show(other, (site / "calculator.html").as_uri())
    other.close()


def test_a_fitted_table_travels_in_the_address(page: Page) -> None:
    paste(page, RUNS)
    expect(page.locator("#calculator-fit")).to_contain_text(FITTED)
    told, law = settled(page), page.locator("#calculator-fit").inner_text()
    assert "from the runs alone" in told
    other = page.context.new_page()
    show(other, page.url)
    assert settled(other) == told
    assert other.locator("#calculator-fit").inner_text() == law
    assert other.locator("#calculator-table").input_value() == RUNS
    other.close()


def test_the_back_button_undoes_a_choice_and_not_each_step_of_a_slider(page: Page) -> None:
    first = settled(page)
    page.locator("#calculator-preset").select_option("cifar10-cnn")
    second = settled(page)
    page.locator("#calculator-delta-slider").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    third = settled(page)
    paste(page, RUNS)
    assert len({first, second, third, settled(page)}) == 4
    page.go_back()
    assert settled(page) == third
    expect(page.locator("#calculator-fit")).to_be_empty()
    assert page.locator("#calculator-table").input_value() == RUNS  # typed, so kept
    page.go_back()
    assert settled(page) == first
    page.go_forward()
    assert settled(page) == third


def test_a_link_within_the_page_leaves_the_numbers_alone(page: Page) -> None:
    page.locator("#calculator-alpha").fill("777")
    told = settled(page)
    page.evaluate("location.hash = '#paste-your-own-runs'")
    assert settled(page) == told
    page.go_back()
    assert settled(page) == told


def test_a_link_is_copied(browser: Browser, server: str) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    show(page, f"{server}/calculator.html")
    page.locator("#calculator-alpha").fill("4321")
    page.get_by_role("button", name="Copy a link").click()
    expect(page.locator("#calculator-copied")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"{server}/calculator.html#preset=mnist-lenet&")
    assert "alpha=4321" in copied
    context.close()


# What is wrong is said in one line, and nothing typed is lost


BAD_TABLES = {
    "no updates": "batch_size,steps\n8,100\n",
    "no header": "8,100\n64,50\n",
    "a strange column": "batch_size,updates,loss\n8,100,1\n64,50,1\n",
    "a column twice": "batch_size,updates,updates\n8,100,1\n64,50,1\n",
    "semicolons": "batch_size;updates\n8;100\n",
    "a word": "batch_size,updates\n8,100\n64,many\n",
    "nothing": "batch_size,updates\n8,100\n64,\n",
    "a negative number": "batch_size,updates\n8,100\n\n64,-5\n",
    "no batch": "batch_size,updates\n0,100\n64,5\n",
    "too few cells": "batch_size,updates\n8,100\n64\n",
    "too many cells": "batch_size,updates\n8,100,3\n64,50\n",
    "no rows": "batch_size,updates\n",
    "one batch size": "batch_size,updates\n8,100\n8,110\n",
}


@pytest.mark.parametrize("table", BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_bad_table_is_refused_with_the_words_of_the_package(page: Page, table: str, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text(table)
    with pytest.raises((StoreError, FitError)) as refused:
        fit_inverse_law(read_observations(file))
    before = settled(page)
    paste(page, table)
    expect(page.locator("#calculator-refused")).to_have_text(str(refused.value).replace(str(file), "the table"))
    assert page.locator("#calculator-table").input_value() == table
    assert page.locator("#calculator-table").get_attribute("aria-invalid") == "true"
    assert page.locator("#calculator-refused").get_attribute("role") == "alert"
    assert settled(page) == before
    paste(page, RUNS)
    expect(page.locator("#calculator-refused")).to_be_empty()
    assert page.locator("#calculator-table").get_attribute("aria-invalid") == "false"


@pytest.mark.parametrize(("column", "cell"), [("censored", "true"), ("updates_lower", "90")])
def test_runs_that_only_the_package_can_count_are_named_and_sent_there(page: Page, column: str, cell: str) -> None:
    paste(page, f"batch_size,updates,{column}\n8,100,\n64,50,{cell}\n")
    told = page.locator("#calculator-refused")
    expect(told).to_contain_text(f"the table, line 3, column {column}, value '{cell}'")
    expect(told).to_contain_text("batchtime fit")


def test_a_column_of_seeds_and_cells_from_a_spreadsheet_are_taken(page: Page) -> None:
    with_seeds = "\n".join(f"{line},{number}" for number, line in enumerate(RUNS.split()[1:]))
    paste(page, f"batch_size,updates,seed\n{with_seeds}\n".replace(",", "\t"))
    expect(page.locator("#calculator-fit")).to_contain_text(FITTED)
    expect(page.locator("#calculator-fit")).to_contain_text("Column seed is not used here")


def test_a_file_is_fitted_as_a_pasted_table_is(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text(RUNS)
    page.locator("#calculator-file").set_input_files(file)
    expect(page.locator("#calculator-fit")).to_contain_text(FITTED)
    assert page.locator("#calculator-table").input_value() == RUNS


def test_the_law_of_a_table_is_shown_with_the_intervals_of_the_package(page: Page) -> None:
    paste(page, RUNS)
    expect(page.locator("#calculator-fit")).to_contain_text(FITTED)
    rows = [line.split(",") for line in RUNS.split()[1:]]
    law, _, _, intervals = with_one_spread([(float(m), float(n)) for m, n in rows])
    told = [row.split("\t") for row in page.locator("#calculator-fit tr").all_inner_texts()]
    assert told[1:] == [
        ["n_inf", number_text(law.n_inf), "updates", interval_text(intervals["n_inf"])],
        ["alpha", number_text(law.alpha), "examples", interval_text(intervals["alpha"])],
        [
            "alpha / n_inf",
            number_text(law.critical_batch_size),
            "examples",
            interval_text(intervals["critical"]),
        ],
    ]
    assert float(page.locator("#calculator-n_inf").input_value()) == pytest.approx(law.n_inf, rel=1e-3)


def test_a_number_that_cannot_be_is_refused_left_standing_and_not_used(page: Page) -> None:
    before = settled(page)
    for name, text, allowed in (
        ("alpha", "-3", "a finite number of at least 0"),
        ("delta", "1,5", "a finite number of at least 0"),
        ("learners", "2.5", "a whole number from 1 to 1,048,576"),
        ("p", "0", "a number more than 0; inf for the larger of the two"),
    ):
        field = page.locator(f"#calculator-{name}")
        held = field.input_value()
        field.fill(text)
        assert settled(page).split() == f"For the last numbers that are allowed: {before}".split()
        with pytest.raises(ParameterError) as refused:
            check(False, name=name, value=text, allowed=allowed)
        expect(page.locator("#calculator-error")).to_have_text(str(refused.value))
        assert (field.input_value(), field.get_attribute("aria-invalid")) == (text, "true")
        field.fill(held)
        expect(page.locator("#calculator-error")).to_be_empty()


def test_an_address_that_cannot_be_is_told_and_the_rest_of_it_used(page: Page, site: Path) -> None:
    page.goto("about:blank")
    show(page, f"{(site / 'calculator.html').as_uri()}#preset=cifar10-cnn&alpha=-5&learners=4")
    expect(page.locator("#calculator-error")).to_contain_text("alpha = '-5' is not allowed")
    assert page.locator("#calculator-learners").input_value() == "4"
    page.goto("about:blank")
    show(page, f"{(site / 'calculator.html').as_uri()}#preset=imagenet")
    expect(page.locator("#calculator-error")).to_contain_text(
        "preset = 'imagenet' is not allowed; allowed: mnist-lenet"
    )


def test_zero_and_infinite_optima_are_told_in_words(page: Page) -> None:
    page.locator("#calculator-gamma").fill("0")
    assert "The larger the batch, the shorter is training" in settled(page)
    page.locator("#calculator-n_inf").fill("0")
    page.locator("#calculator-alpha").fill("0")
    assert "give the algorithm and the machine more than 0" in settled(page)


def test_the_table_of_learners_is_that_of_the_package(page: Page, fits: dict[str, TrainingTimeFit]) -> None:
    page.locator("#calculator-shape").select_option("ring")
    settled(page)
    wire = AllReduceTime(latency_seconds=20e-6, seconds_per_byte=1e-10)
    network, time = Network(all_reduce=wire, payload_bytes=1e6), fits["mnist-lenet"].time
    told = [row.split("\t") for row in page.locator("#calculator-scaling tr").all_inner_texts()]
    assert told == [
        [
            str(count),
            size_text(with_learners(time, count, network).optimal_batch_size),
            *(number_text(way(time, count, network)) for way in (strong_scaling, weak_scaling, optimal_scaling)),
        ]
        for count in (1, 2, 4, 8, 16, 32, 64)
    ]
    expect(page.locator("#calculator-useful")).to_contain_text(f"from L = {largest_useful(time, network)} on")


def test_the_script_and_the_data_are_on_this_page_alone_and_small(site: Path) -> None:
    with_script = [path.name for path in site.rglob("*.html") if "calculator.js" in path.read_text(encoding="utf-8")]
    assert with_script == ["calculator.html"]
    assert (site / "_static" / "calculator.js").stat().st_size < 40_000
    text = (site / "calculator.html").read_text(encoding="utf-8")
    data = text.split('id="calculator-presets">')[1].split("</script>")[0]
    assert len(json.loads(data)) == len(tasks())

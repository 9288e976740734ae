"""Promises of the exercises in code: a blank says so, a solution passes, a mistake is told without the answer."""

import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest

from batchtime.book import rerun
from batchtime.book.teaching import exercises
from batchtime.book.teaching.exercises import EXERCISES, TRIES, summary, try_out
from batchtime.errors import ParameterError

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "exercises" / "by-hand.md"
PAGE = (ROOT / "book" / "teach" / "code.md").read_text(encoding="utf-8")
SOLUTIONS = re.findall(r"~~~python\n(.*?)~~~", PAGE, re.DOTALL)


def name_of(source: str) -> str:
    """Return the name of the function that a solution defines."""
    found = re.match(r"def (\w+)", source)
    assert found is not None
    return found[1]


def solution(name: str) -> Callable[..., object]:
    """Return a solution of the book as a function."""
    space: dict[str, Callable[..., object]] = {}
    source = next(source for source in SOLUTIONS if name_of(source) == name)
    exec(source, {"math": math, "np": np}, space)  # noqa: S102 - the book's own
    return space[name]


def printed(notebook: Path) -> list[str]:
    """Return the lines that an executed notebook printed: a kernel may send a line and its end as two outputs."""
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs).splitlines()


def test_each_exercise_has_a_cell_with_a_blank_and_a_solution() -> None:
    cells = [cell.source for cell in jupytext.read(NOTEBOOK).cells if cell.cell_type == "code"]
    asked = re.findall(r'try_out\("(\w+)", \1\)', "\n".join(cells))
    assert asked == list(EXERCISES) == [name_of(source) for source in SOLUTIONS]
    assert len(asked) >= 5
    assert all("..." in cell for cell in cells if "def " in cell)
    assert not [source for source in SOLUTIONS if "..." in source]


def test_the_notebook_with_its_blanks_says_not_yet_and_does_not_fail(tmp_path: Path) -> None:
    rerun.execute(NOTEBOOK, tmp_path / "blank.ipynb", {})
    lines = printed(tmp_path / "blank.ipynb")
    assert [line.split(":")[0] for line in lines[:-1]] == [f"not yet, {name}" for name in EXERCISES]
    assert lines[-1] == f"0 of {len(EXERCISES)} are right; not yet: {', '.join(EXERCISES)}"


@pytest.mark.full  # each solution by itself is tried below
def test_the_notebook_with_the_solutions_filled_in_says_right(tmp_path: Path) -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    for source in SOLUTIONS:
        text, count = re.subn(
            rf"def {name_of(source)}\(.*?\n\n\n", lambda _, source=source: f"{source}\n\n", text, flags=re.DOTALL
        )
        assert count == 1
    (tmp_path / "solved.md").write_text(text, encoding="utf-8")
    rerun.execute(tmp_path / "solved.md", tmp_path / "solved.ipynb", {})
    lines = printed(tmp_path / "solved.ipynb")
    assert [line.split(":")[0] for line in lines[:-1]] == [f"right, {name}" for name in EXERCISES]
    assert lines[-1] == f"{len(EXERCISES)} of {len(EXERCISES)} are right"


@pytest.mark.full
def test_the_commands_of_the_page_open_the_notebook(tmp_path: Path) -> None:
    commands = [line.split() for line in re.findall(r"^\.venv/bin/.*", PAGE, re.MULTILINE)]
    assert [words[0] for words in commands] == [".venv/bin/jupytext", ".venv/bin/jupytext", ".venv/bin/python"]
    for words in commands:
        program = Path(sys.executable).with_name(Path(words[0]).name)
        here = [str(ROOT / word) if word.startswith("notebooks/") else word for word in words[1:]]
        done = subprocess.run([program, *here], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [cell for cell in nbformat.read(tmp_path / "my-exercises.ipynb", as_version=4).cells if "def" in cell.source]
    assert done.stdout.count("not yet, ") == len(EXERCISES)


@pytest.mark.parametrize("name", EXERCISES)
def test_a_solution_passes_whatever_the_random_numbers(name: str) -> None:
    assert [try_out(name, solution(name), seed=seed).right for seed in range(20)] == [True] * 20


WRONG: dict[str, dict[str, Callable[..., object]]] = {
    "updates": {
        "the wrong way round": lambda n_inf, alpha, batch_size: n_inf + alpha * batch_size,
        "no floor": lambda n_inf, alpha, batch_size: alpha / batch_size + 0 * n_inf,
        "swapped": lambda n_inf, alpha, batch_size: alpha + n_inf / batch_size,
    },
    "saving": {
        "what remains": lambda n_inf, alpha, batch_size: (
            (n_inf + alpha / (2 * batch_size)) / (n_inf + alpha / batch_size)
        ),
        "updates": lambda n_inf, alpha, batch_size: alpha / (2 * batch_size) + 0 * n_inf,
        "of the larger": lambda n_inf, alpha, batch_size: alpha / (2 * batch_size) / (n_inf + alpha / (2 * batch_size)),
    },
    "two_points": {
        "swapped": lambda m1, n1, m2, n2: (
            (n1 - n2) / (1 / m1 - 1 / m2),
            n2 - (n1 - n2) / (1 / m1 - 1 / m2) / m2,
        ),
        "a line in M": lambda m1, n1, m2, n2: (n1 - (n1 - n2) / (m1 - m2) * m1, (n1 - n2) / (m1 - m2)),
    },
    "outcome": {
        "first dip": lambda updates, errors, target, hold: next(
            (([0, *updates][k], updates[k]) for k in range(len(updates)) if errors[k] <= target), (0, hold)
        ),
        "the last that held": lambda updates, errors, target, hold: next(
            ([0, *updates][k + hold - 1], updates[k + hold - 1])
            for k in range(len(updates))
            if max(errors[k : k + hold]) <= target and k + hold <= len(updates)
        ),
        "no interval": lambda updates, errors, target, hold: (updates[0] + 0 * hold, errors[0] + target),
    },
    "optimum": {
        "delta and gamma swapped": lambda n_inf, alpha, delta, gamma: math.sqrt(alpha * gamma / (n_inf * delta)),
        "the algorithm's": lambda n_inf, alpha, delta, gamma: alpha / n_inf + 0 * delta * gamma,
        "the machine's": lambda n_inf, alpha, delta, gamma: delta / gamma + 0 * n_inf * alpha,
        "no root": lambda n_inf, alpha, delta, gamma: alpha * delta / (n_inf * gamma),
        "rounded": lambda n_inf, alpha, delta, gamma: round(math.sqrt(alpha * delta / (n_inf * gamma))),
    },
    "good_range": {
        "5 % of the batch": lambda n_inf, alpha, delta, gamma, excess: (
            math.sqrt(alpha * delta / (n_inf * gamma)) * (1 - excess),
            math.sqrt(alpha * delta / (n_inf * gamma)) * (1 + excess),
        ),
        "larger first": lambda **inputs: tuple(reversed(solution("good_range")(**inputs))),  # type: ignore[call-overload]
    },
    "noise_scale": {
        "biased length": lambda gradients: (
            ((gradients - gradients.mean(0)) ** 2).sum() / (len(gradients) - 1) / (gradients.mean(0) ** 2).sum()
        ),
        "one component": lambda gradients: gradients.var() / (gradients.mean(0) ** 2).sum(),
        "divided by n": lambda gradients: (
            gradients.var(0).sum() / ((gradients.mean(0) ** 2).sum() - gradients.var(0).sum() / len(gradients))
        ),
    },
    "recursion": {
        "noise without M": lambda rate, noise_variance, start, target, batch_size: solution("recursion")(
            rate=rate, noise_variance=noise_variance, start=start, target=target, batch_size=1 + 0 * batch_size
        ),
        "one too many": lambda **inputs: solution("recursion")(**inputs) + 1,  # type: ignore[operator]
        "no noise": lambda rate, noise_variance, start, target, batch_size: solution("recursion")(
            rate=rate, noise_variance=0 * noise_variance, start=start, target=target, batch_size=batch_size
        ),
    },
}


@pytest.mark.parametrize(("name", "mistake"), [(name, mistake) for name in WRONG for mistake in WRONG[name]])
def test_a_typical_mistake_is_told_with_its_input_in_one_line(name: str, mistake: str) -> None:
    verdict = try_out(name, WRONG[name][mistake])
    assert not verdict.right
    assert verdict.text.startswith(f"not yet, {name}: with ")
    assert "\n" not in verdict.text
    assert " it returned " in verdict.text
    for formula in ("alpha /", "sqrt", "delta /", "/ gamma", "n_inf +"):
        assert formula not in verdict.text


def test_every_exercise_has_mistakes_that_are_tried() -> None:
    assert set(WRONG) == set(EXERCISES)


def test_a_swapped_machine_is_told_by_a_faster_batch() -> None:
    text = try_out("optimum", WRONG["optimum"]["delta and gamma swapped"]).text
    found = re.search(r"training takes (\S+) s there, and (\S+) s at a batch 2 % larger", text)
    assert found is not None
    assert float(found[2]) < float(found[1])


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("many", "it returned 'many'; it should return one number"),
        ((1.0, 2.0), "it returned (1, 2); it should return one number"),
        (math.nan, "it returned nan; it should return one number"),
        (True, "it returned True; it should return one number"),
        (..., "there is still a blank"),
        ((..., 1), "there is still a blank"),
    ],
)
def test_what_is_no_answer_is_told(returned: object, said: str) -> None:
    assert said in try_out("updates", lambda **_: returned).text


def test_a_function_that_stops_is_told_and_not_raised() -> None:
    def stops(n_inf: float, alpha: float, batch_size: int) -> float:
        raise ValueError(f"no\nidea {n_inf} {alpha} {batch_size}")

    assert re.search(r"with n_inf = .* it stopped: ValueError: no idea", try_out("updates", stops).text)
    assert "TypeError" in try_out("updates", lambda: 1).text


def test_another_name_or_no_function_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"exercise = 'law' is not allowed; allowed: updates, saving"):
        try_out("law", lambda: 1)
    with pytest.raises(ParameterError, match="the function itself, without parentheses"):
        try_out("updates", 3)  # type: ignore[arg-type]


def test_the_random_inputs_of_the_recursion_hold_both_outcomes() -> None:
    generator = np.random.default_rng(0)
    answers = [solution("recursion")(**EXERCISES["recursion"].inputs(generator)) for _ in range(TRIES)]
    assert math.inf in answers
    assert len({answer for answer in answers if answer != math.inf}) > 3


def test_a_summary_counts_what_is_right() -> None:
    right = try_out("updates", solution("updates"))
    assert summary([right]) == "1 of 1 are right"
    assert summary([right, try_out("saving", lambda **_: 2)]) == "1 of 2 are right; not yet: saving"
    assert str(right) == right.text == f"right, updates: it holds for {exercises.TRIES} random inputs"

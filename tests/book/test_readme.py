"""The README says what the book says: its numbers are those of the executed pages, and its figure is theirs."""

import sys
from pathlib import Path


def glued(root: Path, page: str) -> dict[str, object]:
    """Return what the notebook of a page glued."""
    sys.path.insert(0, str(root / "book" / "_ext"))
    import batchtime_book

    return batchtime_book.glued(root / "book" / "runs" / f"{page}.ipynb")


def published(root: Path, sweep: str) -> dict[str, object]:
    """Return the published quantities of a sweep, by the last part of their names."""
    sys.path.insert(0, str(root / "book" / "_ext"))
    import batchtime_book

    found = batchtime_book.published(root / "_build" / "quantities.json")
    return {name.removeprefix(f"{sweep}."): value for name, value in found.items() if name.startswith(f"{sweep}.")}


def test_the_readme_gives_the_numbers_of_the_book(root: Path, site: Path) -> None:  # noqa: ARG001 - the pages are run
    text = (root / "README.md").read_text(encoding="utf-8")
    time = glued(root, "training-time-mnist-lenet") | published(root, "mnist-lenet")
    beyond = glued(root, "beyond")
    beyond["n_published"] = int(beyond["n_series"]) - int(beyond["n_ours"])
    within = [
        published(root, name)["worst_error"] for name in ("europarl-gru", "cifar10-cnn", "mnist-lenet", "cifar100-cnn")
    ]
    expected = [
        f"the optimum is {time['optimum']:.1f} examples (95 % interval {time['optimum.interval']})",
        f"from {time['low_whole']} to {time['high_whole']} costs at most 5 % more",
        f"near the optimum the prediction missed by {100 * time['near_error']:+.1f} %",
        f"at the worst batch size by {100 * time['worst']:.0f} %",
        "The law is within {:.1f} % of the means on Europarl, {:.1f} % on CIFAR-10, {:.1f} % on MNIST and "
        "{:.1f} % on CIFAR-100".format(*(100 * float(one) for one in within)),
        "{n_published} series that others published lie with {n_ours} of ours on one curve, from three batch sizes the "
        "others are predicted to a median of {pole_median:.1%}".format(**beyond).replace("%", " %"),
    ]
    assert [sentence for sentence in expected if sentence not in text] == []


def test_the_figure_of_the_readme_is_the_one_of_the_book(root: Path, site: Path) -> None:  # noqa: ARG001 - as above
    shown = root / "book" / "_assets" / "seconds-mnist.svg"
    assert shown.name in (root / "README.md").read_text(encoding="utf-8")
    made = root / "book" / "runs" / "figures" / "clock-mnist-lenet.svg"
    assert shown.read_bytes() == made.read_bytes(), f"copy {made.name} to {shown}"

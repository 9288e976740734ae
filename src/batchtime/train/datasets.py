"""Data sets by name: from files, downloaded where they are missing, to tensors."""

import contextlib
import hashlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scipy.linalg import hadamard
from torch import Tensor
from torch.utils.data import Dataset

from batchtime.errors import DatasetError
from batchtime.runs.locking import lock
from batchtime.theory.problems import ANISOTROPIC_QUADRATIC, LEAST_SQUARES, NOISY_QUADRATIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Inputs and targets that belong together, the first dimension counts examples.

    Each is a tensor, or a tuple or a mapping of tensors where a model takes several.

    Example:
        >>> both = Examples(inputs={"left": torch.zeros(6, 3), "right": torch.ones(6, 2)}, targets=torch.zeros(6))
        >>> len(both), [len(part) for part in both.split(4)]
        (6, [4, 2])
    """

    inputs: Any
    targets: Any

    def __len__(self) -> int:
        """Return how many examples there are."""
        return len(_leaves(self.targets)[0])

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        found: torch.device = _leaves(self.targets)[0].device
        return found

    def take(self, indices: Tensor) -> tuple[Any, Any]:
        """Return the inputs and targets of some examples, (n,)."""
        if isinstance(self.inputs, Tensor) and isinstance(self.targets, Tensor):
            return self.inputs.index_select(0, indices), self.targets.index_select(0, indices)
        taken = each(lambda part: part.index_select(0, indices), self)
        return taken.inputs, taken.targets

    def split(self, most: int) -> "Iterator[Examples]":
        """Yield them in order, at most so many at once: what a step that accumulates gradients goes through."""
        for first in range(0, len(self), most):
            yield self.part(first, first + most)

    def part(self, first: int, end: int) -> "Examples":
        """Return those from `first` to before `end`."""
        part: Examples = each(lambda tensor: tensor[first:end], self)
        return part


def each(change: Callable[[Tensor], Tensor], parts: Any) -> Any:
    """Return examples, or a tensor or a tuple or mapping of tensors, with each tensor changed."""
    if isinstance(parts, Examples):
        return Examples(inputs=each(change, parts.inputs), targets=each(change, parts.targets))
    if isinstance(parts, Mapping):
        return {name: each(change, part) for name, part in parts.items()}
    return tuple(each(change, part) for part in parts) if isinstance(parts, tuple) else change(parts)


def _leaves(parts: Any) -> list[Tensor]:
    """Return the tensors of inputs or targets, in order."""
    if isinstance(parts, Mapping | tuple):
        inner = parts.values() if isinstance(parts, Mapping) else parts
        return [leaf for part in inner for leaf in _leaves(part)]
    return [parts]


def checksum(*parts: Examples) -> str:
    """Return the SHA-256 of all tensors of some examples, in hexadecimal digits."""
    digest = hashlib.sha256()
    for examples in parts:
        for leaf in (*_leaves(examples.inputs), *_leaves(examples.targets)):
            digest.update(leaf.contiguous().numpy().data)
    return digest.hexdigest()


def lengths(examples: Examples) -> tuple[set[int], set[int]]:
    """Return of how many examples the tensors of inputs and of targets are: one number each, if all is well."""
    inputs, targets = ({len(leaf) for leaf in _leaves(side)} for side in (examples.inputs, examples.targets))
    return inputs, targets


Split = tuple[Examples, Examples]
"""Examples to train on, and others to validate on."""


def examples_of(dataset: Dataset[Any]) -> Examples:
    """Return every example of a torch data set as tensors, read once: a run then draws from memory.

    Args:
        dataset: Has a length, and gives a pair of input and target for each index; both are tensors of one shape,
            arrays or numbers, or tuples of tensors or mappings where a model takes several.

    Raises:
        DatasetError: If it is empty, gives something else, or gives another example when it is asked again.
    """
    name = type(dataset).__name__
    count = len(dataset)  # type: ignore[arg-type]  # torch's own Dataset declares no length
    if count == 0:
        raise DatasetError(f"the data set {name} has no example")
    try:
        once, again = (_leaves(_pair(dataset[0])) for _ in range(2))
        if not all(map(torch.equal, once, again)):
            remedy = "a run would see one draw for ever: leave random changes of the examples out, or give a loader"
            raise DatasetError(f"the data set {name} gives another example 0 when it is asked again; {remedy}")
        pairs = [_pair(dataset[index]) for index in range(count)]
        inputs, targets = (_stacked([pair[side] for pair in pairs]) for side in (0, 1))
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"the data set {name} does not give pairs of tensors of one shape ({reason}); let its transform do that"
        ) from error
    return Examples(inputs=inputs, targets=targets)


def _pair(example: Any) -> tuple[Any, Any]:
    """Return an example's input and target as tensors."""
    return _tensors(example[0]), _tensors(example[1])


def _tensors(part: Any) -> Any:
    """Return one side of an example, or a part of it, as tensors."""
    if isinstance(part, Mapping):
        return {name: _tensors(inner) for name, inner in part.items()}
    several = isinstance(part, tuple) and not all(isinstance(inner, int | float) for inner in part)
    return tuple(_tensors(inner) for inner in part) if several else torch.as_tensor(part)


def _stacked(parts: Sequence[Any]) -> Any:
    """Return one side of all examples, each of its tensors stacked."""
    if isinstance(parts[0], Mapping):
        return {name: _stacked([part[name] for part in parts]) for name in parts[0]}
    if isinstance(parts[0], tuple):
        return tuple(_stacked(list(inner)) for inner in zip(*parts, strict=True))
    return torch.stack(list(parts))


def split(inputs: Tensor, targets: Tensor, *, validation: int) -> Split:
    """Keep the last `validation` examples apart."""
    return (
        Examples(inputs=inputs[:-validation].contiguous(), targets=targets[:-validation].contiguous()),
        Examples(inputs=inputs[-validation:].contiguous(), targets=targets[-validation:].contiguous()),
    )


def load_digits() -> Split:
    """Return scikit-learn's embedded 8 x 8 digits: 1,437 to train on and 360 to validate on, split once at random."""
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    inputs = torch.as_tensor(images, dtype=torch.float32) / 16  # (1797, 64), 0 to 1
    targets = torch.as_tensor(labels, dtype=torch.int64)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    return split(inputs[order], targets[order], validation=360)


def load_gaussian_noise() -> Split:
    """Return noise vectors of mean exactly 0 and mean squared length exactly sigma^2; the validation example is 0."""
    problem = NOISY_QUADRATIC
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(problem.examples, problem.dimension, dtype=torch.float64, generator=generator)
    noise -= noise.mean(dim=0)
    noise *= math.sqrt(problem.noise_variance / noise.square().sum(dim=1).mean())
    return (
        Examples(inputs=noise.to(torch.float32), targets=torch.zeros(len(noise))),
        Examples(inputs=torch.zeros(1, problem.dimension), targets=torch.zeros(1)),
    )


def load_anisotropic_noise() -> Split:
    """Return noise vectors xi / h of mean exactly 0, each coordinate of xi with the same variance, exactly."""
    problem = ANISOTROPIC_QUADRATIC
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(problem.examples, problem.dimension, dtype=torch.float64, generator=generator)
    noise -= noise.mean(dim=0)
    noise *= (problem.noise_variance / problem.dimension / noise.square().mean(dim=0)).sqrt()
    centres = noise / torch.tensor(problem.curvatures, dtype=torch.float64)
    return (
        Examples(inputs=centres.to(torch.float32), targets=torch.zeros(len(noise))),
        Examples(inputs=torch.zeros(1, problem.dimension), targets=torch.zeros(1)),
    )


def load_gaussian_features() -> Split:
    """Return vectors a and values a.w*, with the second and fourth moments of a Gaussian, exactly.

    Every vector comes with all its d cyclic shifts, each of them with d patterns of signs that are orthogonal to each
    other: then E a a^T and E |a|^2 a a^T are multiples of I, which the lengths |a| make those of a Gaussian. On the
    validation examples, sqrt(d) times each unit vector, the mean loss is |w - w*|^2 / 2.
    """
    problem = LEAST_SQUARES
    d = problem.dimension
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(problem.examples // d**2, d, dtype=torch.float64, generator=generator)
    squares = drawn.square().sum(dim=1)
    squares = d + (squares - squares.mean()) * math.sqrt(2 * d / squares.var(correction=0))  # mean d, variance 2 d
    vectors = drawn * (squares / drawn.square().sum(dim=1)).sqrt()[:, None]
    shifted = torch.stack([vectors.roll(k, dims=1) for k in range(d)])  # (d, n / d^2, d)
    signs = torch.as_tensor(hadamard(d), dtype=torch.float64)
    features = (shifted.reshape(-1, 1, d) * signs).reshape(-1, d)  # (n, d)
    best = torch.randn(d, dtype=torch.float64, generator=generator)
    best *= problem.distance / best.norm()
    units = math.sqrt(d) * torch.eye(d, dtype=torch.float64)

    def examples(inputs: Tensor) -> Examples:
        return Examples(inputs=inputs.to(torch.float32), targets=(inputs @ best).to(torch.float32))

    return examples(features), examples(units)


# --- images, through torchvision -------------------------------------------------------------------------------------


def load_mnist(folder: Path, *, validation: int = 1000) -> Split:
    """Return the 60,000 training images of MNIST, the last of them to validate; the test images stay untouched.

    Args:
        folder: Holds MNIST/raw, as torchvision lays it out; downloaded into it where that is missing.
        validation: How many of them are kept apart.

    Returns:
        Images of shape (n, 1, 28, 28) with mean 0 and deviation 1 over the pixels, and labels of shape (n,).

    Raises:
        DatasetError: If a file is missing, cut off or changed, or cannot be downloaded.
    """
    return split(*_mnist(folder, train=True), validation=validation)


def load_mnist_test(folder: Path) -> Examples:
    """Return the 10,000 test images of MNIST, scaled as the training images are; arguments as `load_mnist`."""
    inputs, targets = _mnist(folder, train=False)
    return Examples(inputs=inputs, targets=targets)


def _mnist(folder: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    source = import_torchvision().datasets.MNIST
    _provide(source, folder, folder / "MNIST" / "raw", _MNIST_MD5, "MNIST")
    images = source(str(folder), train=train)
    inputs = (images.data.to(torch.float32) / 255 - 0.1307) / 0.3081
    return inputs.unsqueeze(1), images.targets


def load_pooled_mnist(folder: Path) -> Split:
    """Return the first 10,000 images of MNIST, small: to train on, and the same ones to take the whole loss on.

    Args:
        folder: As for `load_mnist`.

    Returns:
        Images averaged over 2 x 2 pixels, centred and scaled to a mean squared length of 1, shape (n, 196), and labels
        of shape (n,).

    Raises:
        DatasetError: As `load_mnist`.
    """
    train, _ = load_mnist(folder)
    images = torch.nn.functional.avg_pool2d(train.inputs[:10_000].double(), 2).flatten(1)
    images -= images.mean(dim=0)
    images /= images.square().sum(dim=1).mean().sqrt()
    examples = Examples(inputs=images.to(torch.float32), targets=train.targets[:10_000])
    return examples, examples


_MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def load_cifar(folder: Path, *, classes: int, validation: int = 2000) -> Split:
    """Return the 50,000 training images of CIFAR-10 or CIFAR-100, the last to validate; test images untouched.

    Args:
        folder: Holds cifar-10-batches-py or cifar-100-python, as torchvision lays them out; downloaded into it where
            that is missing.
        classes: 10, or 100 for the fine labels of CIFAR-100.
        validation: How many of them are kept apart.

    Returns:
        Images of shape (n, 3, 32, 32), each channel with mean 0 and deviation 1 over the 50,000 images, and labels of
        shape (n,).

    Raises:
        DatasetError: If a file is missing, cut off or changed, or cannot be downloaded.
    """
    pixels, targets = _cifar(folder, classes, train=True)
    deviation, mean = torch.std_mean(pixels, dim=(0, 2, 3), keepdim=True)
    return split((pixels - mean) / deviation, targets, validation=validation)


def load_cifar_test(folder: Path, *, classes: int) -> Examples:
    """Return the 10,000 test images, scaled as the training images are; arguments as `load_cifar`."""
    deviation, mean = torch.std_mean(_cifar(folder, classes, train=True)[0], dim=(0, 2, 3), keepdim=True)
    pixels, targets = _cifar(folder, classes, train=False)
    return Examples(inputs=((pixels - mean) / deviation).contiguous(), targets=targets)


def _cifar(folder: Path, classes: int, *, train: bool) -> tuple[Tensor, Tensor]:
    """Return pixels of shape (n, 3, 32, 32), 0 to 1, and labels of shape (n,)."""
    known = import_torchvision().datasets
    source = {10: known.CIFAR10, 100: known.CIFAR100}[classes]
    sums = dict(source.train_list + source.test_list) | {source.meta["filename"]: source.meta["md5"]}
    _provide(source, folder, folder / source.base_folder, sums, f"CIFAR-{classes}")
    images = source(str(folder), train=train)
    pixels = torch.as_tensor(images.data, dtype=torch.float32).permute(0, 3, 1, 2) / 255
    return pixels, torch.as_tensor(images.targets)


def _provide(source: Any, folder: Path, files: Path, sums: Mapping[str, str], name: str) -> None:
    """Download a torchvision data set where none of its files is there; refuse it unless all are as published."""
    with alone(folder):
        if not any((files / file).exists() for file in sums):
            download(lambda: source(str(folder), download=True), name, folder)
        _verify(files, sums)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time look at a folder of data sets, so that none reads what another still downloads.

    Raises:
        DatasetError: If the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise DatasetError(
            f"cannot use {folder}: {error.strerror}; set BATCHTIME_DATASETS to another folder"
        ) from error
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def _verify(folder: Path, sums: Mapping[str, str]) -> None:
    """Refuse a data set with a missing, cut-off or changed file."""
    from torchvision.datasets.utils import calculate_md5

    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            remedy = "delete that folder, and the data set is downloaded again"
            raise DatasetError(f"{folder} lacks {name}: half a download; {remedy}")
        found = calculate_md5(str(path))
        if found != expected:
            remedy = "delete that folder, and the data set is downloaded again"
            raise DatasetError(f"{path} ({path.stat().st_size} bytes) has md5 {found}, expected {expected}; {remedy}")


def download(fetch: Callable[[], object], name: str, folder: Path) -> None:
    """Run a library's download, and say in one line why it failed.

    Raises:
        DatasetError: If it failed.
    """
    try:
        fetch()
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        remedy = f"connect to a network, or put its files into {folder} (or set BATCHTIME_DATASETS to where they are)"
        raise DatasetError(f"{name} is not in {folder} and could not be downloaded ({reason}); {remedy}") from error


def import_torchvision() -> Any:
    """Import torchvision, also beside a torch without its compiled operators.

    The package index's torchvision stops beside a CPU build of torch, at two operators that are not there. Nothing
    used here needs them, so declaring their schemas is enough.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its note that image codecs are missing: no codec is used here
        try:
            import torchvision
        except RuntimeError:
            torch.library.define("torchvision::nms", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
            torch.library.define("torchvision::qnms", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
            import torchvision
    return torchvision

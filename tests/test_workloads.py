"""Promises of data sets and models by name."""

import shutil
from pathlib import Path

import pytest
import torch

from batchtime.errors import DatasetError, ParameterError
from batchtime.runs.spec import Target, Workload
from batchtime.theory.problems import NOISY_QUADRATIC
from batchtime.train.datasets import import_torchvision, load_mnist
from batchtime.train.models import MODELS
from batchtime.train.tasks import DATASETS
from batchtime.train.workloads import build

from .conftest import missing

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def workload(dataset: str, model: str) -> Workload:
    """Return a workload of these names."""
    return Workload(name="test", dataset=dataset, model=model, target=Target(metric="loss", value=1))


def test_the_digits_need_no_file_and_are_split_without_overlap() -> None:
    task = build(workload("digits", "mlp"))
    assert len(task.train.targets) == 1437
    assert len(task.validation.targets) == 360
    assert task.train.inputs.min() >= 0
    assert task.train.inputs.max() == 1
    # Every class in both parts, and the parts are the whole set: sums of pixels add up to scikit-learn's.
    assert set(task.validation.targets.tolist()) == set(range(10))
    from sklearn.datasets import load_digits

    total = task.train.inputs.double().sum() + task.validation.inputs.double().sum()
    assert float(total) * 16 == pytest.approx(load_digits().data.sum())


def test_the_noise_has_exactly_the_mean_and_variance_that_the_closed_form_takes() -> None:
    task = build(workload("gaussian-noise", "position"))
    noise = task.train.inputs.double()
    assert float(noise.mean(dim=0).abs().max()) < 1e-6
    assert float(noise.square().sum(dim=1).mean()) == pytest.approx(NOISY_QUADRATIC.noise_variance, rel=1e-6)
    start = task.model()(task.validation.inputs).detach()
    gap = task.metrics["loss"](start, task.validation.targets)
    assert float(gap[0]) == pytest.approx(NOISY_QUADRATIC.start, rel=1e-6)


def test_mnist_is_all_of_its_training_images_with_the_last_thousand_apart(mnist_folder: Path) -> None:
    train, validation = load_mnist(mnist_folder)
    assert train.inputs.shape == (59_000, 1, 28, 28)
    assert validation.inputs.shape == (1_000, 1, 28, 28)
    everything = torch.cat([train.inputs, validation.inputs])
    assert float(everything.mean()) == pytest.approx(0, abs=1e-3)
    assert float(everything.std()) == pytest.approx(1, abs=1e-3)
    # The published counts of the ten classes in the 60,000 training labels.
    counts = torch.bincount(torch.cat([train.targets, validation.targets])).tolist()
    assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.fixture
def own_mnist(mnist_folder: Path, tmp_path: Path) -> Path:
    """Return a folder with a copy of MNIST that a test may damage."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        shutil.copy(mnist_folder / "MNIST" / "raw" / name, raw / name)
    return tmp_path


def test_half_a_download_is_named_with_the_remedy(own_mnist: Path) -> None:
    (own_mnist / "MNIST" / "raw" / FILES[1]).unlink()
    with pytest.raises(DatasetError, match=rf"lacks {FILES[1]}.*delete that folder"):
        load_mnist(own_mnist)


def test_a_file_that_was_cut_off_is_named_with_what_was_expected(own_mnist: Path) -> None:
    path = own_mnist / "MNIST" / "raw" / FILES[0]
    path.write_bytes(path.read_bytes()[:1_000_000])
    with pytest.raises(DatasetError, match=rf"{FILES[0]} \(1000000 bytes\) has md5 .*, expected 6bbc9ace"):
        load_mnist(own_mnist)


def test_a_file_with_one_other_byte_is_refused(own_mnist: Path) -> None:
    path = own_mnist / "MNIST" / "raw" / FILES[1]
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DatasetError, match=rf"{FILES[1]} .* expected a25bea73"):
        load_mnist(own_mnist)


def test_the_packed_files_alone_are_unpacked_without_a_network(mnist_folder: Path, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        packed = mnist_folder / "MNIST" / "raw" / f"{name}.gz"
        if not packed.exists():
            missing(f"{packed} is not there: the packed files of MNIST are kept beside the unpacked ones")
        shutil.copy(packed, raw)
    train, validation = load_mnist(tmp_path)
    assert len(train.targets) + len(validation.targets) == 60_000


def test_an_absent_data_set_without_a_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_torchvision().datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])  # nobody listens there
    with pytest.raises(
        DatasetError, match=r"MNIST is not in .* could not be downloaded .* BATCHTIME_DATASETS"
    ) as error:
        load_mnist(tmp_path)
    assert "\n" not in str(error.value)


def test_an_unknown_data_set_or_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ParameterError, match=f"dataset = 'imagenet'.*{', '.join(DATASETS)}"):
        build(workload("imagenet", "lenet"))
    with pytest.raises(ParameterError, match=f"model = 'resnet'.*{', '.join(MODELS)}"):
        build(workload("digits", "resnet"))

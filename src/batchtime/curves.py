"""The tasks of one curve: targets that people would accept, swept over batch size and step size together.

Updates times step size are taken to be a function of step size over batch size alone, so that the cells of a task form
a band along that quotient: small steps go with small batches, and each value of the quotient comes at several step
sizes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from batchtime.records import EvaluationGrid, LearningRate, Optimizer, Setting, Target, Workload

SEEDS = 5
PLAIN = Optimizer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The batch sizes at one step size.

    Args:
        batch_sizes: All of them, the sealed ones too.
        sealed: Predicted, and the predictions committed, before their runs are started.
        costly: Batch sizes at which a run is expected to take over three times the best: three seeds.
    """

    batch_sizes: tuple[int, ...]
    sealed: tuple[int, ...] = ()
    costly: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Cells with another step rule or optimizer; `suffix` names the sweep, and `summary` says how it differs."""

    suffix: str
    summary: str
    learning_rate: LearningRate
    cells: Cells
    optimizer: Optimizer = PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A task and its cells.

    Args:
        summary: One line for a reader.
        description: What the data and the model are.
        n_examples: Training examples.
        setting: Of the middle step size, whose sweep has the workload's name.
        rates: By step size its cells; they hold that of the setting.
        arms: Other step rules and optimizers.
    """

    summary: str
    description: str
    n_examples: int
    setting: Setting
    rates: Mapping[float, Cells]
    arms: tuple[Arm, ...] = field(default=())


def _capped(maximum: float, half: float, *batch_sizes: int) -> Arm:
    """Return the arm with the capped step maximum / (1 + half / M), all of it sealed."""
    return Arm(
        suffix="capped",
        summary=f"with the capped step {maximum:g} / (1 + {half:g} / M)",
        learning_rate=LearningRate(maximum=maximum, half_batch_size=half),
        cells=Cells(batch_sizes=batch_sizes, sealed=batch_sizes),
    )


def _momentum(rates: Mapping[float, tuple[int, ...]]) -> Iterator[Arm]:
    """Yield arms with momentum 0.9, by step size their batch sizes."""
    for rate, batch_sizes in rates.items():
        yield Arm(
            suffix=f"momentum-rate-{rate:g}",
            summary=f"with momentum 0.9 and step size {rate:g}",
            learning_rate=LearningRate(maximum=rate),
            cells=Cells(batch_sizes=batch_sizes),
            optimizer=Optimizer(momentum=0.9),
        )


def _adam(rates: Mapping[float, tuple[int, ...]]) -> Iterator[Arm]:
    """Yield arms with Adam, by step size their batch sizes."""
    for rate, batch_sizes in rates.items():
        yield Arm(
            suffix=f"adam-rate-{rate:g}",
            summary=f"with Adam, step size {rate:g}",
            learning_rate=LearningRate(maximum=rate),
            cells=Cells(batch_sizes=batch_sizes),
            optimizer=Optimizer(name="adam"),
        )


CURVES = (
    Curve(
        summary="MNIST to 2 % error, a LeNet without normalisation; its images are downloaded when a run is missing",
        description=(
            "The data are the handwritten digits of MNIST, 28 x 28 pixels: 55,000 of the training images to train on, "
            "the last 5,000 to validate on; the test images are looked at once, by the model that reached the target. "
            "The model is a LeNet whose two convolutions have stride 2, without normalisation: 61,706 parameters."
        ),
        n_examples=55_000,
        setting=Setting(
            workload=Workload(
                name="mnist-error-2",
                dataset="mnist-5k",
                model="lenet",
                target=Target(metric="error", value=0.02, hold=3),
            ),
            learning_rate=LearningRate(maximum=0.08),
            max_updates=250_000,
            max_examples=1_000_000,
            grid=EvaluationGrid(ratio=1.1, stride=4, near=1.1, first=20),
        ),
        rates={
            0.02: Cells(batch_sizes=(2, 4, 8, 16, 32), costly=(2, 4)),
            0.08: Cells(batch_sizes=(4, 8, 16, 32, 64, 128, 256), sealed=(16, 128), costly=(4,)),
            0.16: Cells(batch_sizes=(8, 16, 32, 64, 128, 256), sealed=(8, 16, 32, 64, 128, 256)),
            0.32: Cells(batch_sizes=(16, 32, 64, 128, 256, 512, 1024), costly=(16, 32)),
            0.64: Cells(batch_sizes=(64, 128, 256, 512, 1024)),
        },
        arms=(
            _capped(0.32, 64, 4, 16, 64, 256, 1024),
            *_momentum({0.008: (8, 16, 64, 256), 0.032: (32, 64, 128, 512)}),
            *_adam({0.00025: (2, 8, 32, 128), 0.001: (8, 32, 128, 512), 0.004: (32, 128, 512, 2048)}),
        ),
    ),
    Curve(
        summary="CIFAR-10 to 30 % error, wide convolutions with group norm; downloaded when a run is missing",
        description=(
            "The data are the photographs of CIFAR-10, 32 x 32 pixels in three colours, ten classes: 45,000 of the "
            "training images to train on, each mirrored and shifted at random, and the last 5,000 to validate on; the "
            "test images are looked at once, by the model that reached the target. The model has a strided stem and "
            "three wide convolutions, each followed by group norm and rectifiers, and a linear layer: "
            "258,906 parameters."
        ),
        n_examples=45_000,
        setting=Setting(
            workload=Workload(
                name="cifar10-error-30",
                dataset="cifar10-augmented",
                model="wide-cnn-10",
                target=Target(metric="error", value=0.3, hold=3),
            ),
            learning_rate=LearningRate(maximum=0.05),
            max_updates=400_000,
            max_examples=1_200_000,
            grid=EvaluationGrid(ratio=1.1, stride=4, near=1.1, first=800),
        ),
        rates={
            0.0125: Cells(batch_sizes=(4, 8, 16, 32)),
            0.025: Cells(batch_sizes=(8, 16, 32, 64), sealed=(8, 16, 32, 64)),
            0.05: Cells(batch_sizes=(8, 16, 32, 64, 128, 256), sealed=(32, 128)),
            0.1: Cells(batch_sizes=(32, 64, 128, 256)),
            0.2: Cells(batch_sizes=(64, 128, 256, 512), costly=(256, 512)),
        },
        arms=(_capped(0.05, 16, 4, 8, 32, 128, 256),),
    ),
    Curve(
        summary="CIFAR-100 to 60 % error, the same network with 100 outputs; downloaded when a run is missing",
        description=(
            "The data are the photographs of CIFAR-100, like those of CIFAR-10 but of a hundred classes. The model is "
            "that of CIFAR-10 with 100 outputs: 443,316 parameters."
        ),
        n_examples=45_000,
        setting=Setting(
            workload=Workload(
                name="cifar100-error-60",
                dataset="cifar100-augmented",
                model="wide-cnn-100",
                target=Target(metric="error", value=0.6, hold=3),
            ),
            learning_rate=LearningRate(maximum=0.1),
            max_updates=400_000,
            max_examples=1_200_000,
            grid=EvaluationGrid(ratio=1.1, stride=4, near=1.08, first=400),
        ),
        rates={
            0.025: Cells(batch_sizes=(8, 16, 32, 64)),
            0.05: Cells(batch_sizes=(16, 32, 64, 128), sealed=(16, 32, 64, 128)),
            0.1: Cells(batch_sizes=(16, 32, 64, 128, 256, 512), sealed=(32, 256)),
            0.2: Cells(batch_sizes=(64, 128, 256, 512)),
            0.4: Cells(batch_sizes=(128, 256, 512, 1024), costly=(512, 1024)),
        },
        arms=(_capped(0.1, 32, 4, 16, 64, 128, 256),),
    ),
    Curve(
        summary="Europarl to a BLEU score of 5, sentences from French to English, recurrent; downloaded when missing",
        description=(
            "The data are sentences of the European Parliament, release 7, French to English, of 3 to 13 words and at "
            "most 40 pieces a side: 89,163 pairs to train on and 2,000 from other sittings to validate on. The model "
            "is that of the shorter sentences, 375,016 parameters. The model that reached the target translates the "
            "2,000 sentences, and its BLEU score is recorded."
        ),
        n_examples=89_163,
        setting=Setting(
            workload=Workload(
                name="europarl-bleu-5",
                dataset="europarl-2k",
                model="gru",
                target=Target(metric="loss", value=3.0, hold=3),
            ),
            learning_rate=LearningRate(maximum=1),
            max_updates=400_000,
            max_examples=2_000_000,
            grid=EvaluationGrid(ratio=1.05, stride=8, near=1.08, first=100),
        ),
        rates={
            0.25: Cells(batch_sizes=(4, 8, 16, 32), costly=(4,)),
            0.5: Cells(batch_sizes=(8, 16, 32, 64), sealed=(8, 16, 32, 64)),
            1: Cells(batch_sizes=(8, 16, 32, 64, 128, 256), sealed=(16, 128)),
            2: Cells(batch_sizes=(16, 32, 64, 128, 256)),
            4: Cells(batch_sizes=(64, 128, 256, 512)),
        },
        arms=(_capped(2, 32, 4, 16, 32, 128, 512),),
    ),
)

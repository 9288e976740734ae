"""Models by name."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from batchtime.theory.problems import ANISOTROPIC_QUADRATIC, LEAST_SQUARES, NOISY_QUADRATIC
from batchtime.train.datasets import import_torchvision
from batchtime.train.europarl import BEGIN, END, LONGEST, PAD, PIECES


def _mlp() -> nn.Module:
    """64-64-10 perceptron."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def _lenet() -> nn.Module:
    """LeNet with rectifiers, for 28 x 28 images of one channel: 61,706 parameters.

    Its convolutions have stride 2, as those of LeCun et al. (1989), where LeNet-5 subsamples after them: the same
    shapes at a third of the cost.
    """
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, stride=2, padding=2),  # (batch, 6, 14, 14)
        nn.ReLU(),
        nn.Conv2d(6, 16, 5, stride=2),  # (batch, 16, 5, 5)
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _cnn(classes: int) -> nn.Module:
    """Three strided convolutions of 16, 32 and 64 channels with group norm, for 32 x 32 images of three channels.

    Group norm, as batch norm would make the loss of an example depend on the batch that it is in.
    """

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GroupNorm(4, outputs), nn.ReLU()]

    return nn.Sequential(*block(3, 16), *block(16, 32), *block(32, 64), nn.Flatten(), nn.Linear(1024, classes))


def _wide_cnn(classes: int) -> nn.Module:
    """A strided stem and three wide convolutions with group norm, for 32 x 32 images of three channels."""

    def block(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=1),
            nn.GroupNorm(8, outputs),
            nn.ReLU(),
        ]

    return nn.Sequential(
        *block(3, 48, 4, 2),  # (batch, 48, 16, 16)
        *block(48, 96, 3, 2),  # (batch, 96, 8, 8)
        *block(96, 96, 3, 1),
        nn.MaxPool2d(2),
        *block(96, 128, 3, 1),  # (batch, 128, 4, 4)
        nn.Flatten(),
        nn.Linear(2048, classes),
    )


def _resnet() -> nn.Module:
    """Torchvision's residual network with one basic block a stage and group norm: 4,910,922 parameters."""
    resnet = import_torchvision().models.resnet
    network: nn.Module = resnet.ResNet(
        resnet.BasicBlock, [1, 1, 1, 1], num_classes=10, norm_layer=partial(nn.GroupNorm, 8)
    )
    return network


class Translator(nn.Module):
    """Encoder and decoder of one gated recurrent layer each, with dot-product attention: 375,016 parameters.

    The decoder reads the true translation so far and guesses its next piece (teacher forcing), so that all its states
    come from one pass, and attention (Luong et al. 2015) from one product.
    """

    CHUNK = 32  # sentences of like length that go through together: padding is paid only within these

    def __init__(self) -> None:
        """Draw random weights."""
        super().__init__()
        embedded, hidden = 64, 96
        self.source = nn.Embedding(PIECES, embedded, padding_idx=PAD)
        self.target = nn.Embedding(PIECES, embedded, padding_idx=PAD)
        self.encoder = nn.GRU(embedded, hidden, batch_first=True)
        self.decoder = nn.GRU(embedded, hidden, batch_first=True)
        self.mix = nn.Linear(2 * hidden, 2 * embedded)
        self.guess = nn.Linear(2 * embedded, PIECES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the negative log likelihood of each translation, in nats.

        Args:
            inputs: Pieces of source and target, shape (batch, 2, LONGEST), padded at the end.
        """
        lengths = (inputs != PAD).sum(dim=2)  # (batch, 2)
        if len(inputs) <= self.CHUNK:
            return self._nats(inputs, lengths)
        order = lengths.sum(dim=1).argsort(stable=True)
        nats = torch.cat([self._nats(inputs[some], lengths[some]) for some in order.split(self.CHUNK)])
        return torch.empty_like(nats).index_copy(0, order, nats)

    def _nats(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        longest, longest_target = lengths.amax(dim=0).tolist()
        source, target = inputs[:, 0, :longest].long(), inputs[:, 1, :longest_target].long()
        memory, state = self.read(source)
        scores, _ = self.score(target[:, :-1], state, memory, source != PAD)
        nats = functional.cross_entropy(
            scores.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD, reduction="none"
        )
        return nats.view(len(inputs), -1).sum(dim=1)

    def read(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder's states, (batch, source, hidden), and the one at each sentence's end."""
        memory, _ = self.encoder(self.source(source))
        last = (source != PAD).sum(dim=1) - 1
        return memory, memory[torch.arange(len(source), device=source.device), last][None]

    def score(self, read: Tensor, state: Tensor, memory: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of each next piece, (batch, read, PIECES), and the state after the last one."""
        states, state = self.decoder(self.target(read), state)  # (batch, read, hidden)
        attend = (states @ memory.transpose(1, 2)).masked_fill(~there[:, None, :], -math.inf).softmax(dim=2)
        mixed = torch.tanh(self.mix(torch.cat([states, attend @ memory], dim=2)))
        scores: Tensor = self.guess(mixed)
        return scores, state

    @torch.inference_mode()
    def translate(self, source: Tensor) -> Tensor:
        """Return the likeliest piece at each place, given those before it: (batch, LONGEST), END and what follows.

        Args:
            source: Pieces, shape (batch, LONGEST), padded at the end.
        """
        source = source.long()
        memory, state = self.read(source)
        piece = torch.full((len(source), 1), BEGIN)
        said = []
        for _ in range(LONGEST):
            scores, state = self.score(piece, state, memory, source != PAD)
            piece = scores.argmax(dim=2)
            said.append(piece)
            if bool((torch.cat(said, dim=1) == END).any(dim=1).all()):
                break
        return torch.cat(said, dim=1)


class _Position(nn.Module):
    """A point in space, as far from the optimum as the problem says; outputs its differences to the inputs."""

    def __init__(self) -> None:
        super().__init__()
        direction = torch.randn(NOISY_QUADRATIC.dimension)
        self.position = nn.Parameter(direction / direction.norm() * NOISY_QUADRATIC.distance)

    def forward(self, inputs: Tensor) -> Tensor:  # (batch, dimension)
        return self.position - inputs


class _ScaledPosition(nn.Module):
    """As `_Position`, in the anisotropic problem: each coordinate starts equally far off, on a side that is drawn."""

    scales: Tensor

    def __init__(self) -> None:
        super().__init__()
        sides = torch.randint(2, (ANISOTROPIC_QUADRATIC.dimension,)) * 2 - 1
        self.position = nn.Parameter(sides * ANISOTROPIC_QUADRATIC.distance / math.sqrt(len(sides)))
        self.register_buffer("scales", torch.tensor(ANISOTROPIC_QUADRATIC.curvatures).sqrt())

    def forward(self, inputs: Tensor) -> Tensor:  # (batch, dimension)
        return self.scales * (self.position - inputs)


class _Weights(nn.Module):
    """Linear regression that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(LEAST_SQUARES.dimension))

    def forward(self, inputs: Tensor) -> Tensor:  # (batch, dimension)
        return inputs @ self.weights


class SoftmaxRegression(nn.Module):
    """Scores of ten classes, linear in 196 pixels, from zero weights; an eleventh column holds the ridge penalty.

    The penalty is RIDGE |W|^2 / 2; it is the same for every example, so that it stands beside each one's scores.
    """

    RIDGE = 0.003

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(10, 196))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scores and penalty, shape (batch, 11)."""
        penalty = self.RIDGE / 2 * self.weights.square().sum()
        return torch.cat([inputs @ self.weights.T, penalty.expand(len(inputs), 1)], dim=1)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "mlp": _mlp,
    "lenet": _lenet,
    "cnn-10": partial(_cnn, 10),
    "cnn-100": partial(_cnn, 100),
    "wide-cnn-10": partial(_wide_cnn, 10),
    "wide-cnn-100": partial(_wide_cnn, 100),
    "resnet-10": _resnet,
    "gru": Translator,
    "position": _Position,
    "scaled-position": _ScaledPosition,
    "weights": _Weights,
    "softmax": SoftmaxRegression,
}

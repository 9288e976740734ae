"""English of the European Parliament for a small GPT of characters, as nanoGPT trains one.

AdamW without decay of biases and norms, warm-up and a cosine, clipped gradients, added up in parts of 16 sequences.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from batchtime import Target, Task
from batchtime.runs.store import datasets_folder
from batchtime.train.datasets import Examples
from batchtime.train.europarl import read_pairs

ALPHABET = " abcdefghijklmnopqrstuvwxyz.,'-"
"""What is read; any other character is a space."""
CONTEXT = 32
"""Characters in a sequence."""
PART = 16
"""Sequences that go through the network at once."""
WARM_UP, END = 50, 2000
"""Updates after which the learning rate is at its greatest, and at a tenth of it."""


class GPT(nn.Module):
    """Two layers of two heads, 64 wide."""

    def __init__(self) -> None:
        """Draw random weights."""
        super().__init__()
        self.characters = nn.Embedding(len(ALPHABET), 64)
        self.places = nn.Parameter(0.02 * torch.randn(CONTEXT, 64))
        layer = nn.TransformerEncoderLayer(
            64, 2, 256, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(64), enable_nested_tensor=False)
        self.guess = nn.Linear(64, len(ALPHABET))

    def forward(self, read: Tensor) -> Tensor:
        """Return the scores of each next character, (batch, CONTEXT, alphabet)."""
        later = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool, device=read.device).triu(1)
        scores: Tensor = self.guess(self.layers(self.characters(read) + self.places, mask=later))
        return scores


def adamw(model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Return AdamW that lets only matrices decay."""
    matrices = [value for value in model.parameters() if value.dim() > 1]
    others = [value for value in model.parameters() if value.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95))


def cosine(optimizer: torch.optim.Optimizer, _batch_size: int) -> LRScheduler:
    """Return a learning rate that rises in a straight line, and falls as a cosine."""

    def factor(update: int) -> float:
        if update < WARM_UP:
            return (update + 1) / WARM_UP
        return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, (update - WARM_UP) / (END - WARM_UP))))

    return LambdaLR(optimizer, factor)


def nats(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the nats a character of each sequence."""
    return functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none").mean(dim=1)


def step(model: nn.Module, batch: Examples, optimizer: torch.optim.Optimizer) -> None:
    """Do one update: gradients of at most PART sequences at a time, added up and clipped."""
    optimizer.zero_grad()
    for part in batch.split(PART):
        (nats(model(part.inputs), part.targets).sum() / len(batch)).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def sequences(text: str, count: int) -> Examples:
    """Return the first sequences of a text, each with the characters that come next."""
    places = {character: place for place, character in enumerate(ALPHABET)}
    read = torch.tensor([places.get(character, 0) for character in text[: count * CONTEXT + 1]])
    return Examples(inputs=read[:-1].view(-1, CONTEXT), targets=read[1:].view(-1, CONTEXT))


def characters() -> Task:
    """Return 10,000 sequences, and 400 others to validate on, to 2.3 nats a character."""
    home = datasets_folder() / "europarl"
    train, validation = (
        sequences(" ".join(english for _, english in read_pairs(home, part)[:8000]).lower(), count)
        for part, count in (("train200k", 10_000), ("heldout5k", 400))
    )
    return Task(
        model=GPT,
        train=train,
        validation=validation,
        loss=nats,
        metrics={"nats": nats},
        target=Target(metric="nats", value=2.3),
        learning_rate=0.003,
        optimizer=adamw,
        schedule=cosine,
        step=step,
        version="1",
    )

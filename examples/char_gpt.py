"""A small character GPT on sums such as 23+58=81, as one writes it in a file: AdamW, warm-up, cosine, printed losses.

It knows nothing of batchtime; what it prints is all that a sweep reads.
"""

import argparse
import math
import time

import torch
from torch import nn
from torch.nn import functional

options = argparse.ArgumentParser()
options.add_argument("--bs", type=int, default=32)
options.add_argument("--lr", type=float, default=3e-3)
options.add_argument("--seed", type=int, default=0)
options.add_argument("--iters", type=int, default=2000)
CHARACTERS = "0123456789+=\n"
BLOCK, WIDTH = 32, 48


class Layer(nn.Module):
    """Attention to what came before, and a perceptron."""

    def __init__(self) -> None:
        """Make both."""
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.perceptron = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.register_buffer("ahead", torch.triu(torch.ones(BLOCK, BLOCK, dtype=torch.bool), 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what both add."""
        y = self.first(x)
        x = x + self.attention(y, y, y, attn_mask=self.ahead, need_weights=False)[0]
        return x + self.perceptron(self.second(x))


class GPT(nn.Module):
    """Characters to scores of the next one."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.embedding = nn.Embedding(len(CHARACTERS), WIDTH)
        self.position = nn.Parameter(torch.zeros(BLOCK, WIDTH))
        self.layers = nn.Sequential(Layer(), Layer(), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(CHARACTERS)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.layers(self.embedding(x) + self.position)


def main() -> None:
    """Train, and print the validation loss every 10 iterations."""
    given = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    text = "".join(f"{a}+{b}={a + b}\n" for a, b in torch.randint(0, 100, (20_000, 2)).tolist())
    data = torch.tensor([CHARACTERS.index(character) for character in text])
    split = int(0.9 * len(data))
    model = GPT()
    optimizer = torch.optim.AdamW(model.parameters(), lr=given.lr, weight_decay=0.01)

    def batch(low: int, high: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        at = torch.randint(low, high - BLOCK - 1, (size, 1)) + torch.arange(BLOCK + 1)
        return data[at[:, :-1]], data[at[:, 1:]]

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(model(x).flatten(0, 1), y.flatten())

    held_out = batch(split, len(data), 64)
    for step in range(1, given.iters + 1):
        for group in optimizer.param_groups:
            decay = 0.5 * (1 + math.cos(math.pi * step / given.iters))
            group["lr"] = given.lr * min(1.0, step / 20) * (0.1 + 0.9 * decay)
        optimizer.zero_grad()
        training = loss(*batch(0, split, given.bs))
        training.backward()
        optimizer.step()
        if step % 10 == 0:
            print(f"[{time.time():.6f}] iter {step}: loss {training.item():.4f}")
            with torch.no_grad():
                print(f"iter {step}: val loss {loss(*held_out).item():.4f}")


if __name__ == "__main__":
    main()

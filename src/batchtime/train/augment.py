"""Random changes of a batch, drawn from the run's own generator."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Augment = Callable[[Tensor, Tensor], Tensor]
"""Inputs of n examples, and n whole numbers below 2**RANDOM_BITS that are drawn for them, to changed inputs."""

RANDOM_BITS = 32
"""Random bits that come with each example of a batch, drawn together with it."""


def pack(examples: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw examples with replacement, each with its random bits: one number apiece.

    One draw an example, so that a batch of 2 M is two batches of M, whatever is drawn at once.

    Args:
        examples: How many there are to draw from.
        shape: Of what is returned.
        generator: Of the run.

    Example:
        >>> indices, bits = unpack(pack(1000, (3, 8), torch.Generator().manual_seed(0)))
    """
    return torch.randint(examples << RANDOM_BITS, shape, generator=generator)


def pack_order(examples: int, generator: torch.Generator) -> Tensor:
    """Draw all examples in a random order, (examples,), each with its random bits."""
    order = torch.randperm(examples, generator=generator)
    return (order << RANDOM_BITS) + torch.randint(1 << RANDOM_BITS, (examples,), generator=generator)


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of the examples and the random bits that were drawn with them."""
    return packed >> RANDOM_BITS, packed & ((1 << RANDOM_BITS) - 1)


def flip_and_shift(images: Tensor, bits: Tensor, *, most: int = 4) -> Tensor:
    """Mirror every other image, and shift each by up to `most` pixels either way; zeros come in at the edges.

    Args:
        images: Shape (n, channels, height, width).
        bits: Random bits of each image, shape (n,), whole numbers below 2**RANDOM_BITS.
        most: Pixels.

    Example:
        >>> flip_and_shift(images, unpack(pack(1, (len(images),), generator))[1])
    """
    height, width = images.shape[2:]
    places = 2 * most + 1
    mirrored, place = bits % 2 == 1, bits // 2 % places**2
    windows = functional.pad(images, (most,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    each = torch.arange(len(images), device=images.device)
    shifted = windows[each, :, place // places, place % places]  # (n, channels, height, width)
    return torch.where(mirrored[:, None, None, None], shifted.flip(3), shifted)

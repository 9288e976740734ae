"""Promises of the models: their size, and that what an example costs does not depend on the batch that it is in."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from batchtime.train import europarl, models
from batchtime.train.datasets import Examples
from batchtime.train.europarl import BEGIN, END, LONGEST, PAD, PIECES
from batchtime.train.models import MODELS, Translator


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mlp", 64 * 64 + 64 + 64 * 10 + 10),
        ("lenet", 61_706),
        # Convolutions 3 x 3 and their biases, two numbers a channel of group norm, a linear layer from 4 x 4 x 64.
        ("cnn-10", 27 * 16 + 16 + 144 * 32 + 32 + 288 * 64 + 64 + 2 * 112 + 1024 * 10 + 10),
        ("cnn-100", 27 * 16 + 16 + 144 * 32 + 32 + 288 * 64 + 64 + 2 * 112 + 1024 * 100 + 100),
        ("resnet-10", 4_910_922),
        ("gru", 375_016),
    ],
)
def test_a_model_has_the_parameters_that_it_says(name: str, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in MODELS[name]().parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "shape"),
    [("cnn-10", (3, 32, 32)), ("cnn-100", (3, 32, 32)), ("resnet-10", (3, 32, 32)), ("lenet", (1, 28, 28))],
)
def test_the_output_for_an_image_does_not_depend_on_its_batch(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model, images = MODELS[name](), torch.randn(6, *shape)
    together = model(images)
    assert together.shape == (6, 100 if name == "cnn-100" else 10)
    alone = torch.cat([model(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)


def pairs(count: int) -> torch.Tensor:
    """Return sentences of random pieces and lengths, (count, 2, LONGEST)."""
    generator = torch.Generator().manual_seed(1)
    pieces = torch.randint(END + 1, PIECES, (count, 2, LONGEST), generator=generator, dtype=torch.int32)
    lengths = torch.randint(3, LONGEST + 1, (count, 2, 1), generator=generator)
    places = torch.arange(LONGEST)
    pieces[..., 0] = BEGIN
    pieces = torch.where(places == lengths - 1, END, pieces)
    return torch.where(places >= lengths, PAD, pieces)


def test_the_loss_of_a_translation_does_not_depend_on_its_batch_or_its_padding() -> None:
    torch.manual_seed(0)
    model, sentences = Translator(), pairs(3 * Translator.CHUNK + 5)
    together = model(sentences)
    alone = torch.cat([model(sentence[None]) for sentence in sentences])
    assert torch.allclose(together, alone, rtol=1e-4)
    order = torch.randperm(len(sentences), generator=torch.Generator().manual_seed(2))
    assert torch.allclose(model(sentences[order]), together[order], rtol=1e-4)


def test_the_loss_of_a_translation_is_the_nats_of_its_pieces_one_after_the_other() -> None:
    torch.manual_seed(0)
    model, (sentence,) = Translator(), pairs(1)
    source, target = sentence[:1][sentence[:1] != PAD][None].long(), sentence[1][sentence[1] != PAD].long()
    with torch.inference_mode():
        memory, state = model.read(source)
        nats = 0.0
        for read, following in pairwise(target):
            scores, state = model.score(read.view(1, 1), state, memory, source != PAD)
            nats -= float(scores[0, 0].log_softmax(dim=0)[following])
        assert float(model(sentence[None])) == pytest.approx(nats, rel=1e-4)


def test_a_translator_that_has_learnt_a_few_sentences_says_them(tmp_path: Path) -> None:
    home = tmp_path / "europarl"
    home.mkdir()
    words = ("one", "two", "three", "four", "five", "six", "seven")
    lines = [" ".join(words[(k + j) % 7] for j in range(3 + k % 5)) for k in range(40)]
    for part in europarl.PARTS:
        for language in europarl.LANGUAGES:
            text = [line.upper() if language == "fr" else line for line in lines]
            (home / f"{part}.{language}").write_text("".join(f"{line}\n" for line in text))
    # A vocabulary of forty short lines is small: the largest that sentencepiece can make of them.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(europarl, "PIECES", 40)
        patch.setattr(models, "PIECES", 40)
        train, validation = europarl.load_europarl(tmp_path, validation=40)
        torch.manual_seed(0)
        model = Translator()
        before = europarl.bleu(model, validation, tmp_path, sentences=20)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(150):
            optimizer.zero_grad()
            model(train.inputs).mean().backward()
            optimizer.step()
        after = europarl.bleu(model, Examples(inputs=train.inputs, targets=train.targets), tmp_path, sentences=20)
    assert before < 5
    assert after > 90

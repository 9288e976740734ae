"""Sentences of the European Parliament in French and English, as pairs of subword pieces.

Koehn (2005), release 7, French to English. What is trained on are short sentences, 3 to 12 words and at most LONGEST
pieces a side. A piece is one of PIECES symbols of a byte-pair vocabulary of its language, made by sentencepiece from
the training text, so that nothing but rare characters is unknown.
"""

import hashlib
import io
import random
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import requests
import sentencepiece
import torch
from torch import Tensor

from batchtime.errors import DatasetError
from batchtime.train.datasets import Examples, Split, alone, download

PIECES = 1000
"""Size of the vocabulary of each language, with the four symbols below."""
PAD, UNKNOWN, BEGIN, END = range(4)
LONGEST = 40
"""Most pieces in a sentence, with BEGIN and END."""
WORDS = range(3, 13)
"""Words that a sentence may have."""
VALIDATION = 500
"""Held-out pairs on which the metrics are taken."""

ARCHIVE = "https://www.statmt.org/europarl/v7/fr-en.tgz"
SHA256 = "80f5d52113e23bfe51f890569ed69d2a1348127bca0894d07d1d23e0d0fac1e9"
LANGUAGES = ("fr", "en")
PARTS = ("train200k", "heldout5k")
_AGAIN = "delete {}, and it is made again"
_KEPT = range(3, 21)  # words a sentence may have in the two parts: what is trained on is chosen from them


def load_europarl(folder: Path, *, words: range = WORDS, validation: int = VALIDATION) -> Split:
    """Return pairs of short sentences as pieces, those of the training part and some held-out ones.

    Args:
        folder: Holds europarl/train200k and europarl/heldout5k, each in .fr and .en, one sentence a line, aligned; made
            from the official archive where they are missing. Vocabularies are kept beside them.
        words: Words that a sentence may have.
        validation: How many held-out pairs.

    Returns:
        Inputs of shape (n, 2, LONGEST), French and English pieces from BEGIN to END, then PAD. Targets of shape (n,),
        all the same: the mean number of pieces that are guessed in a sentence of that part.

    Raises:
        DatasetError: If a file is damaged, or cannot be downloaded.
    """
    home = folder / "europarl"
    with alone(folder):
        texts = [home / f"{part}.{language}" for part in PARTS for language in LANGUAGES]
        if not any(path.exists() for path in texts):
            _prepare(home)
        if absent := [path.name for path in texts if not path.exists()]:
            raise DatasetError(f"{home} lacks {', '.join(absent)}: half a data set; {_AGAIN.format(home)}")
        vocabularies = [vocabulary(home, language) for language in LANGUAGES]
    train, held_out = (_encode(read_pairs(home, part), vocabularies, words) for part in PARTS)
    if min(len(train), len(held_out)) < validation:
        remedy = _AGAIN.format(home)
        raise DatasetError(
            f"{home} holds {len(train)} and {len(held_out)} short pairs, fewer than {validation}; {remedy}"
        )
    return _examples(train), _examples(held_out[:validation])


def read_pairs(home: Path, part: str) -> list[tuple[str, str]]:
    """Return the sentence pairs of a part.

    Raises:
        DatasetError: If the sides differ in length, a sentence is empty, or a file is no text.
    """
    sides = []
    for language in LANGUAGES:
        path = home / f"{part}.{language}"
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"cannot read {path}: {error}; {_AGAIN.format(home)}") from error
        sides.append(lines[:-1] if lines[-1] == "" else lines)
    french, english = sides
    if len(french) != len(english):
        counts = f"{len(french)} and {len(english)} lines"
        raise DatasetError(f"{home / part}.fr and .en have {counts}: not aligned; {_AGAIN.format(home)}")
    for number, pair in enumerate(zip(french, english, strict=True), start=1):
        for language, sentence in zip(LANGUAGES, pair, strict=True):
            if not sentence.strip():
                place = f"{home / part}.{language}, line {number}"
                raise DatasetError(f"{place}: an empty sentence; delete the line on both sides, or delete {home}")
    return list(zip(french, english, strict=True))


def vocabulary(home: Path, language: str) -> Any:
    """Return the vocabulary of a language, made from its training text and kept under that text's checksum.

    Raises:
        DatasetError: If the vocabulary that is kept is not one of PIECES pieces.
    """
    text = home / f"train200k.{language}"
    digest = hashlib.sha256(text.read_bytes()).hexdigest()[:12]
    path = home / f"pieces-{PIECES}-{digest}.{language}"
    if not path.exists():
        made = io.BytesIO()
        with text.open(encoding="utf-8") as lines:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=lines,
                model_writer=made,
                model_type="bpe",
                vocab_size=PIECES,
                num_threads=1,
                pad_id=PAD,
                unk_id=UNKNOWN,
                bos_id=BEGIN,
                eos_id=END,
                minloglevel=2,
            )
        path.with_suffix(".part").write_bytes(made.getvalue())
        path.with_suffix(".part").replace(path)
    try:
        found = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise DatasetError(f"{path} is no vocabulary; {_AGAIN.format(path)}") from error
    if found.vocab_size() != PIECES:
        raise DatasetError(f"{path} has {found.vocab_size()} pieces, expected {PIECES}; {_AGAIN.format(path)}")
    return found


def _encode(pairs: Iterable[tuple[str, str]], vocabularies: list[Any], words: range = WORDS) -> Tensor:
    """Return the pieces of the short pairs, (n, 2, LONGEST)."""
    short = [pair for pair in pairs if all(len(side.split()) in words for side in pair)]
    sides = [
        pieces.encode(list(side), add_bos=True, add_eos=True)
        for pieces, side in zip(vocabularies, zip(*short, strict=True), strict=False)
    ]
    fitting = [pair for pair in zip(*sides, strict=True) if max(map(len, pair)) <= LONGEST]
    rows = [[row + [PAD] * (LONGEST - len(row)) for row in pair] for pair in fitting]
    return torch.tensor(rows, dtype=torch.int32).reshape(-1, 2, LONGEST)


def _examples(pieces: Tensor) -> Examples:
    guessed = (pieces[:, 1] != PAD).sum(dtype=torch.float64) / len(pieces) - 1  # BEGIN is given
    return Examples(inputs=pieces, targets=torch.full((len(pieces),), float(guessed)))


def bleu(model: Any, validation: Examples, folder: Path, *, sentences: int) -> float:
    """Return the BLEU score (0 to 100) of greedy translations of the first validation sentences.

    Both sides are as sacrebleu splits them into words, the references being the pieces put together again.

    Args:
        model: A `models.Translator`.
        validation: As `load_europarl` returns them.
        folder: As there.
        sentences: How many to translate.
    """
    import sacrebleu

    pieces = vocabulary(folder / "europarl", "en")
    source, reference = validation.inputs[:sentences].unbind(dim=1)
    said, meant = (
        [pieces.decode(row[: row.index(END)] if END in row else row) for row in rows]
        for rows in (model.translate(source).tolist(), reference[:, 1:].tolist())
    )
    return float(sacrebleu.corpus_bleu(said, [meant]).score)


# --- from the official archive ---------------------------------------------------------------------------------------


def _prepare(home: Path) -> None:
    """Make both parts from the official archive: distinct pairs of 3 to 20 words a side.

    The last 5,000 are held out, so that no sitting of the parliament is in both parts but the one that is cut; of those
    before them 200,000 are drawn, in order.
    """
    archive = home / "fr-en.tgz"
    home.mkdir(parents=True, exist_ok=True)
    fetch_archive(home)
    try:
        kept = list(_distinct(archive))
    except (tarfile.TarError, KeyError, EOFError, UnicodeDecodeError) as error:
        raise DatasetError(f"{archive} is not Europarl's archive ({error}); {_AGAIN.format(home)}") from error
    before, held_out = kept[:-5000], kept[-5000:]
    chosen = random.Random(0).sample(range(len(before)), min(200_000, len(before)))  # noqa: S311 - no secret
    parts = ([before[k] for k in sorted(chosen)], held_out)
    for part, pairs in zip(PARTS, parts, strict=True):
        for side, language in enumerate(LANGUAGES):
            path = home / f"{part}.{language}"
            path.with_suffix(".part").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
            path.with_suffix(".part").replace(path)


def fetch_archive(home: Path) -> None:
    """Download the official archive into a folder; go on where an earlier download was cut off.

    Raises:
        DatasetError: If it cannot be had, or its checksum is another one.
    """
    part = home / "fr-en.tgz.part"

    def resume(url: str, output: str, _pooch: object, **_: object) -> None:
        done = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={done}-"} if done else {}
        with requests.get(url, headers=headers, stream=True, timeout=60) as response:
            response.raise_for_status()
            continued = response.status_code == requests.codes.partial_content
            with part.open("ab" if continued else "wb") as file:
                for chunk in response.iter_content(2**14):
                    file.write(chunk)
        shutil.move(part, output)

    def fetch() -> None:
        import pooch  # only where something is downloaded: its progress bar complains in a notebook

        pooch.retrieve(ARCHIVE, known_hash=f"sha256:{SHA256}", fname="fr-en.tgz", path=home, downloader=resume)

    download(fetch, "Europarl", home)


def _distinct(archive: Path) -> Iterator[tuple[str, str]]:
    """Yield each pair of _KEPT words a side once, in the archive's order."""
    with tarfile.open(archive) as packed:
        files = [packed.extractfile(f"europarl-v7.fr-en.{language}") for language in LANGUAGES]
        french, english = (
            closing(io.TextIOWrapper(file, encoding="utf-8", newline="\n")) for file in files if file is not None
        )
        seen = set()
        with french as source, english as target:
            for pair in zip(source, target, strict=False):
                sides = (" ".join(pair[0].split()), " ".join(pair[1].split()))
                if sides not in seen and all(len(side.split()) in _KEPT for side in sides):
                    seen.add(sides)
                    yield sides

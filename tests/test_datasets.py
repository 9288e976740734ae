"""Promises of the loaders that download: each against a server on this machine that has a tiny set of the same layout.

The server gives an archive whole, with another content than its checksum says, or cut off half-way.
"""

import functools
import gzip
import hashlib
import http.server
import io
import pickle
import shutil
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from batchtime.errors import DatasetError
from batchtime.train import datasets, europarl
from batchtime.train.datasets import Split, import_torchvision, load_cifar, load_mnist


@dataclass
class Served:
    """What a server has, what it was asked for, and how many bytes it gives of an answer before it hangs up."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    cut_at: int | None = None


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve bytes from memory, from the place that a Range header names."""

    served: Served

    def do_GET(self) -> None:  # the name that http.server calls
        """Answer with a file, as much of it as is to be given."""
        name, wanted = self.path.rpartition("/")[2], self.headers.get("Range")
        self.served.asked.append((name, wanted))
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        body = self.served.files[name][start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.served.cut_at])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Log nothing."""


@pytest.fixture
def served() -> Iterator[Served]:
    """Start a server without files."""
    handler = type("OwnHandler", (Handler,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.served = Served(address=f"http://127.0.0.1:{server.server_port}/")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield handler.served
        server.shutdown()


def md5(content: bytes) -> str:
    """Return a checksum as torchvision's lists have it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def packed(files: dict[str, bytes]) -> bytes:
    """Return a .tar.gz of some files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


# --- MNIST -----------------------------------------------------------------------------------------------------------


def idx(values: "np.ndarray[Any, Any]") -> bytes:
    """Return bytes in the format of MNIST's files."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


@pytest.fixture
def tiny_mnist(served: Served, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Split]:
    """Return a loader of an MNIST of 1,200 training images, of which the first is white and the others black."""
    images, labels = np.zeros((1200, 28, 28), np.uint8), (np.arange(1200) % 10).astype(np.uint8)
    images[0] = 255
    contents = {
        "train-images-idx3-ubyte": idx(images),
        "train-labels-idx1-ubyte": idx(labels),
        "t10k-images-idx3-ubyte": idx(images[:9]),
        "t10k-labels-idx1-ubyte": idx(labels[:9]),
    }
    served.files |= {f"{name}.gz": gzip.compress(content) for name, content in contents.items()}
    source = import_torchvision().datasets.MNIST
    monkeypatch.setattr(source, "mirrors", [served.address])
    monkeypatch.setattr(source, "resources", [(name, md5(content)) for name, content in served.files.items()])
    monkeypatch.setattr(datasets, "_MNIST_MD5", {name: md5(content) for name, content in contents.items()})
    return load_mnist


# --- CIFAR -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_cifar(served: Served, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Split]:
    """Return a loader of a CIFAR-10 of five batches of 500 images."""
    random = np.random.default_rng(0)

    def batch(count: int) -> bytes:
        pixels = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        return pickle.dumps({"data": pixels, "labels": [k % 10 for k in range(count)]})

    contents = {f"data_batch_{k}": batch(500) for k in range(1, 6)} | {"test_batch": batch(10)}
    meta = pickle.dumps({"label_names": [str(k) for k in range(10)]})
    source = import_torchvision().datasets.CIFAR10
    archive = packed({f"{source.base_folder}/{name}": c for name, c in (contents | {"batches.meta": meta}).items()})
    served.files[source.filename] = archive
    sums = [[name, md5(content)] for name, content in contents.items()]
    monkeypatch.setattr(source, "url", served.address + source.filename)
    monkeypatch.setattr(source, "tgz_md5", md5(archive))
    monkeypatch.setattr(source, "train_list", sums[:5])
    monkeypatch.setattr(source, "test_list", sums[5:])
    monkeypatch.setattr(source, "meta", {"filename": "batches.meta", "key": "label_names", "md5": md5(meta)})
    return lambda folder: load_cifar(folder, classes=10)


# --- Europarl --------------------------------------------------------------------------------------------------------

WORDS = ("parliament", "session", "vote", "report", "council", "member", "state", "question", "debate", "rule", "the")


@functools.cache
def sentences(count: int, seed: int) -> tuple[str, ...]:
    """Return sentences of 3 to 12 words that are hardly ever the same."""
    random = np.random.default_rng(seed)
    return tuple(" ".join(random.choice(WORDS, random.integers(3, 13))) for _ in range(count))


@functools.cache
def archive_of_europarl() -> bytes:
    """Return an archive of 8,000 aligned sentences, two pairs of them twice and one of one word."""
    sides = {"fr": list(sentences(8000, 1)), "en": list(sentences(8000, 2))}
    for lines in sides.values():
        lines[10], lines[20] = lines[0], lines[1]
        lines[30] = "no"
    return packed({f"europarl-v7.fr-en.{k}": "".join(f"{line}\n" for line in v).encode() for k, v in sides.items()})


@pytest.fixture
def tiny_europarl(served: Served, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Split]:
    """Return a loader of a small archive."""
    archive = archive_of_europarl()
    served.files["fr-en.tgz"] = archive
    monkeypatch.setattr(europarl, "ARCHIVE", served.address + "fr-en.tgz")
    monkeypatch.setattr(europarl, "SHA256", hashlib.sha256(archive).hexdigest())
    monkeypatch.setattr(europarl, "PIECES", 60)
    return europarl.load_europarl


LOADERS = pytest.mark.parametrize("loader", ["tiny_mnist", "tiny_cifar", "tiny_europarl"])


@LOADERS
def test_a_data_set_is_downloaded_once_and_then_read_where_it_is(
    loader: str, request: pytest.FixtureRequest, served: Served, tmp_path: Path
) -> None:
    load = request.getfixturevalue(loader)
    first = load(tmp_path)
    asked = len(served.asked)
    assert {name for name, _ in served.asked} == set(served.files)
    second = load(tmp_path)
    assert len(served.asked) == asked
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)


@LOADERS
def test_a_download_with_another_checksum_is_refused_in_one_line_and_nothing_of_it_is_used(
    loader: str, request: pytest.FixtureRequest, served: Served, tmp_path: Path
) -> None:
    load = request.getfixturevalue(loader)
    whole = dict(served.files)
    served.files |= {name: content[:-20] + bytes(20) for name, content in whole.items()}
    with pytest.raises(DatasetError, match=r"could not be downloaded .* BATCHTIME_DATASETS") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)
    served.files |= whole
    assert len(load(tmp_path)[0].targets) > 0


@LOADERS
def test_a_download_that_is_cut_off_half_way_is_refused_and_made_good_by_the_next_call(
    loader: str, request: pytest.FixtureRequest, served: Served, tmp_path: Path
) -> None:
    load = request.getfixturevalue(loader)
    served.cut_at = min(map(len, served.files.values())) // 2
    with pytest.raises(DatasetError, match=r"could not be downloaded .* BATCHTIME_DATASETS") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)
    served.cut_at = None
    assert len(load(tmp_path)[0].targets) > 0


def test_the_archive_of_europarl_goes_on_where_it_was_cut_off(
    tiny_europarl: Callable[[Path], Split], served: Served, tmp_path: Path
) -> None:
    served.cut_at = 20_000
    for _ in range(2):
        with pytest.raises(DatasetError, match="could not be downloaded"):
            tiny_europarl(tmp_path)
    served.cut_at = None
    tiny_europarl(tmp_path)
    # Whole blocks of 16 KiB are kept of what came.
    assert [wanted for _, wanted in served.asked] == [None, "bytes=16384-", "bytes=32768-"]


def test_mnist_and_cifar_are_images_and_labels_with_the_last_ones_apart(
    tiny_mnist: Callable[[Path], Split], tiny_cifar: Callable[[Path], Split], tmp_path: Path
) -> None:
    train, validation = tiny_mnist(tmp_path)
    assert train.inputs.shape == (200, 1, 28, 28)
    assert validation.inputs.shape == (1000, 1, 28, 28)
    assert float(train.inputs[0].mean()) > float(train.inputs[1].mean())
    train, validation = tiny_cifar(tmp_path)
    assert train.inputs.shape == (500, 3, 32, 32)
    assert validation.inputs.shape == (2000, 3, 32, 32)
    everything = torch.cat([train.inputs, validation.inputs])
    assert torch.allclose(everything.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(everything.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-5)


def test_half_of_cifar_is_named_with_the_remedy(tiny_cifar: Callable[[Path], Split], tmp_path: Path) -> None:
    tiny_cifar(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(DatasetError, match=r"lacks data_batch_3: half a download; delete that folder"):
        tiny_cifar(tmp_path)


@pytest.fixture(scope="module")
def whole_europarl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which a Europarl is laid out by the first test that wants one."""
    return tmp_path_factory.mktemp("whole")


@pytest.fixture
def own_europarl(tiny_europarl: Callable[[Path], Split], whole_europarl: Path, tmp_path: Path) -> Path:
    """Return the folder of a Europarl that a test may damage."""
    if not (whole_europarl / "europarl").exists():
        tiny_europarl(whole_europarl)
    return Path(shutil.copytree(whole_europarl / "europarl", tmp_path / "europarl"))


def test_the_parts_of_europarl_are_distinct_aligned_pairs(own_europarl: Path) -> None:
    train, held_out = (europarl.read_pairs(own_europarl, part) for part in europarl.PARTS)
    assert len(held_out) == 5000
    assert len(train) == 8000 - 5000 - 3  # two pairs were there twice, and one was too short
    assert len(set(train + held_out)) == len(train) + len(held_out)
    assert list(zip(sentences(8000, 1), sentences(8000, 2), strict=True)).index(train[50]) in range(50, 54)


def test_a_sentence_comes_back_from_its_pieces(own_europarl: Path) -> None:
    train, _ = europarl.load_europarl(own_europarl.parent)
    pair = europarl.read_pairs(own_europarl, "train200k")[0]
    for side, language in enumerate(europarl.LANGUAGES):
        row = train.inputs[0, side].tolist()
        assert row[0] == europarl.BEGIN
        assert row[row.index(europarl.END) + 1 :] == [europarl.PAD] * (europarl.LONGEST - row.index(europarl.END) - 1)
        known = europarl.vocabulary(own_europarl, language)
        assert known.decode(row[: row.index(europarl.END)]) == pair[side]


def test_the_target_of_a_sentence_is_the_mean_number_of_pieces_that_are_guessed(own_europarl: Path) -> None:
    train, _ = europarl.load_europarl(own_europarl.parent)
    guessed = (train.inputs[:, 1] != europarl.PAD).sum(dim=1) - 1
    assert float(train.targets[0]) == pytest.approx(float(guessed.double().mean()))


def test_a_vocabulary_is_the_same_when_it_is_made_again(own_europarl: Path) -> None:
    (path,) = own_europarl.glob("pieces-*.fr")
    before = path.read_bytes()
    path.unlink()
    europarl.vocabulary(own_europarl, "fr")
    assert path.read_bytes() == before


def test_sides_of_different_length_are_refused(own_europarl: Path) -> None:
    path = own_europarl / "heldout5k.en"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-7]))
    with pytest.raises(DatasetError, match=r"heldout5k.fr and .en have 5000 and 4993 lines: not aligned; delete"):
        europarl.load_europarl(own_europarl.parent)


def test_an_empty_sentence_is_refused_by_its_line(own_europarl: Path) -> None:
    path = own_europarl / "heldout5k.fr"
    lines = path.read_text().split("\n")
    lines[41] = " "
    path.write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=r"heldout5k.fr, line 42: an empty sentence; delete the line on both sides"):
        europarl.load_europarl(own_europarl.parent)


def test_half_of_europarl_is_named_with_the_remedy(own_europarl: Path) -> None:
    (own_europarl / "train200k.en").unlink()
    with pytest.raises(DatasetError, match=r"lacks train200k.en: half a data set; delete"):
        europarl.load_europarl(own_europarl.parent)


def test_a_vocabulary_of_another_size_is_refused(own_europarl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = own_europarl.glob("pieces-*.fr")
    monkeypatch.setattr(europarl, "PIECES", 61)
    path.rename(path.with_name(path.name.replace("pieces-60", "pieces-61")))
    with pytest.raises(DatasetError, match=r"has 60 pieces, expected 61; delete .*pieces-61"):
        europarl.load_europarl(own_europarl.parent)


def test_what_is_no_vocabulary_is_refused(own_europarl: Path) -> None:
    (path,) = own_europarl.glob("pieces-*.en")
    path.write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"is no vocabulary; delete"):
        europarl.load_europarl(own_europarl.parent)


def test_what_is_not_the_archive_is_refused(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.files["fr-en.tgz"] = packed({"other": b"text"})
    monkeypatch.setattr(europarl, "ARCHIVE", served.address + "fr-en.tgz")
    monkeypatch.setattr(europarl, "SHA256", hashlib.sha256(served.files["fr-en.tgz"]).hexdigest())
    with pytest.raises(DatasetError, match=r"is not Europarl's archive"):
        europarl.load_europarl(tmp_path)

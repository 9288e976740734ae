"""Promises of the data folder: nothing recorded is lost, doubled or silently changed."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from batchtime.book.teaching.results import read_observations
from batchtime.errors import StoreError
from batchtime.fit.measurements import Observation
from batchtime.runs.provenance import find_checkout
from batchtime.runs.store import Store, writing

from .builders import record, write_observations


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store(tmp_path)


def fill(store: Store, seeds: range) -> Path:
    """Write one record a seed and return the file."""
    path = store.runs_file("a")
    with writing(path) as writer:
        for seed in seeds:
            writer.append(record(seed=seed))
    return path


def test_what_is_written_is_read(store: Store) -> None:
    fill(store, range(3))
    assert store.runs("a") == [record(seed=seed) for seed in range(3)]
    assert store.runs("b") == []


def test_published_runs_and_own_runs_are_both_read(tmp_path: Path) -> None:
    fill(Store(tmp_path, recording=True), range(2))
    fill(Store(tmp_path), range(2, 3))
    assert [run.seed for run in Store(tmp_path).runs("a")] == [0, 1, 2]


def test_each_line_is_one_object_with_batch_size_and_seed(store: Store) -> None:
    import json

    lines = fill(store, range(2)).read_text().splitlines()
    assert [(json.loads(line)["batch_size"], json.loads(line)["seed"]) for line in lines] == [(8, 0), (8, 1)]


def test_a_torn_last_line_is_put_aside_and_nothing_else_is_touched(store: Store) -> None:
    path = fill(store, range(3))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert [run.seed for run in store.runs("a")] == [0, 1]
    fill(store, range(3, 4))
    assert [run.seed for run in store.runs("a")] == [0, 1, 3]
    assert path.with_suffix(".torn").read_bytes() == whole.splitlines(keepends=True)[2][:-40] + b"\n"


def test_a_flipped_bit_is_seen_and_its_line_named(store: Store) -> None:
    path = fill(store, range(3))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"upper":20', b'"upper":21')
    path.write_bytes(b"".join(lines))
    with pytest.raises(StoreError, match=r"a\.jsonl, line 2 is damaged"):
        store.runs("a")


def test_a_record_of_another_form_is_refused_by_line(store: Store) -> None:
    import zlib

    path = fill(store, range(1))
    body = b'{"batch_size":1,"seed":0}'
    with path.open("ab") as file:
        file.write(body[:-1] + b',"crc32":"%08x"}\n' % zlib.crc32(body))
    with pytest.raises(StoreError, match=r"line 2 is no record of this version"):
        store.runs("a")


def test_two_writers_at_once_are_refused(store: Store) -> None:
    path = store.runs_file("a")
    with writing(path), pytest.raises(StoreError, match="another process is writing"), writing(path):
        pass


def test_a_missing_data_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no data folder .*absent"):
        Store(tmp_path / "absent").runs("a")


def test_a_full_disk_loses_no_recorded_run(store: Store) -> None:
    path = fill(store, range(3))
    size = path.stat().st_size
    limit = size + 100  # less than a record: the next write stops in the middle
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with writing(path) as writer, pytest.raises(StoreError, match="cannot write to"):
            writer.append(record(seed=3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.stat().st_size == size
    fill(store, range(3, 4))
    assert [run.seed for run in store.runs("a")] == [0, 1, 2, 3]


def test_a_writer_killed_at_any_moment_loses_no_record_that_was_acknowledged(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from tests.builders import record\n"
        "from batchtime.runs.store import Store, writing\n"
        "with writing(Store(Path(sys.argv[1])).runs_file('a')) as writer:\n"
        "    for seed in range(10**6):\n"
        "        writer.append(record(seed=seed)); print(seed, flush=True)\n"
    )
    top = str(Path(__file__).parents[1])
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), top], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(50)]
    process.kill()
    acknowledged += [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    seeds = [run.seed for run in Store(tmp_path).runs("a")]
    assert seeds == list(range(len(seeds)))
    assert len(seeds) >= len(acknowledged)


def write(tmp_path: Path, text: str) -> Path:
    """Write a table of measurements."""
    path = tmp_path / "table.csv"
    path.write_text(text)
    return path


def test_a_table_of_ones_own_is_read_with_all_its_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "batch_size,updates,seed,updates_lower,censored\n8,100,1,90,false\n\n8,120,2,,\n16,50,1,0,FALSE\n4,999,1,0,true\n",
    )
    assert read_observations(path) == [
        Observation(batch_size=8, lower=90, upper=100, seed=1),
        Observation(batch_size=8, lower=120, upper=120, seed=2),
        Observation(batch_size=16, lower=0, upper=50, seed=1),
        Observation(batch_size=4, lower=999, upper=None, seed=1),
    ]


def test_observations_survive_a_table(tmp_path: Path) -> None:
    seen = [
        Observation(batch_size=8, lower=90, upper=100, seed=1),
        Observation(batch_size=16, lower=50, upper=50),
        Observation(batch_size=4, lower=999, upper=None, seed=0),
    ]
    write_observations(tmp_path / "table.csv", seen)
    assert read_observations(tmp_path / "table.csv") == seen


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("batch_size,updates\n8,many\n", "line 2, column updates, value 'many'"),
        ("batch_size,updates\n8,-5\n", "line 2, column updates, value '-5'"),
        ("batch_size,updates\n0,5\n", "line 2, column batch_size, value '0'"),
        ("batch_size,updates\n8,nan\n", "line 2, column updates, value 'nan'"),
        ("batch_size,updates\n8,inf\n", "line 2, column updates, value 'inf'"),
        ("batch_size,updates\n8,1e300\n", "line 2, column updates, value '1e300'"),
        ("batch_size,updates,seed\n8,5,1.5\n", "line 2, column seed, value '1.5': allowed is a whole number"),
        ("batch_size,updates\n8,\n", "line 2, column updates, value ''"),
        ("batch_size,updates\n8\n", "line 2 has more or fewer cells"),
        ("batch_size,updates\n8,5,7\n", "line 2 has more or fewer cells"),
        ("batch_size,updates,censored\n8,5,perhaps\n", "line 2, column censored, value 'perhaps'"),
        ("batch_size,updates,updates_lower\n8,5,6\n", "line 2, column updates_lower, value '6'"),
        ("batch_size;updates\n8;5\n", "header 'batch_size;updates'; separate cells with commas"),
        ('batch_size,updates\n8,"5\n9,7\n', "cannot read"),
        ("batch_size,steps\n8,5\n", "lacks column updates"),
        ("batch_size,updates,lr\n8,5,1\n", "unknown or repeated columns \\['lr'\\]"),
        ("batch_size,updates\n", "no rows"),
        ("", "lacks column batch_size"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_line_column_and_value(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(StoreError, match=reason):
        read_observations(write(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*absent\.csv"):
        read_observations(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(os.urandom(64) + b"\xff\xfe")
    with pytest.raises(StoreError, match=r"cannot read .*binary\.csv"):
        read_observations(tmp_path / "binary.csv")


def test_a_checkout_is_known_by_what_lies_in_it_and_not_by_how_deep(tmp_path: Path) -> None:
    for folder in ("notebooks", "src/batchtime/deep/deeper"):
        (tmp_path / "here" / folder).mkdir(parents=True)
    (tmp_path / "here" / "pyproject.toml").touch()
    assert find_checkout(tmp_path / "here" / "src" / "batchtime" / "deep" / "deeper" / "module.py") == tmp_path / "here"
    assert find_checkout(tmp_path / "elsewhere" / "site-packages" / "batchtime" / "module.py") is None

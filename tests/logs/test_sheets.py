"""Tables as people save them are read as what they mean, and what is doubtful is asked for, never guessed."""

import gzip
import io
import os
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtime.errors import LogError, ParameterError
from batchtime.fit.measurements import Observation, observations_of, timings_of
from batchtime.logs import numbers
from batchtime.logs.sheets import read_runs, read_timings

RUNS = "batch_size,updates\n8,1464\n8,1431\n16,812\n64,341\n"
OBJECTS = (
    '{"batch_size": 8, "updates": 1464}; {"batch_size": 8, "updates": 1431}; {"updates": 812, "batch_size": 16}; '
    '{"batch_size": 64, "updates": 341.0}'
)
SEEN = [
    Observation(batch_size=size, lower=updates, upper=updates)
    for size, updates in ((8, 1464), (8, 1431), (16, 812), (64, 341))
]


def write(path: Path, content: str | bytes) -> Path:
    """Write a table."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def notices(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return what was said of how tables were read."""
    found: tuple[str, ...] = frame.attrs["notices"]
    return found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (RUNS, ()),
        (RUNS.replace(",", ";"), ()),
        (RUNS.replace(",", "\t"), ()),
        (RUNS.replace("\n", "\r\n"), ()),
        ("\n" + RUNS.replace("\n", "\n\n"), ()),
        (b"\xef\xbb\xbf" + RUNS.encode(), ()),
        (RUNS.encode("utf-16"), ()),
        (b"\xfe\xff" + RUNS.replace(",", "\t").encode("utf-16-be"), ()),
        (gzip.compress(RUNS.encode()), ()),
        ("sep=;\n" + RUNS.replace(",", ";"), ()),
        (RUNS.replace(",", ";").replace("\n", ",0\n").replace("s,0", "s"), ("read commas as decimal marks",)),
        (RUNS.replace(",1464", ',"1,464"').replace(",1431", ',"1,431"'), ("read '1,464' as 1464",)),
        (RUNS.replace("1464", "1 464").replace("1431", "1'431"), ()),
        (RUNS.replace(",", ";").replace("1464", "1.464,0"), ("read commas as decimal marks",)),
        (RUNS.replace("1464", '"1,464.0"'), ()),
        (",batch_size,updates\n0,8,1464\n1,8,1431\n2,16,812\n3,64,341\n", ()),
        (RUNS.replace("\n", ",A100,\n").replace("s,A100,", "s,gpu,notes"), ("left out columns gpu, notes",)),
        ("updates,batch_size,\n1464,8,\n1431,8,\n812,16,\n341,64,\n", ()),
        (
            RUNS.replace("batch_size,updates", "Batch Size, Steps"),
            ("read column 'Batch Size' as batch_size", "read column 'Steps' as updates"),
        ),
        (
            RUNS.replace("batch_size,updates", "BS,iterations"),
            ("read column 'BS' as batch_size", "read column 'iterations' as updates"),
        ),
        (OBJECTS.replace("; ", "\n"), ()),
        ("[" + OBJECTS.replace("; ", ",\n") + "]\n", ()),
    ],
)
def test_a_table_is_read_however_it_was_saved(tmp_path: Path, content: str | bytes, said: tuple[str, ...]) -> None:
    frame = read_runs(write(tmp_path / "table", content))
    assert observations_of(frame) == SEEN
    assert notices(frame) == said


def test_a_table_with_all_its_columns_is_read(tmp_path: Path) -> None:
    header = "batch_size,updates,seed,updates_lower,censored"
    text = f"{header}\n8,100,1,90,false\n\n8,120,2,,\n16,50,1,0,FALSE\n4,999,1,0,yes\n"
    frame = read_runs(write(tmp_path / "a.csv", text))
    assert observations_of(frame) == [
        Observation(batch_size=8, lower=90, upper=100, seed=1),
        Observation(batch_size=8, lower=120, upper=120, seed=2),
        Observation(batch_size=16, lower=0, upper=50, seed=1),
        Observation(batch_size=4, lower=999, upper=None, seed=1),
    ]


def test_a_column_of_runs_that_reached_the_target_is_the_opposite_of_censored(tmp_path: Path) -> None:
    frame = read_runs(write(tmp_path / "a.csv", "batch_size,updates,reached\n8,100,true\n8,999,false\n8,110,\n"))
    assert list(frame["censored"]) == [False, True, False]


def test_several_tables_and_learning_rates_are_put_together(tmp_path: Path) -> None:
    one = write(tmp_path / "a.csv", "batch_size,updates,lr\n8,100,0.1\n")
    other = write(tmp_path / "b.csv", "Batch;updates;learning_rate\n16;60;0,25\n")
    frame = read_runs([one, other])
    assert list(frame["batch_size"]) == [8, 16]
    assert list(frame["learning_rate"]) == [0.1, 0.25]


def test_standard_input_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(RUNS.encode())))
    assert observations_of(read_runs("-")) == SEEN


def test_epochs_are_updates_once_the_examples_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "batch_size,epochs\n8,2\n64,3\n")
    assert list(read_runs(path, examples=100)["updates"]) == [2 * 13, 3 * 2]  # 12.5 and 1.6, the last one smaller
    with pytest.raises(LogError, match="counts epochs in column epochs; give --examples N"):
        read_runs(path)
    with pytest.raises(ParameterError, match="--examples = 0"):
        read_runs(path, examples=0)


@pytest.mark.parametrize(
    ("header", "cells", "seconds"),
    [
        ("seconds", ("0.004", "0.008"), (0.004, 0.008)),
        ("ms", ("4", "8.0"), (0.004, 0.008)),
        ("Time (ms)", ("4", "8.0"), (0.004, 0.008)),
        ("samples_per_second", ("2000", "8000"), (0.004, 0.008)),
        ("images/s", ("2000", "8000"), (0.004, 0.008)),
        ("steps/s", ("250", "125"), (0.004, 0.008)),
        ("µs", ("4000", "8000"), (0.004, 0.008)),
    ],
)
def test_durations_are_read_in_the_unit_that_the_header_names(
    tmp_path: Path, header: str, cells: tuple[str, str], seconds: tuple[float, float]
) -> None:
    frame = read_timings(write(tmp_path / "a.csv", f"batch_size,{header}\n8,{cells[0]}\n64,{cells[1]}\n"))
    assert list(frame["seconds"]) == pytest.approx(seconds)
    assert bool(notices(frame)) == (header != "seconds")


def test_durations_are_gathered_by_batch_size_with_cpu_seconds_beside_them(tmp_path: Path) -> None:
    text = "batch_size,seconds,cpu_seconds\n8,0.2,0.1\n4,0.3,\n8,0.25,0.2\n"
    small, large = timings_of(read_timings(write(tmp_path / "a.csv", text)))
    assert (small.batch_size, small.wall_seconds, small.cpu_seconds) == (4, (0.3,), (0.3,))
    assert (large.batch_size, large.wall_seconds, large.cpu_seconds) == (8, (0.2, 0.25), (0.1, 0.2))


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
        ("batch_size,updates,lr\n8,5,0\n", "line 2, column lr, value '0': allowed is a number more than 0, or empty"),
        ('batch_size,updates\n8,"5\n9,7\n', "cannot read"),
        ("batch_size,duration\n8,5\n", "lacks column updates"),
        ("batch_size,updates,updates\n8,5,5\n", "may both be updates, repeated"),
        ("batch_size,steps,iterations\n8,5,5\n", "columns 'steps' and 'iterations' may both be updates"),
        ("batch_size,updates,censord\n8,5,1\n", "column 'censord' is nearly 'censored'"),
        ("batch_size,updates\n", "no rows"),
        ("", "is empty"),
        ('batch_size,updates,note\n8,5,"two\nlines"\n8,x,\n', "line 4, column updates, value 'x'"),
        ("sep=;\nbatch_size;updates\n8;x\n", "line 3, column updates, value 'x'"),
        ("\nbatch_size,updates\n\n8,x\n", "line 4, column updates, value 'x'"),
        ('{"batch_size": 8, "updates": "soon"}\n', "line 1, column updates, value 'soon'"),
        ('{"batch_size": 8, "updates": 5}\n{"batch_size"\n', "line 2 is no JSON object"),
        ('{"batch_size": 8, "updates": 5}\n{"batch_size": 8}\n', "line 2, column updates, value ''"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_line_column_and_value(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(LogError, match=reason) as refused:
        read_runs(write(tmp_path / "a.csv", text))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("batch_size,updates\n4,1\n", "lacks column seconds"),
        ("batch_size,time\n4,1\n", "lacks column seconds"),  # of what unit?
        ("batch_size,seconds\n4,none\n", "line 2, column seconds, value 'none'"),
        ("batch_size,seconds\n4.5,1\n", "line 2, column batch_size, value '4.5': allowed is a whole number"),
        ("batch_size,seconds\n0,1\n", "line 2, column batch_size, value '0'"),
        ("batch_size,seconds\n4\n", "more or fewer cells"),
        ("batch_size,seconds\n", "no rows"),
        ("batch_size,seconds,cpu_seconds\n4,1,-1\n", "line 2, column cpu_seconds, value '-1'"),
    ],
)
def test_a_table_of_durations_that_cannot_be_used_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(LogError, match=reason):
        read_timings(write(tmp_path / "a.csv", text))


@pytest.mark.parametrize(
    "text",
    [
        "batch_size,updates\n8,14.640\n16,8.120\n",
        "batch_size;updates\n8;14,640\n16;8,120\n",
        "batch_size\tupdates\n8\t14.640\n16\t812\n",
    ],
)
def test_a_doubtful_number_ends_with_the_option_that_settles_it(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(LogError, match=r"line 2, column updates, value '14[.,]640' is doubtful: .* --decimal"):
        read_runs(path)
    thousands, fraction = (",", ".") if "." in text else (".", ",")
    assert read_runs(path, decimal=thousands)["updates"].iloc[0] == 14640
    assert read_runs(path, decimal=fraction)["updates"].iloc[0] == 14.64
    with pytest.raises(ParameterError, match="--decimal = 'comma'"):
        read_runs(path, decimal="comma")


def test_a_number_that_tells_its_mark_settles_those_that_do_not(tmp_path: Path) -> None:
    german = write(tmp_path / "a.csv", "batch_size;updates;lr\n8;14.640;0,1\n")
    english = write(tmp_path / "b.csv", "batch_size;updates;lr\n8;14.640;0.1\n")
    assert list(read_runs([german, english])["updates"]) == [14640, 14.64]
    with pytest.raises(LogError, match=r"value '0\.1' has a decimal point and .*value '7,5' a decimal comma"):
        read_runs(write(tmp_path / "c.csv", "batch_size;updates;lr\n8;7,5;0.1\n"))


def test_what_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"cannot read .*absent\.csv"):
        read_runs(tmp_path / "absent.csv")
    with pytest.raises(LogError, match=r"cannot read .*binary\.csv"):
        read_runs(write(tmp_path / "binary.csv", os.urandom(64) + b"\xff\xfe"))
    with pytest.raises(LogError, match=r"cannot read .*cut\.csv\.gz"):
        read_runs(write(tmp_path / "cut.csv.gz", gzip.compress(RUNS.encode())[:-12]))


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_a_number_is_read_as_it_is_written_in_either_country(value: float) -> None:
    english = f"{value:,.4f}"
    german = english.translate(str.maketrans(",.", ".,"))
    rounded = float(f"{value:.4f}")
    assert numbers.number(english, ".") == numbers.number(german, ",") == rounded
    assert numbers.number(repr(value), ".") == value


@pytest.mark.parametrize(
    "text", ["1,46", "12,3456", "1,464,5", "01,464", ",", ".", "1.2.3", "0x10", "1_000", "--1", "8 16"]
)
def test_a_number_that_is_grouped_wrongly_is_none(text: str) -> None:
    assert numbers.number(text, ".") is None


def test_ten_times_the_rows_take_no_more_than_twenty_times_as_long(tmp_path: Path) -> None:
    spent = []
    for count in (10_000, 100_000):
        rows = "".join(f"{2 ** (i % 10)},{i + 100}.5,{i},{i},false,0.1\n" for i in range(count))
        path = write(tmp_path / f"{count}.csv", f"batch_size,updates,seed,updates_lower,censored,lr\n{rows}")
        begun = time.process_time()
        assert len(observations_of(read_runs(path))) == count
        spent.append(time.process_time() - begun)
    assert spent[1] < 20 * spent[0]

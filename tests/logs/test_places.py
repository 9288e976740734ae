"""Forms of logs beside those that write.py leaves: exports, checkpoints, several files of one run."""

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from batchtime.errors import LogError
from batchtime.logs import plain_text
from batchtime.logs.read import FORMATS, Logs, read_logs

DATA = Path(__file__).parent / "data"


def write(path: Path, text: str) -> Path:
    """Write a log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rows(logs: Logs) -> list[tuple[float, float, float]]:
    """Return batch size and interval of each run."""
    return [
        (float(size), float(lower), float(updates))
        for size, lower, updates in zip(
            logs.runs["batch_size"], logs.runs["updates_lower"], logs.runs["updates"], strict=True
        )
    ]


def test_the_history_of_a_run_that_weights_and_biases_exports_is_read(tmp_path: Path) -> None:
    text = "_step,_timestamp,train_loss,val_loss,batch_size\n9,1000.5,1.0,,32\n10,1001.5,,0.5,32\n19,1002.0,0.4,,32\n"
    logs = read_logs(write(tmp_path / "run.csv", text + "20,1003.0,,0.2,32\n"), metric="val_loss", at_most=0.3)
    assert rows(logs) == [(32, 10, 20)]
    assert list(logs.timings["seconds"]) == pytest.approx([0.5 / 9])  # from update 10 on, after its evaluation
    assert any("column '_step' was read as updates" in notice for notice in logs.notices)


def test_a_chart_that_weights_and_biases_exports_has_a_run_a_column(tmp_path: Path) -> None:
    header = '"Step","bs8-s0 - val_loss","bs8-s0 - val_loss__MIN","bs8-s0 - val_loss__MAX","bs16-s1 - val_loss"\n'
    text = header + '"10","0.9","0.9","0.9","0.5"\n"20","0.4","0.4","0.4",""\n"30","0.2","0.2","0.2","0.1"\n'
    path = write(tmp_path / "chart.csv", text)
    logs = read_logs(path, metric="val_loss", at_most=0.3, batch_size_from=r"bs(\d+)", seed_from=r"-s(\d+)")
    assert rows(logs) == [(8, 20, 30), (16, 10, 30)]
    assert list(logs.runs["seed"]) == [0, 1]
    assert list(logs.evaluations["run"].unique()) == [f"{path}/bs8-s0", f"{path}/bs16-s1"]
    with pytest.raises(LogError, match=r"no line holds the metric 'loss'; nearest are: val_loss"):
        read_logs(path, metric="loss", at_most=0.3, batch_size_from=r"bs(\d+)")


def test_the_last_checkpoint_of_a_run_stands_for_it(tmp_path: Path) -> None:
    for updates in (20, 40, 100):
        history = [{"step": step, "epoch": 1, "eval_loss": 5 / step} for step in range(10, updates + 1, 10)]
        state = {"train_batch_size": 8, "log_history": history}
        write(tmp_path / "out" / f"checkpoint-{updates}" / "trainer_state.json", json.dumps(state))
    logs = read_logs(tmp_path, metric="eval_loss", at_most=0.1, batches_per_update=2)
    assert rows(logs) == [(16, 40, 50)]
    assert logs.formats == {"the Hugging Face Trainer": 1}
    with pytest.raises(LogError, match=r"8 is the batch size of one device.*--batches-per-update"):
        read_logs(tmp_path, metric="eval_loss", at_most=0.1)
    write(tmp_path / "out" / "checkpoint-100" / "trainer_state.json", '{"log_history": [')
    with pytest.raises(LogError, match=r"checkpoint-100/trainer_state\.json is no whole trainer_state\.json"):
        read_logs(tmp_path, metric="eval_loss", at_most=0.1, batches_per_update=2)


def test_event_files_that_are_cut_off_are_read_up_to_there(tmp_path: Path) -> None:
    run = tmp_path / "bs8-seed0"
    shutil.copytree(DATA / "tensorboard" / "bs8-seed0", run)
    whole = read_logs(run, metric="loss/validation", at_most=0.3)
    longest = max(run.iterdir(), key=lambda file: file.stat().st_size)
    longest.write_bytes(longest.read_bytes()[:-5])
    cut = read_logs(run, metric="loss/validation", at_most=0.3)
    assert len(cut.evaluations) == len(whole.evaluations) - 1
    assert any("its last record is cut off or damaged and was left out" in notice for notice in cut.notices)


def test_the_two_folders_that_keras_writes_for_tensorboard_are_one_run(tmp_path: Path) -> None:
    source = DATA / "tensorboard" / "bs8-seed0"
    for folder in ("train", "validation"):
        shutil.copytree(source, tmp_path / "run" / folder)
    logs = read_logs(tmp_path, metric="loss/validation", at_most=0.3)
    assert logs.formats == {"TensorBoard": 1}
    assert list(logs.evaluations["run"].unique()) == [str(tmp_path / "run")]


def test_epochs_that_keras_wrote_as_tensors_are_read(tmp_path: Path) -> None:
    writer = EventFileWriter(str(tmp_path / "bs16" / "validation"))
    for epoch, loss in enumerate((0.5, 0.2)):
        for name, step in (("epoch_loss", epoch), ("evaluation_loss_vs_iterations", 10 * (epoch + 1))):
            value = Summary.Value(tag=name, tensor=make_tensor_proto(loss))
            writer.add_event(Event(step=step, wall_time=100.0 + epoch, summary=Summary(value=[value])))
    writer.close()
    for metric, interval in (("epoch_loss", (4.0, 8.0)), ("evaluation_loss_vs_iterations", (10.0, 20.0))):
        logs = read_logs(tmp_path, metric=metric, at_most=0.3, examples=64, batch_size_from=r"bs(\d+)")
        assert rows(logs) == [(16, *interval)]


def test_hyperparameters_that_lightning_wrote_as_python_objects_do_not_hide_the_numbers(tmp_path: Path) -> None:
    yaml = "activation: !!python/object/apply:torch.nn.ReLU\n- null\ndata:\n  batch_size: 16\nlr: 1.0e-02\nseed: 3\n"
    write(tmp_path / "v0" / "hparams.yaml", yaml + "accumulate_grad_batches: 4\n")
    write(tmp_path / "v0" / "metrics.csv", "epoch,step,val_loss\n0,9,0.5\n1,19,0.2\n")
    logs = read_logs(tmp_path, metric="val_loss", at_most=0.3)
    assert rows(logs) == [(64, 10, 20)]  # Lightning counts updates from 0
    assert (logs.runs["learning_rate"].iloc[0], logs.runs["seed"].iloc[0]) == (0.01, 3)


def test_epochs_need_the_examples_of_one(tmp_path: Path) -> None:
    path = write(tmp_path / "bs64.csv", "epoch;loss;val_loss\n0;1;0.5\n1;0.5;0.2\n")
    asked = {"metric": "val_loss", "at_most": 0.3, "batch_size_from": r"bs(\d+)"}
    with pytest.raises(LogError, match="counts epochs; give --examples N"):
        read_logs(path, **asked)  # type: ignore[arg-type]
    assert rows(read_logs(path, examples=100, **asked)) == [(64, 2, 4)]  # type: ignore[arg-type]
    counted_from_1 = write(tmp_path / "bs32.csv", "epoch,loss,val_loss\n1,1,0.5\n2,0.5,0.2\n")
    assert rows(read_logs(counted_from_1, examples=100, **asked)) == [(32, 4, 8)]  # type: ignore[arg-type]


def test_mlperf_counts_examples_where_it_tells_them(tmp_path: Path) -> None:
    events: list[dict[str, object]] = [
        {"key": "global_batch_size", "value": 32, "time_ms": 0},
        {"key": "gradient_accumulation_steps", "value": 4, "time_ms": 0},
        {"key": "run_start", "value": None, "time_ms": 1000},
        {"key": "eval_accuracy", "value": 0.5, "time_ms": 2000, "metadata": {"samples_count": 320}},
        {"key": "eval_accuracy", "value": 0.9, "time_ms": 3000, "metadata": {"samples_count": 640}},
    ]
    text = "starting\n" + "".join(f"0: :::MLLOG {json.dumps(event)}\nnoise\n" for event in events)
    logs = read_logs(write(tmp_path / "result_0.txt", text), metric="eval_accuracy", at_least=0.8)
    assert rows(logs) == [(32, 10, 20)]
    damaged = text.replace('"value": 0.5', '"value": 0.')
    with pytest.raises(LogError, match=r"result_1\.txt, line 8 is no whole line of MLPerf's log"):
        read_logs(write(tmp_path / "result_1.txt", damaged), metric="eval_accuracy", at_least=0.8)


def test_settings_on_a_line_of_their_own_hold_for_the_run(tmp_path: Path) -> None:
    text = '{"batch_size": 8, "lr": 0.1, "seed": 5}\n{"step": 10, "val_loss": 0.5}\n{"step": 20, "val_loss": 0.1}\n'
    runs = read_logs(write(tmp_path / "a.jsonl", text), metric="val_loss", at_most=0.3).runs
    assert (runs["batch_size"].iloc[0], runs["learning_rate"].iloc[0], runs["seed"].iloc[0]) == (8, 0.1, 5)


def test_dates_and_times_of_day_are_time_stamps(tmp_path: Path) -> None:
    text = "batch size 8\n" + "".join(f"12:0{n}:00 step {100 * n} loss 1\n" for n in range(1, 5)) + "step 400 val 0.1\n"
    line = [
        r"batch size (?P<batch_size>\d+)",
        r"(?P<time>[\d:]+) step (?P<step>\d+)",
        r"step (?P<step>\d+) val (?P<value>.*)",
    ]
    logs = read_logs(write(tmp_path / "a.log", text), metric="val", at_most=0.3, line=line)
    assert list(logs.runs["batch_size"]) == [8]
    assert logs.timings["seconds"].to_numpy() == pytest.approx(0.6)
    with pytest.raises(LogError, match=r"a\.log, line 2: time stamp '12:01:00 step' is neither"):
        read_logs(tmp_path / "a.log", metric="val", at_most=0.3, line=[r"(?P<time>\S+ step) (?P<step>\d+)", *line[2:]])


@pytest.mark.parametrize("kind", [*FORMATS, plain_text])
def test_a_format_is_a_module_of_at_most_80_lines_that_claims_no_file_of_another(
    kind: ModuleType, tmp_path: Path
) -> None:
    assert len(Path(str(kind.__file__)).read_text().splitlines()) <= 80
    assert not kind.matches(write(tmp_path / "photo.png", "\0"), "")

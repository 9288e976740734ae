"""Promises of a workload of one's own: any importable function, refused by name where it cannot be trained."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from batchtime import cli
from batchtime.errors import DatasetError, ParameterError, WorkloadError
from batchtime.plan.verify import compare
from batchtime.runs.spec import RunSpec, Target, Workload
from batchtime.runs.store import Store
from batchtime.train.datasets import examples_of
from batchtime.train.own import own_experiment
from batchtime.train.sweep import OtherCode, complete, recorded, sweep, train
from batchtime.train.workloads import build, own

REGRESSION = "batchtime.train.samples.regression:regression"
MODULE = """
import torch
from torch import nn
from batchtime.train.datasets import Examples
from batchtime.runs.spec import Target
from batchtime.train.workloads import Task

def squares(outputs, targets):
    return (outputs.squeeze(1) - targets).square()

def numbers(count):
    inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(count))
    return Examples(inputs=inputs, targets=inputs.sum(dim=1))

def model():
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 1))

def good(**changes):
    start = dict(model=model, train=numbers(200), validation=numbers(50), loss=squares, metrics={"squares": squares})
    return Task(**(start | dict(target=Target(metric="squares", value=0.5), learning_rate=0.02) | changes))

def mean_loss():
    return good(loss=lambda outputs, targets: squares(outputs, targets).mean())

def other_metric():
    return good(target=Target(metric="error", value=0.5))

def no_target():
    return good(target=None)

def other_shape():
    return good(model=lambda: nn.Linear(5, 1))

def unpaired():
    return good(train=Examples(inputs=torch.zeros(3, 4), targets=torch.zeros(2)))

def nothing():
    return None

def already():
    return good(metrics={"accurate": lambda outputs, targets: (squares(outputs, targets) < 0.01).float()},
                target=Target(metric="accurate", value=0.9))

def frozen_step():
    return good(step=lambda model, batch, optimizer: 1 / 0)

def stops():
    raise ValueError("no such file")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the file of a module of one's own, importable."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would outlive a change within the same second
    yield folder / "mine.py"
    sys.modules.pop("mine", None)
    own.cache_clear()


def forget() -> None:
    """Do as a new process does, which has imported nothing."""
    sys.modules.pop("mine", None)
    own.cache_clear()


@pytest.mark.usefixtures("module")
def test_worker_processes_train_a_function_of_ones_own_as_this_process_does(tmp_path: Path) -> None:
    chosen = own_experiment("mine:good", batch_sizes=[8, 32], seeds=2)
    records = complete(chosen.sweep, name=chosen.name, store=Store(tmp_path), workers=1)
    here = [train(spec) for spec in chosen.sweep.runs()]
    assert [(r.outcome, r.evaluations) for r in records] == [(r.outcome, r.evaluations) for r in here]
    assert all(record.outcome.status == "reached" for record in records)


@pytest.mark.usefixtures("module")
def test_dropout_belongs_to_the_seed_and_is_off_in_evaluation() -> None:
    spec = own_experiment("mine:good", batch_sizes=[8]).sweep.runs()[0]
    torch.manual_seed(1)
    first = train(spec)
    torch.manual_seed(2)
    assert train(spec).evaluations == first.evaluations
    assert train(replace(spec, seed=9)).evaluations != first.evaluations


OTHER = MODULE.replace("nn.Dropout(0.1)", "nn.Dropout(0.2)")
VOUCHED, OTHER_VOUCHED = (
    text.replace("learning_rate=0.02", 'learning_rate=0.02, version="1"') for text in (MODULE, OTHER)
)


def workload_of(module: Path, text: str) -> Workload:
    module.write_text(text)
    forget()
    return own_experiment("mine:good").workload


def test_changed_code_makes_other_runs_unless_its_author_vouches_for_it(module: Path) -> None:
    assert workload_of(module, OTHER) != workload_of(module, MODULE)
    assert workload_of(module, OTHER_VOUCHED) == workload_of(module, VOUCHED)
    assert workload_of(module, VOUCHED.replace('version="1"', 'version="2"')) != workload_of(module, VOUCHED)


def test_comments_formatting_and_functions_that_are_not_reached_make_no_other_runs(module: Path) -> None:
    assert workload_of(module, MODULE + "# a word\n\ndef unused():\n    return 1\n") == workload_of(module, MODULE)


@pytest.mark.usefixtures("in_this_process")
def test_runs_of_other_code_under_a_copied_version_are_warned_of(module: Path, tmp_path: Path) -> None:
    module.write_text(VOUCHED)
    chosen = own_experiment("mine:good", batch_sizes=[32], seeds=1)
    store = Store(tmp_path)
    complete(chosen.sweep, name=chosen.name, store=store, workers=1)
    workload_of(module, OTHER_VOUCHED)
    again = own_experiment("mine:good", batch_sizes=[32], seeds=1)
    with pytest.warns(
        OtherCode, match=r"1 runs of mine:good were made by other code under the same version '1'; raise"
    ):
        assert len(recorded(again.sweep, name=again.name, store=store)) == 1


@pytest.mark.usefixtures("in_this_process")
def test_two_projects_with_one_module_name_do_not_share_records(module: Path, tmp_path: Path) -> None:
    store, other = Store(tmp_path), tmp_path / "theirs"
    module.write_text(VOUCHED)
    chosen = own_experiment("mine:good", batch_sizes=[32], seeds=1)
    complete(chosen.sweep, name=chosen.name, store=store, workers=1)
    other.mkdir()
    for text, known in ((OTHER_VOUCHED, 0), (VOUCHED, 1)):  # the same code is the same workload, wherever it lies
        (other / "mine.py").write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(other)
            forget()
            theirs = own_experiment("mine:good", batch_sizes=[32], seeds=1)
        assert theirs.workload == chosen.workload
        assert len(recorded(theirs.sweep, name=theirs.name, store=store)) == known
    forget()


def test_changed_examples_make_other_runs(module: Path) -> None:
    text = MODULE.replace("learning_rate=0.02", 'learning_rate=0.02, version="1"')
    module.write_text(text)
    before = own_experiment("mine:good").workload
    module.write_text(text.replace("numbers(200)", "numbers(201)"))
    forget()
    after = own_experiment("mine:good").workload
    assert before.source is not None
    assert after.source is not None
    assert before.source.version == after.source.version
    assert before != after


def test_a_worker_with_other_code_refuses_the_run(module: Path) -> None:
    spec = own_experiment("mine:good").sweep.runs()[0]
    module.write_text(OTHER)
    forget()
    with pytest.raises(WorkloadError, match=r"mine:good is not what this sweep was started with \(other version\)"):
        train(spec)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("mine:mean_loss", r"its loss has shape \(\) for 2 examples, not one value an example"),
        ("mine:other_metric", "its target's metric 'error' is none of its metrics: squares"),
        ("mine:no_target", "needs a target and a learning_rate"),
        ("mine:other_shape", "RuntimeError: mat1 and mat2"),
        ("mine:unpaired", "train has 3 inputs and 2 targets"),
        ("mine:nothing", "it returned NoneType"),
        ("mine:absent", "mine has no function 'absent'; it has: squares, numbers, model, good"),
        ("mine:squares", "mine:squares is to take nothing .*'outputs'"),
        ("absent_module:good", "there is no module absent_module; .* PYTHONPATH"),
        ("mine:already", "already below the target .*where accurate rises, say rises=True"),
        ("mine:frozen_step", "a first try stopped .ZeroDivisionError: division by zero, in mine.py, line 45"),
        ("__main__:good", "put the function good into a module"),
    ],
)
@pytest.mark.usefixtures("module")
def test_what_cannot_be_trained_is_refused_before_a_run_starts(function: str, reason: str) -> None:
    with pytest.raises(WorkloadError, match=reason) as error:
        own_experiment(function)
    assert "\n" not in str(error.value)


def test_a_metric_that_a_workload_does_not_have_is_refused_with_those_it_has() -> None:
    chosen = own_experiment(REGRESSION)
    with pytest.raises(ParameterError, match="metric = 'error' is not allowed; allowed: squared_error"):
        build(replace(chosen.workload, target=Target(metric="error", value=0.1)))


CHANGES = ["--batch-sizes", "[4, 16, 64]", "--seeds", "3", "--budget", "2000", "--json"]


@pytest.mark.usefixtures("in_this_process")
def test_the_command_line_sweeps_and_fits_a_module_of_ones_own(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(module.parent)])
    monkeypatch.chdir(module.parent)  # where it is called is where it looks
    found = {}
    for verb in ("sweep", "fit"):
        assert cli.main([verb, "mine:good", *CHANGES, "--data", str(tmp_path)]) == 0
        found[verb] = json.loads(capsys.readouterr().out)
    assert found["sweep"]["n_reached"] == found["fit"]["n_runs"] == 9


@pytest.mark.full
def test_processes_sweep_and_fit_a_module_of_the_folder_where_they_are_started(module: Path, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("batchtime"))
    changes = [*CHANGES, "--data", str(tmp_path)]
    found = {}
    for verb, more in (("sweep", ["--workers", "1"]), ("fit", [])):
        command = [program, verb, "mine:good", *changes, *more]
        done = subprocess.run(command, cwd=module.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[verb] = json.loads(done.stdout)
    assert found["sweep"]["n_reached"] == found["fit"]["n_runs"] == 9


class Pairs(Dataset[tuple[object, object]]):
    """A data set of given pairs, or of random ones."""

    def __init__(self, pairs: list[tuple[object, object]], *, random: bool = False) -> None:
        """Keep the pairs."""
        self.pairs, self.random = pairs, random

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[object, object]:
        """Return a pair."""
        return (torch.rand(3), 0) if self.random else self.pairs[index]


def test_a_torch_data_set_becomes_tensors() -> None:
    examples = examples_of(Pairs([(torch.full((2, 3), float(k)), k) for k in range(4)]))
    assert examples.inputs.shape == (4, 2, 3)
    assert examples.targets.tolist() == [0, 1, 2, 3]
    assert examples.inputs[3].unique().tolist() == [3]


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        (Pairs([]), "has no example"),
        (Pairs([(torch.zeros(3), 0)], random=True), "gives another example 0 when it is asked again"),
        (Pairs([(torch.zeros(3), 0), (torch.zeros(4), 0)]), "does not give pairs of tensors of one shape"),
        (Pairs([("an image", 0)]), "does not give pairs of tensors"),
    ],
)
def test_a_data_set_that_cannot_become_tensors_is_refused(dataset: Pairs, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        examples_of(dataset)


def test_both_sample_workloads_can_be_trained() -> None:
    for name in ("regression", "digits"):
        chosen = own_experiment(f"batchtime.train.samples.{name}:{name}", batch_sizes=[64])
        record = train(RunSpec(setting=replace(chosen.sweep.setting, max_updates=2), batch_size=64, seed=0))
        assert record.outcome.status == "censored"


LOADED = """
from torch.utils.data import DataLoader, TensorDataset

def loaded(workers=0):
    def loader(dataset, size, generator):
        return DataLoader(
            dataset, batch_size=size, shuffle=True, drop_last=True, generator=generator, num_workers=workers
        )
    rows = numbers(200)
    return good(train=TensorDataset(rows.inputs, rows.targets), loader=loader)

def beside():
    return loaded(workers=1)
"""


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_loader_with_worker_processes_is_said_not_to_be_the_same_again_and_one_without_is(
    module: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module.write_text(MODULE + LOADED)
    for name, said in (("loaded", ""), ("beside", "the loader of mine:beside has worker processes, so its runs need")):
        assert cli.main(["sweep", f"mine:{name}", *CHANGES, "--data", str(tmp_path), "--precision", "1", "--plan"]) == 0
        assert capsys.readouterr().err.startswith(f"batchtime: {said}" if said else "")
        spec = own_experiment(f"mine:{name}", batch_sizes=[8]).sweep.runs()[0]
        made = train(spec)
        assert made.outcome.status == "reached"
        source = made.setting.workload.source
        assert source is not None
        assert source.replayable == (name == "loaded")
        later = (*made.evaluations.updates[:-1], 10**6)
        other = replace(made, evaluations=replace(made.evaluations, updates=later))
        near = [replace(made, seed=seed) for seed in (1, 2, 3)]
        assert compare(made, other, [made, *near]) == ("not the same" if name == "loaded" else "within the spread")
    monkeypatch.setattr("batchtime.train.sweep.complete", lambda *_, **__: [made])
    with pytest.warns(UserWarning, match="the loader of mine:beside has worker processes"):
        sweep(own_experiment("mine:beside"), store=Store(tmp_path))


def page_script(root: Path) -> str:
    """Return the script that the page on one's own model shows."""
    text = (root / "notebooks" / "own-model.md").read_text(encoding="utf-8")
    return text.split("save it as `sweep.py`:\n\n```python\n")[1].split("```")[0]


def test_the_page_on_ones_own_model_shows_a_whole_file_and_a_script_with_a_guard(root: Path) -> None:
    text = (root / "notebooks" / "own-model.md").read_text(encoding="utf-8")
    assert "save it as `regression.py`" in text
    assert "source(regression)" in text  # the whole module, imports and all
    assert 'if __name__ == "__main__":' in page_script(root)
    assert 'own_experiment("regression:regression"' in page_script(root)
    compile(page_script(root), "sweep.py", "exec")


@pytest.mark.full
def test_the_files_of_the_page_on_ones_own_model_run_as_they_are_copied(tmp_path: Path, root: Path) -> None:
    module = root / "src" / "batchtime" / "train" / "samples" / "regression.py"
    (tmp_path / "regression.py").write_text(module.read_text(encoding="utf-8"))
    (tmp_path / "sweep.py").write_text(page_script(root))
    there = os.environ | {"BATCHTIME_DATA": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "sweep.py"], cwd=tmp_path, env=there, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "critical_batch_size" in done.stdout

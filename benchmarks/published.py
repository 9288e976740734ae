"""Make the table of facts: updates to a target, seconds and watts that others published, in the package's own form.

    published.py FOLDER     # FOLDER holds the tables as they were extracted from their sources (gavel/, zeus/, ...)

Runs of one batch size become their number, how many reached the target, their mean and standard deviation; repeated
timings become their median. The tables that are read are not part of this repository; `sources.csv` names where each
number was published. The same folder gives the same files.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

FACTS = Path(__file__).resolve().parents[1] / "src" / "batchtime" / "runs" / "facts"
"""Where the package finds them."""

SOURCES = (
    # source, table, repository, commit, file, licence
    (
        "zeus",
        "updates",
        "ml-energy/zeus",
        "75a8b939",
        "examples/research_reproducibility/zeus_nsdi23/trace/summary_train.csv",
        "Apache-2.0",
    ),
    (
        "zeus",
        "seconds",
        "ml-energy/zeus",
        "75a8b939",
        "examples/research_reproducibility/zeus_nsdi23/trace/summary_power_v100.csv",
        "Apache-2.0",
    ),
    ("mlperf", "updates", "mlcommons/logging", "7bbf7926", "mlperf_logging/rcp_checker/*/rcps_*.json", "Apache-2.0"),
    ("zhang2025", "updates", "hlzhang109/critical-batch-size", "c5b509d8", "plots/chinchilla.ipynb", "MIT"),
    ("steplaw", "updates", "step-law/steplaw", "32a8f4cc", "data/dense_lr_bs_loss.csv", "none stated"),
    ("pollux", "updates", "siasosp23/artifacts", "aaf7a0de", "adaptdl/sched/traces/*/validation-*.csv", "none stated"),
    (
        "pollux",
        "seconds",
        "siasosp23/artifacts",
        "aaf7a0de",
        "adaptdl/sched/traces/*/scalability-*.csv, placements-*.csv",
        "none stated",
    ),
    ("pollux", "noise", "siasosp23/artifacts", "aaf7a0de", "adaptdl/sched/traces/*/validation-*.csv", "none stated"),
    (
        "gavel",
        "seconds",
        "stanford-futuredata/gavel",
        "c4fa4009",
        "scheduler/physical_cluster_throughputs.json",
        "MIT",
    ),
    ("autoresearch-h100", "fixed_time", "yzailab/Large-Discovery-Models", "", "issues/18", "none stated"),
    (
        "autoresearch-rtx3080ti",
        "fixed_time",
        "hummbl-dev/autoresearch-win-rtx",
        "c0163cd",
        "experiment report, branch autoresearch/mar14-gemini",
        "none stated",
    ),
)

ZEUS = {
    # table: workload, examples in an epoch (None: not stated), step-size rule
    "cifar100_shufflenetv2_adadelta": ("zeus-cifar100-adadelta", 50_000, "constant"),
    "imagenet_resnet50_adadelta": ("zeus-imagenet-adadelta", 1_281_167, "constant"),
    "movielens-1m_ncf_adam": ("zeus-movielens-adam", None, "square root"),
    "sentiment140_bert_base_uncased_adamw": ("zeus-sentiment140-adamw", None, "square root"),
    "squad_bert_base_uncased_adamw": ("zeus-squad-adamw", None, "square root"),
}
MLPERF_EPOCHS = ("cosmoflow", "deepcam", "oc20", "dlrm", "dlrm_dcnv2", "maskrcnn", "resnet", "retinanet")
"""Benchmarks whose numbers are epochs whatever their column is called; the others count samples, GPT-3 tokens."""
UNITS = {"M": 1e6, "B": 1e9}
GPT3_TOKENS = 2_048
"""Tokens in a sequence of GPT-3."""
FAR = 5.0
"""A number of the source so many times the median of its batch size is a slip of its writer, and left out."""
LEFT_OUT: list[dict[str, str]] = []


@dataclass(frozen=True)
class Series:
    """What belongs to all batch sizes of one series."""

    series: str
    source: str
    file: str
    workload: str
    unit: str
    examples_per_epoch: int | None
    step_rule: str
    optimizer: str
    target: str
    note: str = ""


def leave_out(series: str, what: str, reason: str) -> None:
    """Write down what is left out and why."""
    LEFT_OUT.append({"series": series, "what": what, "reason": reason})


def rows(series: str, table: pd.DataFrame, *, interval: float | None = None) -> Iterator[dict[str, object]]:
    """Yield a row for each batch size of a table of runs: batch_size, number (empty: not reached), learning_rate."""
    for size, runs in table.groupby("batch_size"):
        reached = runs["number"].dropna()
        far = reached > FAR * reached.median()
        for value in reached[far]:
            reason = f"more than {FAR:g} times the median of its batch size"
            leave_out(series, f"{value:.0f} at batch size {size}", reason)
        reached = reached[~far]
        mean = reached.mean()
        rates = runs["learning_rate"].unique() if "learning_rate" in runs else []
        yield {
            "series": series,
            "batch_size": size,
            "runs": len(runs) - int(far.sum()),
            "reached": len(reached),
            "mean": mean,
            "lower": mean - interval if interval is not None else runs["lower"].mean() if "lower" in runs else None,
            "sd": reached.std() if len(reached) > 1 else None,
            "learning_rate": rates[0] if len(rates) == 1 else None,
        }


def step_rule(table: pd.DataFrame) -> str:
    """Say how the step size goes with the batch size: a power of it, or chosen for each batch size."""
    rates = table.groupby("batch_size")["learning_rate"].first()
    size, rate = np.log(rates.index.to_numpy(dtype=float)), np.log(rates.to_numpy(dtype=float))
    power, start = np.polyfit(size, rate, 1)
    straight = float(np.abs(rate - start - power * size).max()) < 0.05
    for name, expected in (("constant", 0.0), ("square root", 0.5), ("linear", 1.0)):
        if straight and abs(power - expected) < 0.05:
            return name
    return "tuned"


def zeus(folder: Path) -> Iterator[tuple[Series, pd.DataFrame]]:
    """Yield the series of Zeus: epochs to a validation metric, looked at once an epoch."""
    for stem, (workload, examples, rule) in ZEUS.items():
        table = pd.read_csv(folder / "zeus" / f"{stem}.csv").rename(columns={"epochs": "number"})
        for target, runs in table.groupby("target_metric"):
            name = f"{workload.rsplit('-', 1)[0]}-{target:g}"
            if not runs["number"].notna().groupby(runs["batch_size"]).all().any():
                leave_out(name, "the series", "there is no batch size at which every run reached the target")
                continue
            optimizer = workload.rsplit("-", 1)[1]
            what = Series(
                name, "zeus", SOURCES[0][4], workload, "epochs", examples, rule, optimizer, f"metric {target:g}"
            )
            yield what, pd.DataFrame(rows(name, runs, interval=1.0))


def mlperf(folder: Path) -> Iterator[tuple[Series, pd.DataFrame]]:
    """Yield the reference convergence points of MLPerf."""
    for path in sorted((folder / "mlperf_rcp").glob("*.csv")):
        kind, _, stem = path.stem.partition("_")
        name = f"mlperf-{stem.replace('_', '-')}"
        if stem == "ssd":
            leave_out(name, "the series", "the same numbers as mlperf-retinanet")
            continue
        table = pd.read_csv(path)
        column = next(column for column in table.columns if column.endswith("to_converge"))
        table = table.rename(columns={column: "number"})
        note = ""
        if stem == "gpt3":
            table["number"] /= GPT3_TOKENS
            note = "the source counts tokens; sequences of 2,048"
        if stem == "cosmoflow":
            leave_out(name, "batch size 32", "run with another schedule than the other batch sizes")
            table = table[table["batch_size"] != 32]
        unit = "epochs" if stem in MLPERF_EPOCHS else "examples"
        file = f"mlperf_logging/rcp_checker/{kind}_*/rcps_{stem}.json"
        examples = 1_281_167 if stem == "resnet" else None
        rule = step_rule(table)
        yield (
            Series(name, "mlperf", file, name, unit, examples, rule, "", "the benchmark's", note),
            pd.DataFrame(rows(name, table)),
        )


def zhang(folder: Path) -> Iterator[tuple[Series, pd.DataFrame]]:
    """Yield the language models of Zhang et al.: the least updates of a sweep over step sizes."""
    for path in sorted(
        (folder / "zhang2025").glob("*.csv"), key=lambda path: float(path.stem[:-1]) * UNITS[path.stem[-1]]
    ):
        name = f"zhang2025-{path.stem}"
        what = Series(
            name,
            "zhang2025",
            "plots/chinchilla.ipynb",
            name,
            "updates",
            None,
            "tuned",
            "",
            "a loss",
            "sequences of 512 tokens",
        )
        yield what, pd.DataFrame(rows(name, pd.read_csv(path).rename(columns={"updates": "number"})))


def steplaw(folder: Path) -> Iterator[tuple[Series, pd.DataFrame]]:
    """Yield the language models of StepLaw: updates to a loss, interpolated between training budgets."""
    table = pd.read_csv(folder / "steplaw" / "steps_to_loss_dense.csv").rename(columns={"updates": "number"})
    for (model, loss), runs in table.groupby(["series", "target_loss"]):
        workload = f"steplaw-{str(model).split('_')[0]}"
        name = f"{workload}-{loss:g}"
        note = "interpolated between two to four budgets; sequences of 2,048 tokens"
        file = "data/dense_lr_bs_loss.csv"
        what = Series(name, "steplaw", file, workload, "updates", None, "tuned", "", f"loss {loss:g}", note)
        yield what, pd.DataFrame(rows(name, runs))


def pollux(folder: Path) -> Iterator[tuple[Series, pd.DataFrame]]:
    """Yield the series of Pollux: one run a batch size, targets chosen when the traces were read."""
    table = pd.read_csv(folder / "pollux" / "steps_to_target.csv")
    table = table.rename(columns={"updates": "number", "updates_lo": "lower"})
    for (task, target), runs in table.groupby(["task", "target"]):
        name = f"pollux-{task}-{target:g}"
        file = f"adaptdl/sched/traces/{task}/validation-*.csv"
        what = Series(
            name,
            "pollux",
            file,
            f"pollux-{task}",
            "updates",
            None,
            "AdaScale",
            "",
            f"metric {target:g}",
            "one run a batch size",
        )
        yield what, pd.DataFrame(rows(name, runs))


def rounded(value: float, digits: int) -> str:
    """Write a number to so many significant digits, without an exponent; nothing for NaN."""
    return "" if np.isnan(value) else f"{float(f'{value:.{digits}g}'):.12g}"


def joined(values: pd.Series, digits: int) -> str:
    """Write numbers in one cell, separated by spaces."""
    return " ".join(f"{value:.{digits}g}" for value in values)


def timing_rows(table: pd.DataFrame, keys: list[str], digits: int) -> Iterator[dict[str, object]]:
    """Yield one row for each timed series: medians by batch size (of one learner), joined."""
    columns = [column for column in ("seconds", "watts") if column in table]
    for key, timed in table.groupby(keys, dropna=False):
        by_size = timed.groupby("batch_size")[columns].median()
        yield {
            **dict(zip(keys, key, strict=True)),
            "batch_sizes": " ".join(str(int(size)) for size in by_size.index),
            **{column: joined(by_size[column], digits) for column in columns},
        }


def seconds(folder: Path) -> pd.DataFrame:
    """Return the seconds of an update (or of an epoch, for Zeus) of every timed series."""
    power = pd.read_csv(folder / "zeus" / "time_power_v100.csv")
    power["workload"] = "zeus-" + power["dataset"].str.replace("movielens-1m", "movielens") + "-" + power["optimizer"]
    power = power.rename(columns={"time_per_epoch": "seconds", "average_power": "watts"})
    power = power.assign(source="zeus", device="V100", nodes=1, learners=1, per="epoch")
    gavel = pd.read_csv(folder / "gavel" / "update_times.csv").rename(columns={"scale_factor": "learners"})
    device = gavel["gpu"].str.partition("_")
    gavel["workload"] = "gavel-" + gavel["model"].str.lower()
    gavel["device"] = device[0].str.upper() + np.where(device[2] == "", "", " spread")
    gavel["seconds"] *= gavel["learners"]  # the source counts the updates of all learners, each of its own batch
    gavel = gavel.assign(source="gavel", per="update", nodes=np.nan, power_limit=np.nan)
    traces = pd.read_csv(folder / "pollux" / "step_times.csv")
    traces = traces.rename(
        columns={
            "cluster": "device",
            "num_nodes": "nodes",
            "num_replicas": "learners",
            "local_bsz": "batch_size",
            "step_time": "seconds",
        }
    )
    traces["workload"] = "pollux-" + traces["task"]
    traces = traces.assign(source="pollux", per="update", power_limit=np.nan)
    keys = ["source", "workload", "device", "nodes", "learners", "power_limit", "per"]
    made = [row for table, digits in ((power, 5), (gavel, 4), (traces, 3)) for row in timing_rows(table, keys, digits)]
    whole = {"nodes": "Int64", "learners": "Int64", "power_limit": "Int64"}
    return pd.DataFrame(made).astype(whole)


def fixed_time(folder: Path) -> pd.DataFrame:
    """Return what was reached in five minutes at several batch sizes, where the source can be named."""
    names = {
        "ldm18_h100_nodes": ("autoresearch-h100", "H100"),
        "small_gpu_5gb": ("autoresearch-rtx3080ti", "RTX 3080 Ti"),
    }
    table = pd.read_csv(folder / "autoresearch_fixed_budget.csv")
    for name, runs in table[~table["series"].isin(names)].groupby("series"):
        leave_out(f"autoresearch {name}", f"{len(runs)} runs", "its repository is not known")
    table = table[table["series"].isin(names)]
    return pd.DataFrame(
        {
            "series": [names[name][0] for name in table["series"]],
            "device": [names[name][1] for name in table["series"]],
            "batch_tokens": table["total_batch_tokens"].to_numpy(),
            "updates": table["optimizer_steps"].astype("Int64").to_numpy(),
            "bits_per_byte": table["val_bpb"].to_numpy(),
            "runs": table["n_runs"].to_numpy(),
            "seconds": 300,
        }
    )


def main() -> None:
    """Write the tables and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="tables as extracted: zeus/, mlperf_rcp/, pollux/, ...")
    folder = parser.parse_args().folder
    found = [pair for made in (zeus, mlperf, zhang, steplaw, pollux) for pair in made(folder)]
    updates = pd.concat([table for _, table in found])
    for column, digits in (("mean", 7), ("lower", 7), ("sd", 3), ("learning_rate", 5)):
        updates[column] = [rounded(value, digits) for value in updates[column].astype(float)]
    noise = pd.read_csv(folder / "pollux" / "gradient_noise.csv")
    noise = noise.rename(columns={"gns_first": "first", "gns_median": "median", "gns_last": "last"})
    noise["workload"] = "pollux-" + noise.pop("task")
    noise = noise[["workload", "batch_size", "evals", "first", "median", "last"]]
    tables = {
        "sources": pd.DataFrame(SOURCES, columns=["source", "table", "repository", "commit", "file", "licence"]),
        "series": pd.DataFrame([what for what, _ in found]).astype({"examples_per_epoch": "Int64"}),
        "updates": updates,
        "seconds": seconds(folder),
        "noise": noise,
        "fixed_time": fixed_time(folder),
    }
    tables["left_out"] = pd.DataFrame(LEFT_OUT)  # last: making the others fills it
    FACTS.mkdir(exist_ok=True)
    for name, table in tables.items():
        path = FACTS / f"{name}.csv"
        table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        print(f"{path.stat().st_size:8d} bytes, {len(table):5d} rows: {name}.csv")


if __name__ == "__main__":
    main()

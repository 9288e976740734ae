"""Predict whole runs by the clock before they are run: data/predictions/NAME-clock.csv.

    .venv/bin/python benchmarks/predict_clock.py mnist-error-2 --runs 20
    .venv/bin/python benchmarks/predict_clock.py cifar10-error-30 --runs 10 --threads 2 --beside 1
    .venv/bin/python benchmarks/predict_clock.py europarl-gru --runs 10 --learners 2

Runs and timings are the published ones. Commit what this writes, then start the runs on a quiet machine with nothing
else on it: `batchtime clock NAME --pairs FILE --seeds RUNS --record`, with the same --threads or --learners. It refuses
to predict what was clocked already.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

import pandas as pd
from predict_sealed import family

from batchtime.fit.advice import Runs, recommend
from batchtime.fit.learners import as_timings, errors_of, fit_learners
from batchtime.fit.measurements import Observation, UpdateTiming
from batchtime.plan.promises import Promise, chosen_pairs, promise, promises_frame, ratio
from batchtime.runs.catalogue import experiment
from batchtime.runs.experiment import Experiment
from batchtime.runs.provenance import provenance
from batchtime.runs.store import Store, data_folder

Pairs = dict[tuple[int, float], str]


def all_runs(chosen: Experiment, store: Store) -> Runs:
    """Return by constant learning rate every recorded run of a task with plain SGD; a plain list of one alone."""
    runs: dict[float, list[Observation]] = {}
    for one in family(chosen.name):
        rate, wanted = one.sweep.setting.learning_rate, set(one.sweep.runs())
        seen = [record.observation() for record in store.runs(one.name) if record.spec in wanted]
        if rate.half_batch_size == 0 and seen:
            runs[rate.maximum] = seen
    return runs if len(runs) > 1 else chosen.fit_observations(store.runs(chosen.name))


def best(runs: Runs, timings: Sequence[UpdateTiming], rate: float) -> tuple[int, float]:
    """Return the pair that is best on a machine."""
    guess = recommend(runs, timings).best_guess
    if guess is None:
        sys.exit("these runs and timings give no best pair")
    if not isinstance(runs, Mapping) or guess.learning_rate is None:
        return guess.batch_size, rate
    near = min(runs, key=lambda one: abs(one - (guess.learning_rate or one)))
    return guess.batch_size, near


def of_learners(chosen: Experiment, runs: Runs, store: Store, learners: int) -> tuple[Pairs, list[UpdateTiming]]:
    """Return the pairs of strong, weak and optimal scaling, and the predicted seconds of an update of the learners."""
    records = {one.learners: one for one in store.learners(chosen.name)}
    alone, together = records[1].timings["compute"], records[learners].timings["in turn"]
    sizes = sorted(one.batch_size for one in together)
    known = [sizes[len(sizes) // 4], sizes[-2]]
    model = fit_learners(alone, together, learners=learners, sizes=known)
    print(f"slowdown {model.slowdown:.3f}, exchange {1e3 * model.exchange_seconds:.3f} ms, fitted at {known}")
    print({size: f"{100 * error:+.1f} %" for size, error in errors_of(model, together).items()})
    low, high = (learners * int(model.alone.sizes[end]) for end in (0, -1))
    timings = as_timings(model, [size * learners for size in (1, *sizes) if low <= size * learners <= high])
    rate = chosen.sweep.setting.learning_rate.maximum
    plain = list(runs[rate]) if isinstance(runs, Mapping) else list(runs)
    one = recommend(plain, list(alone)).best_guess
    several = recommend(plain, timings).best_guess
    if one is None or several is None:
        sys.exit("these runs and timings give no best batch size")

    def shared(size: int) -> int:
        return max(learners, round(size / learners) * learners)

    pairs: Pairs = {(shared(one.batch_size), rate): "strong: the batch that is best for one"}
    pairs.setdefault((learners * one.batch_size, rate), "weak: that batch for each")
    pairs.setdefault((shared(several.batch_size), rate), "optimal: the best batch for so many")
    return pairs, timings


def tell(found: list[Promise]) -> None:
    """Print the predicted ratio of the first pair that is another learning rate's optimum to the first of all."""
    for other in found[1:]:
        if other.learning_rate != found[0].learning_rate:
            factor, (low, high) = ratio(other, found[0])
            print(f"{other.role}: {factor:.2f} times the {found[0].role} ({low:.3g} to {high:.3g})")


def main() -> None:
    """Write the predictions of one task on one machine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--runs", type=int, required=True, help="at each pair, with the clock running")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beside", type=int, help="another number of threads, whose optimum is clocked too")
    parser.add_argument("--learners", type=int, default=1)
    parser.add_argument("--middle", type=float, help="learning rate that many would take (default: the task's own)")
    options = parser.parse_args()
    store, chosen = Store(data_folder(), recording=True), experiment(options.name)
    setting = chosen.sweep.setting
    rate = options.middle or setting.learning_rate.maximum
    runs = all_runs(chosen, store)
    machine = {"threads": options.threads, "learners": options.learners}
    if options.learners > 1:
        pairs, timings = of_learners(chosen, runs, store, options.learners)
        ending = f"{options.learners}-learners"
        known = runs[rate] if isinstance(runs, Mapping) else runs
        found = promise(known, timings, pairs, n_runs=options.runs)
    else:
        timings = chosen.relevant(store.timing(setting, threads=options.threads).timings)
        if options.beside is not None:
            other = chosen.relevant(store.timing(setting, threads=options.beside).timings)
            pairs = {best(runs, timings, rate): f"optimum of {options.threads} threads"}
            pairs.setdefault(best(runs, other, rate), f"optimum of {options.beside} threads")
            ending = f"{options.threads}-threads"
        elif isinstance(runs, Mapping):
            pairs, ending = chosen_pairs(runs, timings, middle=rate), "clock"
        else:
            sys.exit(f"{options.name} has one learning rate: `batchtime clock {options.name}` predicts by itself")
        found = promise(runs, timings, pairs, n_runs=options.runs)
    clocked = {
        (run.batch_size, run.setting.learning_rate.at(run.batch_size))
        for run in store.timed_runs(options.name, **machine)
    }
    if known_already := sorted(clocked & set(pairs)):
        sys.exit(f"{known_already} were clocked already: what is known cannot be predicted")
    here = provenance(threads=options.threads)
    frame = promises_frame(found).assign(**machine, commit=here.commit, date=here.date, cpu=here.cpu)
    path = data_folder() / "predictions" / f"{options.name}-{ending}.csv"
    path.parent.mkdir(exist_ok=True)
    frame.to_csv(path, index=False, lineterminator="\n")
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(frame.drop(columns=["commit", "date", "cpu"]).to_string())
    tell(found)


if __name__ == "__main__":
    main()

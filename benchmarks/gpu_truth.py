"""What `batchtime.recommend` advises for every published series with seconds, held against the measured times.

    .venv/bin/python benchmarks/gpu_truth.py [--record]

It takes about three minutes of one core. With --record the answers are written to data/advice/, where the book and
the challenge read them; the checkout has to be clean, so that they name the commit that gave them.
"""

import argparse
import sys

from batchtime.book.beyond import challenge, gpu_truth
from batchtime.cli.common import bar
from batchtime.runs.provenance import provenance
from batchtime.runs.records import AdviceRecord
from batchtime.runs.store import Store, data_folder, writing


def main() -> None:
    """Advise, print how each way did, and record the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write the answers to the published results")
    options = parser.parse_args()
    if options.record and provenance(threads=1).dirty:
        sys.exit("this checkout has changes that are in no commit; commit them first")
    chosen = gpu_truth.cases()
    answers = gpu_truth.advised(chosen, progress=bar("advice"))
    print(gpu_truth.score(gpu_truth.held(chosen, answers)).to_string())
    store = Store(data_folder(), recording=True)
    if options.record:
        record(store, gpu_truth.RECORD, answers)
        record(store, challenge.RECORD, challenge.advised_all(challenge.tasks(store)))


def record(store: Store, name: str, answers: AdviceRecord) -> None:
    """Write answers in place of those of earlier code, which are in the history."""
    path = store.advice_file(name)
    path.unlink(missing_ok=True)
    with writing(path) as file:
        file.append(answers)


if __name__ == "__main__":
    main()

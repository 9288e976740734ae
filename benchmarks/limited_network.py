"""Measure 2 to 8 learners on a network of stated bandwidth: data/learners/network.jsonl. Needs root and iproute2.

    sudo .venv/bin/python benchmarks/limited_network.py --record

The work is a stated sleep, the gradient that of MNIST's network, the all-reduce gloo's own. It takes some minutes and
little of a processor: learners sleep or wait.
"""

import argparse
import sys

from batchtime.runs.provenance import provenance
from batchtime.runs.records import SleepingWork
from batchtime.runs.store import Store, data_folder, writing
from batchtime.train.limited import time_sleepers

WORK = SleepingWork(fixed_seconds=0.01, seconds_per_example=2e-4)
GRADIENT_BYTES = 246_824
BYTES_PER_SECOND = 12.5e6
BATCH_SIZES = (32, 64, 128, 256, 512, 1024)
PAYLOADS = (4096, 16_384, 65_536, GRADIENT_BYTES, 1_048_576)


def main() -> None:
    """Measure each number of learners and record it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--learners", type=int, nargs="+", default=[2, 3, 4, 6, 8])
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if options.record and provenance(threads=1).dirty:
        sys.exit("src/ differs from the last commit; commit")
    store = Store(data_folder(), recording=options.record)
    for learners in options.learners:
        record = time_sleepers(
            WORK,
            gradient_bytes=GRADIENT_BYTES,
            batch_sizes=[size for size in BATCH_SIZES if size >= 8 * learners],
            payloads=PAYLOADS,
            learners=learners,
            bytes_per_second=BYTES_PER_SECOND,
            blocks=options.blocks,
        )
        with writing(store.learners_file("network")) as writer:
            writer.append(record)
        print(
            learners, {one.payload_bytes: round(1e3 * one.median_seconds, 2) for one in record.all_reduce}, flush=True
        )


if __name__ == "__main__":
    main()

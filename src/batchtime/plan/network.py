"""What learners on a network of stated bandwidth should take, beside what they took."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from batchtime.errors import FitError
from batchtime.fit.likelihood import least_squares_line
from batchtime.laws.time import AllReduceTime
from batchtime.laws.updates import InverseLaw
from batchtime.runs.records import LearnersRecord

PAYLOAD_SHARE = 1448 / 1514
"""Of what a link counts, the rest being Ethernet, IP and TCP headers with time stamps."""
BUCKETS = 4
"""Into which a gradient is cut where it travels during the work."""


def ring_of(record: LearnersRecord) -> AllReduceTime:
    """Return the ring that a limited network should be: bandwidth as stated, latency from its smallest all-reduces.

    Raises:
        FitError: If the network was not limited.
    """
    if record.bytes_per_second is None or not record.all_reduce:
        raise FitError(f"the network of {record.learners} learners was not limited; benchmarks/limited_network.py does")
    small, per_byte = record.all_reduce[0], 1 / (record.bytes_per_second * PAYLOAD_SHARE)
    free = AllReduceTime(latency_seconds=0.0, seconds_per_byte=per_byte)
    left = small.median_seconds - free.seconds(record.learners, small.payload_bytes)
    return AllReduceTime(latency_seconds=max(left, 0.0) / (2 * (record.learners - 1)), seconds_per_byte=per_byte)


def exposed_overlapped(work_seconds: float, bucket_seconds: float, *, buckets: int = BUCKETS) -> float:
    """Return what is exposed of an exchange in buckets, each sent when its part of the work is done, one at a time.

    Example:
        >>> exposed_overlapped(4.0, 0.5)  # the last bucket alone
        0.5
        >>> exposed_overlapped(0.0, 0.5)  # all four
        2.0
    """
    done = 0.0
    for part in range(1, buckets + 1):
        done = max(done, part * work_seconds / buckets) + bucket_seconds
    return done - work_seconds


def network_frame(records: Sequence[LearnersRecord], law: InverseLaw) -> pd.DataFrame:
    """Return for each number of learners the exchange, its exposed part and the best batch size: predicted, measured.

    The best batch size is that of the law with t(M) = fixed + per example M: predicted from the stated sleep and the
    ring, measured from a line through the measured updates.

    Raises:
        FitError: If the network was not limited, or the work was no sleep.
    """
    rows = []
    for record in sorted(records, key=lambda one: one.learners):
        work, ring = record.sleeping, ring_of(record)
        if work is None:
            raise FitError(f"the work of {record.learners} learners was no sleep; benchmarks/limited_network.py does")
        count, size = record.learners, record.gradient_bytes
        exchange = ring.seconds(count, size)
        (alone,) = (one for one in record.all_reduce if one.payload_bytes == size)
        in_turn = {one.batch_size: one.seconds for one in record.timings["in turn"]}
        overlapped = {one.batch_size: one.seconds for one in record.timings["overlapped"]}
        sleeps = {one.batch_size: one.seconds for one in record.timings["compute"]}
        bucket = ring.seconds(count, size / BUCKETS)
        hidden = {m: exposed_overlapped(seconds, bucket) for m, seconds in sleeps.items()}
        sizes = np.array(list(in_turn), dtype=np.float64)
        fixed, each = least_squares_line(sizes, np.array(list(in_turn.values())), np.ones_like(sizes))
        least = min(overlapped)
        rows.append(
            {
                "learners": count,
                "exchange_predicted": exchange,
                "exchange_measured": alone.median_seconds,
                "in_turn_measured": float(np.median([in_turn[m] - sleeps[m] for m in in_turn])),
                "overlapped_predicted": hidden[least],
                "overlapped_measured": overlapped[least] - sleeps[least],
                "optimum_predicted": np.sqrt(
                    law.critical_batch_size * count * (work.fixed_seconds + exchange) / work.seconds_per_example
                ),
                "optimum_measured": np.sqrt(law.critical_batch_size * fixed / each),
            }
        )
    return pd.DataFrame(rows)


def worst_errors(frame: pd.DataFrame) -> dict[str, float]:
    """Return the largest |measured / predicted - 1| over numbers of learners, by what was measured."""
    predicted = {"exchange": "exchange", "in_turn": "exchange", "overlapped": "overlapped", "optimum": "optimum"}
    return {
        name: float((frame[f"{name}_measured"] / frame[f"{model}_predicted"] - 1).abs().max())
        for name, model in predicted.items()
    }

"""Promises of learners on a limited network: an exchange takes what its bytes ask for; only what is exposed costs."""

import subprocess

import pytest

from batchtime.errors import FitError, LearnersError, ParameterError
from batchtime.fit.measurements import AllReduceTiming, UpdateTiming
from batchtime.laws.time import AllReduceTime
from batchtime.laws.updates import InverseLaw
from batchtime.plan.network import PAYLOAD_SHARE, exposed_overlapped, network_frame, ring_of, worst_errors
from batchtime.runs.records import LearnersRecord, SleepingWork
from batchtime.runs.store import Store, data_folder
from batchtime.train import limited
from batchtime.train.limited import can_limit, limited_network, time_sleepers

from .builders import record
from .conftest import missing

WORK = SleepingWork(fixed_seconds=0.01, seconds_per_example=2e-4)
BYTES = 246_824
RATE = 12.5e6


def ideal(learners: int) -> LearnersRecord:
    """Return what a perfect ring with 0.1 ms a message would be measured as."""
    ring = AllReduceTime(latency_seconds=1e-4, seconds_per_byte=1 / (RATE * PAYLOAD_SHARE))
    sizes = (32, 128, 512)
    sleeps = {size: WORK.seconds(size / learners) for size in sizes}

    def timings(extra: dict[int, float]) -> tuple[UpdateTiming, ...]:
        seconds = {size: sleeps[size] + extra[size] for size in sizes}
        return tuple(UpdateTiming(batch_size=m, wall_seconds=(s,), cpu_seconds=(s,)) for m, s in seconds.items())

    bucket = ring.seconds(learners, BYTES / 4)
    return LearnersRecord(
        workload="network",
        learners=learners,
        gradient_bytes=BYTES,
        timings={
            "compute": timings(dict.fromkeys(sizes, 0.0)),
            "in turn": timings(dict.fromkeys(sizes, ring.seconds(learners, BYTES))),
            "overlapped": timings({size: exposed_overlapped(sleeps[size], bucket) for size in sizes}),
        },
        all_reduce=tuple(
            AllReduceTiming(payload_bytes=payload, seconds=(ring.seconds(learners, payload),))
            for payload in (4096, BYTES)
        ),
        provenance=record().provenance,
        sleeping=WORK,
        bytes_per_second=RATE,
    )


def test_a_perfect_ring_is_recovered_and_its_optimum_grows_with_the_learners() -> None:
    assert ring_of(ideal(4)).latency_seconds == pytest.approx(1e-4)
    frame = network_frame([ideal(8), ideal(2)], InverseLaw(n_inf=700, alpha=10_000))
    assert list(frame["learners"]) == [2, 8]
    for what in ("exchange", "overlapped", "optimum"):
        assert list(frame[f"{what}_measured"]) == pytest.approx(list(frame[f"{what}_predicted"]), rel=1e-6)
    assert frame["optimum_measured"].iloc[1] > 2 * frame["optimum_measured"].iloc[0]
    with pytest.raises(FitError, match="was not limited"):
        ring_of(LearnersRecord(**{name: getattr(ideal(2), name) for name in _OLD}))


_OLD = ("workload", "learners", "gradient_bytes", "timings", "all_reduce", "provenance")


def test_recorded_learners_stand_within_15_percent_of_the_model() -> None:
    frame = network_frame(Store(data_folder(), recording=True).learners("network"), InverseLaw(n_inf=739, alpha=10_500))
    assert list(frame["learners"]) == [2, 3, 4, 6, 8]
    assert max(worst_errors(frame).values()) < 0.15
    assert frame["optimum_measured"].is_monotonic_increasing


def test_of_an_exchange_in_buckets_the_last_is_exposed_and_without_work_all() -> None:
    assert exposed_overlapped(4.0, 0.5) == 0.5
    assert exposed_overlapped(0.0, 0.5) == 2.0
    # Parts of 1, buckets of 2: ready at 1, done at 3, 5, 7 and 9; of these 9 the work took 4.
    assert exposed_overlapped(4.0, 2.0) == 5.0


def test_a_limited_network_asks_for_root_and_for_its_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "can_limit", lambda: False)
    with pytest.raises(LearnersError, match="need root and iproute2"), limited_network(2, bytes_per_second=1e7):
        pass
    with pytest.raises(ParameterError, match="learners = 1"), limited_network(1, bytes_per_second=1e7):
        pass
    with pytest.raises(ParameterError, match="bytes_per_second"), limited_network(2, bytes_per_second=0):
        pass


@pytest.mark.full
def test_two_learners_exchange_a_gradient_at_the_stated_bandwidth_and_leave_nothing_behind() -> None:
    if not can_limit():
        missing("network namespaces need root and iproute2")
    found = time_sleepers(
        WORK,
        gradient_bytes=BYTES,
        batch_sizes=[64, 256],
        payloads=[4096, BYTES],
        learners=2,
        bytes_per_second=RATE,
        blocks=3,
    )
    (row,) = network_frame([found], InverseLaw(n_inf=700, alpha=10_000)).to_dict("records")
    assert row["exchange_measured"] == pytest.approx(row["exchange_predicted"], rel=0.15)
    assert row["in_turn_measured"] == pytest.approx(row["exchange_predicted"], rel=0.15)
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"bt{limited.os.getpid() % 100_000}n" not in left

"""Learners on a slow network of their own: processes in network namespaces, whose links let so many bytes through.

Their work is a stated sleep, so that many of them fit on a machine of few processors, and the time of the all-reduce,
which is gloo's own over TCP, is told apart from it. This needs root and iproute2; it changes nothing outside of the
namespaces but a bridge, which goes away with them.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from batchtime.errors import LearnersError, check
from batchtime.fit.measurements import AllReduceTiming, UpdateTiming
from batchtime.runs.provenance import provenance
from batchtime.runs.records import CommunicationMode, LearnersRecord, SleepingWork
from batchtime.train.learners import BUCKETS, clock, run_together
from batchtime.train.timing import Blocks, turns

INTERFACE = "eth0"
"""Of each learner, in its namespace."""
_NEW_NET = 0x40000000  # CLONE_NEWNET of sched.h
_BURST = 4096  # bytes that a link lets through at once: little, or small payloads would travel for nothing
_UPDATES = 4  # in one timed call: they take tens of milliseconds


def can_limit() -> bool:
    """Return whether this process may make namespaces and limit their links: it is root, and iproute2 is there."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and all(map(shutil.which, ("ip", "tc")))


@contextlib.contextmanager
def limited_network(learners: int, *, bytes_per_second: float) -> Iterator[list[str]]:
    """Make a namespace for each learner, all joined by a bridge, and take them away again.

    What a learner sends passes a token bucket (tc tbf), headers included; what it receives is limited by who sends it.

    Yields:
        Their names.

    Raises:
        LearnersError: If this process may not, or a command fails.
        ParameterError: If a number is not allowed.
    """
    check(2 <= learners <= 64, name="learners", value=learners, allowed="from 2 to 64")
    check(bytes_per_second >= 1e4, name="bytes_per_second", value=bytes_per_second, allowed="at least 10,000")
    if not can_limit():
        raise LearnersError("network namespaces need root and iproute2 (ip, tc); run this as root, with both installed")
    mark = f"bt{os.getpid() % 100_000}"
    bridge, names = f"{mark}br", [f"{mark}n{rank}" for rank in range(learners)]
    try:
        _call("ip", "link", "add", bridge, "type", "bridge")
        _call("ip", "link", "set", bridge, "up")
        for rank, name in enumerate(names):
            outer = f"{mark}v{rank}"
            _call("ip", "netns", "add", name)
            _call("ip", "link", "add", outer, "type", "veth", "peer", "name", INTERFACE, "netns", name)
            _call("ip", "link", "set", outer, "master", bridge, "up")
            inside = ("ip", "-n", name)
            _call(*inside, "address", "add", f"10.213.0.{rank + 1}/24", "dev", INTERFACE)
            _call(*inside, "link", "set", INTERFACE, "up")
            _call(*inside, "link", "set", "lo", "up")
            limit = ("rate", f"{round(8 * bytes_per_second)}bit", "burst", f"{_BURST}", "latency", "100ms")
            _call("tc", "-n", name, "qdisc", "add", "dev", INTERFACE, "root", "tbf", *limit)
        yield names
    finally:
        for name in names:
            with contextlib.suppress(LearnersError):
                _call("ip", "netns", "delete", name)  # its links go with it
        with contextlib.suppress(LearnersError):
            _call("ip", "link", "delete", bridge)


def _call(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LearnersError(f"`{' '.join(words)}` failed: {' '.join(done.stderr.split())}; are you root?")


def enter(namespace: str) -> None:
    """Go on in a network namespace, with the threads that are started from now on, before what else runs here.

    Learners that sleep and wait for a network take little of a processor, and must have it when they wake.

    Raises:
        LearnersError: If this process may not.
    """
    with Path("/run/netns", namespace).open() as place:
        if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _NEW_NET):
            raise LearnersError(f"cannot enter {namespace}: {os.strerror(ctypes.get_errno())}; run this as root")
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    os.environ["GLOO_SOCKET_IFNAME"] = INTERFACE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What each learner does."""

    work: SleepingWork
    gradient_bytes: int
    batch_sizes: tuple[int, ...]
    payloads: tuple[int, ...]
    blocks: int


def time_sleepers(
    work: SleepingWork,
    *,
    gradient_bytes: int,
    batch_sizes: Sequence[int],
    payloads: Sequence[int],
    learners: int,
    bytes_per_second: float,
    blocks: int = 8,
) -> LearnersRecord:
    """Measure what an update takes where the work is a sleep and the all-reduce is gloo's on a limited network.

    The three ways of communication are those of `time_learners`; where gradients travel during the work, it is in
    equal parts, and a bucket of the gradient is sent after each.

    Args:
        work: How long a learner sleeps for its share of a batch.
        gradient_bytes: What one update exchanges.
        batch_sizes: Examples in a batch, of all learners together.
        payloads: Bytes of all-reduces that are timed by themselves.
        learners: Processes.
        bytes_per_second: That each of them may send, headers included.
        blocks: Durations kept of each, each the mean of 4.

    Raises:
        LearnersError: If this process may not limit a network, or a learner stopped.
        ParameterError: If a number is not allowed.
    """
    plan = _Plan(
        work=work,
        gradient_bytes=gradient_bytes,
        batch_sizes=tuple(batch_sizes),
        payloads=tuple(payloads),
        blocks=blocks,
    )
    with limited_network(learners, bytes_per_second=bytes_per_second) as namespaces:
        found = run_together(_time, plan, learners=learners, namespaces=namespaces)
    slowest = {key: [max(times) for times in zip(*(one[key] for one in found), strict=True)] for key in found[0]}
    by_mode: dict[CommunicationMode, list[UpdateTiming]] = {}
    reduces = []
    for key, seconds in slowest.items():
        if isinstance(key, int):
            reduces.append(AllReduceTiming(payload_bytes=key, seconds=tuple(seconds)))
        else:
            mode, size = key
            walls = tuple(seconds)
            # A sleep and a wait for the network take no processor: there is no CPU time to tell a busy machine by.
            timing = UpdateTiming(batch_size=size, wall_seconds=walls, cpu_seconds=walls, updates=_UPDATES)
            by_mode.setdefault(mode, []).append(timing)
    return LearnersRecord(
        workload="network",
        learners=learners,
        gradient_bytes=gradient_bytes,
        timings={mode: tuple(sorted(some, key=lambda one: one.batch_size)) for mode, some in by_mode.items()},
        all_reduce=tuple(sorted(reduces, key=lambda one: one.payload_bytes)),
        provenance=provenance(threads=1),
        sleeping=work,
        bytes_per_second=bytes_per_second,
    )


_Key = tuple[CommunicationMode, int] | int


def _time(plan: _Plan) -> dict[_Key, list[float]]:
    """Return the seconds of each way and batch size, and of each payload, as this learner sees them."""
    gradient = torch.zeros(plan.gradient_bytes // 4)
    works: dict[_Key, Callable[[], None]] = {}
    for size in plan.batch_sizes:
        seconds = plan.work.seconds(size / dist.get_world_size())
        works["compute", size] = partial(time.sleep, seconds)
        works["in turn", size] = partial(_in_turn, seconds, gradient)
        works["overlapped", size] = partial(_overlapped, seconds, gradient)
    for payload in plan.payloads:
        works[payload] = partial(dist.all_reduce, torch.zeros(payload // 4))
    found: dict[_Key, list[float]] = {key: [] for key in works}
    for key in turns(dict.fromkeys(works, Blocks(blocks=plan.blocks, updates=_UPDATES))):
        works[key]()
        with clock() as seconds_taken:
            for _ in range(_UPDATES):
                works[key]()
        found[key].append(seconds_taken[0] / _UPDATES)
    return found


def _in_turn(seconds: float, gradient: torch.Tensor) -> None:
    time.sleep(seconds)
    dist.all_reduce(gradient)


def _overlapped(seconds: float, gradient: torch.Tensor) -> None:
    """Sleep in parts, and send a bucket after each; wait for all of them at the end."""
    waiting = []
    for bucket in gradient.tensor_split(BUCKETS):
        time.sleep(seconds / BUCKETS)
        waiting.append(dist.all_reduce(bucket, async_op=True))
    for one in waiting:
        one.wait()

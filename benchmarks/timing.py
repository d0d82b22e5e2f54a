"""Times of several sides, taken in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from typing import NamedTuple

#: Every side runs at least this often, however long it takes, and at most that often.
FEWEST_ROUNDS, MOST_ROUNDS = 3, 25

#: A search shorter than this (s) is repeated within one measurement, to be above the clock's noise.
SHORTEST = 0.004

#: A first call longer than this (s) is warm-up enough.
LONG = 1.0

#: Rest (s) before each measurement. Idle worker threads of OpenBLAS (which ASE uses) and OpenMP
#: spin for up to 26 ms after their work, and would count as CPU time of whoever comes next.
REST = 0.04


class Timing(NamedTuple):
    """One side, over all rounds.

    Attributes:
        wall: median by the clock on the wall (on a GPU, by its events), ms.
        cpu: median of all threads of the process together, ms.
        rounds: how many there were.
        spread: of the wall times, (third - first quartile) / median.
    """

    wall: float
    cpu: float
    rounds: int = 1
    spread: float = 0.0


def time_in_turn(
    sides: Mapping[str, Callable[[], object]], seconds: float, device: str = "cpu"
) -> dict[str, Timing]:
    """Run all sides in turn, again and again for about ``seconds``, and take medians.

    Args:
        sides: what to run, by name.
        seconds: time for all rounds together; there are never fewer than
            :data:`FEWEST_ROUNDS` or more than :data:`MOST_ROUNDS`.
        device: where the sides work; on ``cuda`` a measurement ends when the GPU is done.
    """
    measure = _on_gpu if device.startswith("cuda") else _on_cpu
    repeats = {}
    for name, side in sides.items():
        taken, _ = measure(side, 1)  # the first call loads libraries and starts threads
        if taken < LONG * 1e3:
            taken, _ = measure(side, 1)
        repeats[name] = 1 + int(SHORTEST * 1e3 / max(taken, 1e-6))
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    start = time.perf_counter()
    for turn in range(MOST_ROUNDS):
        if turn >= FEWEST_ROUNDS and time.perf_counter() - start > seconds:
            break
        for name, side in sides.items():
            time.sleep(REST)
            samples[name].append(measure(side, repeats[name]))
    return {name: _summary(taken) for name, taken in samples.items()}


def _on_cpu(side: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Wall and CPU time (ms) of one call, from so many in a row."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        side()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall * 1e3 / repeats, cpu * 1e3 / repeats


def _on_gpu(side: Callable[[], object], repeats: int) -> tuple[float, float]:
    """As :func:`_on_cpu`, the wall time taken by events on the GPU's own stream."""
    import torch

    begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    cpu = time.process_time()
    begin.record()
    for _ in range(repeats):
        side()
    end.record()
    torch.cuda.synchronize()
    cpu = time.process_time() - cpu
    return begin.elapsed_time(end) / repeats, cpu * 1e3 / repeats


def _summary(samples: list[tuple[float, float]]) -> Timing:
    walls = [wall for wall, _ in samples]
    middle = median(walls)
    lower, _, upper = quantiles(walls, n=4, method="inclusive")
    return Timing(
        middle, median(cpu for _, cpu in samples), len(samples), (upper - lower) / max(middle, 1e-9)
    )

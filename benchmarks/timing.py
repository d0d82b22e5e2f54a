"""Times of several sides, taken in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

#: Every side runs at least this often, however long it takes, and at most that often.
FEWEST_ROUNDS, MOST_ROUNDS = 3, 25

#: A search shorter than this (s) is repeated within one measurement, to be above the clock's noise.
SHORTEST = 0.004

#: Rest (s) before each measurement. Idle worker threads of OpenBLAS (which ASE uses) and OpenMP
#: spin for up to 26 ms after their work, and would count as CPU time of whoever comes next.
REST = 0.04


class Timing(NamedTuple):
    """Medians over the rounds, ms: by the clock on the wall, and of all threads together."""

    wall: float
    cpu: float


def time_in_turn(sides: dict[str, Callable[[], object]], seconds: float) -> dict[str, Timing]:
    """Run all sides in turn, again and again for about ``seconds``, and take medians."""
    repeats = {}
    for name, side in sides.items():
        side()  # the first call loads libraries and starts threads
        start = time.perf_counter()
        side()
        repeats[name] = 1 + int(SHORTEST / max(time.perf_counter() - start, 1e-9))
    samples: dict[str, list[Timing]] = {name: [] for name in sides}
    start = time.perf_counter()
    for turn in range(MOST_ROUNDS):
        if turn >= FEWEST_ROUNDS and time.perf_counter() - start > seconds:
            break
        for name, side in sides.items():
            time.sleep(REST)
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(repeats[name]):
                side()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            scale = 1e3 / repeats[name]
            samples[name].append(Timing(wall * scale, cpu * scale))
    return {
        name: Timing(median(s.wall for s in runs), median(s.cpu for s in runs))
        for name, runs in samples.items()
    }

"""What a benchmark is: sides that do the same job, checked to agree, then timed in turn."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .timing import Timing, time_in_turn


class DifferenceError(RuntimeError):
    """A side computes something else than ours: its time cannot be compared."""


@dataclass(frozen=True)
class Options:
    """What the person at the command line chose.

    Attributes:
        data: file or folder of bands to measure on; None for the published ones.
        device: ``cpu`` or ``cuda``.
        quick: the smallest sizes and fewest rounds, to see that everything runs.
        hidden: width of the models; None for the width that the workload says.
        seconds: time for the rounds of one case, at least :data:`timing.FEWEST_ROUNDS` rounds.
    """

    data: Path | None = None
    device: str = "cpu"
    quick: bool = False
    hidden: int | None = None
    seconds: float = 10.0

    def widths(self, usual: Sequence[int]) -> Sequence[int]:
        """Widths to measure, where a workload usually has several."""
        if self.hidden:
            return (self.hidden,)
        return (8,) if self.quick else usual


def everywhere(options: Options) -> str:
    """For sides that need nothing besides linegraph."""
    return ""


@dataclass(frozen=True)
class Side:
    """One way to do the job.

    Attributes:
        name: what tables call it.
        summary: one line, in words.
        missing: why it cannot run here and what to install, or "" where it can.
        same: whether it must compute the same numbers as ours.
        note: what it computes instead where ``same`` is False; printed below the table.
    """

    name: str
    summary: str
    missing: Callable[[Options], str] = everywhere
    same: bool = True
    note: str = ""


@dataclass(frozen=True, eq=False)
class Case:
    """One line of the table.

    Attributes:
        name: of the structures, the size or the step.
        sizes: what there is to work on: atoms, bonds, triplets, structures, ...
        runs: what each side does, by the side's name; sides that are not here may be in it or not.
        difference: how far the result of another side (second) is from ours (first); infinite
            where they cannot be compared number by number. None where there is nothing to compare.
        tolerance: largest difference that is rounding.
        work: amount of work of each side where it differs; ratios are then those of times per
            amount. Empty where all do the same.
        figures: further numbers, from the results of the sides by name.
        left_out: sides that this case is not for, and why, in a few words.
        notes: sentences for the report; ``difference`` may add to them.
    """

    name: str
    sizes: Mapping[str, float]
    runs: Mapping[str, Callable[[], Any]]
    difference: Callable[[Any, Any], float] | None = None
    tolerance: float = 0.0
    work: Mapping[str, float] = field(default_factory=dict)
    figures: Callable[[Mapping[str, Any]], dict[str, float]] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Ratio(NamedTuple):
    """Of two times: by the clock on the wall, and of all threads."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Measured:
    """A case with its numbers.

    Attributes:
        case: what was measured.
        times: by side, ours first.
        differences: from ours, by side, of those that were compared.
        figures: of the case.
        memory: by side, MiB that one run takes at its peak, beyond what it works on; empty where it
            was not asked for.
    """

    case: Case
    times: dict[str, Timing]
    differences: dict[str, float]
    figures: dict[str, float]
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, Ratio]:
        """Times of each other side / ours, per amount of work: above 1 is slower than ours."""
        cost = {}
        for name, timing in self.times.items():
            work = self.case.work.get(name, 1.0)
            cost[name] = (timing.wall / work, timing.cpu / work)
        (wall, cpu), *_ = cost.values()
        return {
            name: Ratio(taken[0] / wall, taken[1] / max(cpu, 1e-9))
            for name, taken in list(cost.items())[1:]
        }


@dataclass(frozen=True)
class Workload:
    """A benchmark of the command line.

    Attributes:
        name: the word on the command line.
        summary: one line, in words.
        sides: ours, which all are compared with, first.
        cases: makes the cases one after the other, so that one is gone before the next is made.
        rates: sizes to give per second as well.
        unit: what ``work`` counts, where ratios are times per amount of it.
        devices: where it can run.
        memory: whether to take the peak memory of every side too (:mod:`memory`); not with
            ``quick``.
        conclude: sentences about all cases together.
    """

    name: str
    summary: str
    sides: tuple[Side, ...]
    cases: Callable[[Options], Iterable[Case]]
    rates: tuple[str, ...] = ()
    unit: str = ""
    devices: tuple[str, ...] = ("cpu",)
    memory: bool = False
    conclude: Callable[[Sequence[Measured]], list[str]] | None = None


def unavailable(workload: Workload, options: Options) -> dict[str, str]:
    """Sides of a workload that cannot run here, and what to install."""
    found = {side.name: side.missing(options) for side in workload.sides}
    return {name: why for name, why in found.items() if why}


def measure(workload: Workload, options: Options, missing: Iterable[str]) -> Iterator[Measured]:
    """Check and time every case.

    Args:
        workload: what to measure.
        options: on what, and for how long.
        missing: names of sides to leave out.

    Raises:
        DifferenceError: a side that must compute what ours does, does not.
    """
    sides = [side for side in workload.sides if side.name not in set(missing)]
    for case in workload.cases(options):
        here = [s for s in sides if s.name in case.runs and s.name not in case.left_out]
        results, differences = _checked(workload, case, here)
        figures = case.figures(results) if case.figures else {}
        # Results of large cases would crowd the memory while the clock runs.
        del results
        gc.collect()
        runs = {side.name: case.runs[side.name] for side in here}
        times = time_in_turn(runs, 0.0 if options.quick else options.seconds, options.device)
        memory = {}
        if workload.memory and not options.quick:
            memory = _memory(workload, case, here, options)
        yield Measured(case, times, differences, figures, memory)


def _memory(
    workload: Workload, case: Case, sides: Sequence[Side], options: Options
) -> dict[str, float]:
    from .memory import peak_memory  # which needs this module for itself

    found = {}
    for side in sides:
        try:
            taken = peak_memory(workload.name, case.name, side.name, options)
        except RuntimeError as error:
            case.notes.append(f"no memory of {side.name}: {error}.")
        else:
            found[side.name] = taken.extra / 2**20
    return found


def _checked(
    workload: Workload, case: Case, sides: Sequence[Side]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Results of all sides, and how far each is from ours."""
    if not sides or sides[0].name != workload.sides[0].name:
        raise ValueError(f"{workload.name}, {case.name}: nothing to compare with")
    ours = sides[0].name
    results: dict[str, Any] = {}
    differences: dict[str, float] = {}
    compare = case.difference
    for side in sides:
        results[side.name] = case.runs[side.name]()
        if compare is None or side.name == ours or not side.same:
            continue
        difference = compare(results[ours], results[side.name])
        if math.isnan(difference) or difference > case.tolerance:
            raise DifferenceError(
                f"{workload.name}, {case.name}: {side.name} differs from {ours} by "
                f"{difference:.3g} (allowed: {case.tolerance:.3g}), so their times cannot be "
                "compared"
            )
        differences[side.name] = difference
    return results, differences

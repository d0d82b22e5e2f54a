"""Barriers on one scale: where the ion gets through, then hop by hop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linegraph.barrier import Barrier
from linegraph.predicted import Prediction

from ..predict_output import mark_of
from .colors import barrier_color
from .wording import blocked_mark

#: So many hops are drawn, the easiest first.
MAX_HOPS = 24

#: In the units of the drawing: its width, where the scale begins and ends, height of a row.
WIDTH, LEFT, RIGHT, ROW = 480, 108, 424, 24

#: The scale reaches this much beyond the last barrier, and no further for the end of an interval.
_BEYOND = 1.6


@dataclass(frozen=True)
class Rung:
    """A row of the drawing; places along the scale in its units.

    Attributes:
        name: at its left.
        value: at its right, eV.
        color: of the mark.
        at: of the mark; None where there is none.
        low: of the lower end of the interval, None without one.
        high: of its upper end, and
        beyond: whether that is beyond the scale.
        barrier: eV, None for never.
        level: whether it is a percolating barrier, not a hop.
        said: all of it in words.
    """

    name: str
    value: str
    color: str
    at: float | None
    low: float | None
    high: float | None
    beyond: bool
    barrier: float | None
    level: bool
    said: str


@dataclass(frozen=True)
class Ladder:
    """The drawing.

    Attributes:
        rungs: percolating barriers, then hops from the lowest barrier on.
        ticks: place along the scale and text.
        threshold: its place, and its text.
        left_out: how many hops of higher barriers there are.
    """

    rungs: tuple[Rung, ...]
    ticks: tuple[tuple[float, str], ...]
    threshold: tuple[float, str]
    left_out: int


def ladder(prediction: Prediction) -> Ladder:
    """Lay out the drawing."""
    from matplotlib.ticker import MaxNLocator

    rows = sorted(prediction.hops, key=lambda row: row.barrier.value)
    shown = rows[:MAX_HOPS]
    values = [row.barrier.value for row in shown]
    values += [level.barrier for level in prediction.percolation if level.barrier is not None]
    reach = max(2 * prediction.threshold, _BEYOND * max(values))
    highs = [row.barrier.high for row in shown if row.barrier.high is not None]
    highs += [ends[1] for ends in prediction.intervals if ends is not None]
    reach = min(reach, max([1.2 * prediction.threshold, *values, *highs]))
    ticks = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(min(0.0, *values), reach)
    low, high = float(ticks[0]), float(ticks[-1])

    def place(energy: float) -> float:
        share = (min(max(energy, low), high) - low) / (high - low)
        return round(LEFT + share * (RIGHT - LEFT), 1)

    def rung(name: str, found: Barrier | None, value: float | None, ends: Sequence[float | None],
             level: bool) -> Rung:  # fmt: skip
        bottom, top = ends
        text = "never" if value is None else f"{value:.3f}"
        said = f"{name}: {text}" + ("" if value is None else " eV")
        return Rung(
            name,
            text,
            "#1c1e21" if found is None else barrier_color(found.value, prediction.threshold),
            None if value is None else place(value),
            None if bottom is None else place(bottom),
            None if top is None else place(top),
            top is not None and top > high,
            value,
            level,
            said,
        )

    rungs = []
    for level, ends in zip(prediction.percolation, prediction.intervals, strict=True):
        rungs.append(rung(f"{level.dimension}D", None, level.barrier, ends or (None, None), True))
    for row in shown:
        one = row.barrier
        marks = mark_of(one) + blocked_mark(row)
        name = f"{row.hop.label} {marks}".rstrip()
        rungs.append(rung(name, one, one.value, (one.low, one.high), False))
    at = place(prediction.threshold)
    return Ladder(
        tuple(rungs),
        tuple((place(float(tick)), f"{tick:g}") for tick in ticks),
        (at, f"{prediction.threshold:g} eV"),
        len(rows) - len(shown),
    )

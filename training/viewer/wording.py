"""What pictures and tables of a page say about hops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from linegraph.percolation import Percolation
from linegraph.predicted import TOO_CLOSE, HopBarrier, Prediction

from ..predict_output import BLOCKED, interval_text, percent_text


@dataclass(frozen=True)
class Choice:
    """A part of the network that can be picked out.

    Attributes:
        text: of the button, short.
        where: the directions in words; empty for all hops.
        barrier: hops up to this are in it, eV; None where the ion never gets through.
    """

    text: str
    where: str
    barrier: float | None


def choices(prediction: Prediction) -> list[Choice]:
    """All hops, then those up to each percolating barrier; equal ones are one choice."""
    found = [Choice("all hops", "", float("inf"))]
    levels = list(prediction.percolation)
    while levels:
        same = [level for level in levels if level.barrier == levels[0].barrier]
        levels = levels[len(same) :]
        names = ", ".join(f"{level.dimension}D" for level in same)
        if same[0].barrier is None:
            found.append(Choice(f"{names} never", "", None))
        else:
            text = f"{names} from {same[0].barrier:.3g} eV"
            found.append(Choice(text, directions(same[-1]), same[0].barrier))
    return found


def directions(level: Percolation) -> str:
    """Where it leads, without the barrier: "along b"."""
    return str(level).split(", ", 1)[1]


def hover(row: HopBarrier) -> str:
    """All about a hop in a few short lines of plotly's HTML; names of records are escaped."""
    hop, barrier = row.hop, row.barrier
    lines = [f"<b>{hop.label}</b>", f"{hop.length:.3f} Å, {hop.multiplicity} per cell"]
    lines.append(f"{barrier.value:.3f} eV")
    if barrier.low is not None and barrier.level is not None:
        lines[-1] += f" ({100 * barrier.level:.3g} %: {interval_text(barrier)} eV)"
        lines.append(f"P(&lt; {barrier.threshold:g} eV) {escape(percent_text(barrier.below))}")
    if row.blocked:
        lines.append(f"! passes an atom at {row.approach:.2f} Å, nearer than {TOO_CLOSE:g} Å")
    if barrier.outside:
        lines.append("* unlike the training records; nearest:")
        lines += [f"  {escape(name)}" for name in barrier.nearest]
    return "<br>".join(lines)


def up_to(rows: Sequence[HopBarrier], choice: Choice) -> list[bool]:
    """Which hops are in a part of the network."""
    limit = float("-inf") if choice.barrier is None else choice.barrier
    return [row.barrier.value <= limit for row in rows]


def blocked_mark(row: HopBarrier) -> str:
    """``!`` of a path that passes an atom too near."""
    return BLOCKED if row.blocked else ""

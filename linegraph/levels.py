"""Percolation with intervals, in words and for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .percolation import Percolation

#: Low and high end, eV.
Interval = tuple[float, float]


def in_words(levels: Sequence[Percolation], intervals: Sequence[Interval | None]) -> list[str]:
    """A line for each further dimension that opens up, with its interval if there is one."""
    lines: list[str] = []
    for found, interval, further in zip(levels, intervals, (*levels[1:], None), strict=True):
        if found.barrier is None:
            return [*lines, f"{found.dimension}D never with these hops"]
        if further is not None and further.barrier == found.barrier:
            continue
        between = ""
        if interval is not None:
            low, high = map(rounded, interval)
            between = f"; {low} to {high} eV if all hops are at their low or high ends"
        lines.append(f"{found}{between}")
    return lines


def level_as_dict(found: Percolation, interval: Interval | None) -> dict[str, Any]:
    """Plain numbers, ready for JSON."""
    low, high = interval or (None, None)
    return {
        "dimension": found.dimension,
        "barrier_eV": found.barrier,
        "low_eV": low,
        "high_eV": high,
        "directions": [[list(d) for d in network] for network in found.directions],
    }


def rounded(energy: float) -> str:
    """An end of an interval, eV: two decimals, as far as it has a meaning to give them."""
    # Far from all training records an upper end may have hundreds of digits.
    return f"{energy:.2f}" if energy < 100 else f"{energy:.1g}"

"""Bars: what a ratio must be at least, and whether it is."""

from __future__ import annotations

from .compare import Measured


def at_least(what: str, bar: float, found: float | None) -> str:
    """One sentence: ``bar 6x (forward+backward against ref-literal): 7.1x``."""
    if found is None:
        return f"bar {bar:g}x ({what}): not measured."
    missed = "" if found >= bar else ", missed"
    return f"bar {bar:g}x ({what}): {found:.1f}x{missed}."


def at_most(what: str, bar: float, found: float | None, unit: str) -> str:
    """One sentence: ``bar 8 GiB at most (inference of 10,240 atoms): 5.2 GiB``."""
    if found is None:
        return f"bar {bar:g} {unit} at most ({what}): not measured."
    missed = "" if found <= bar else ", missed"
    return f"bar {bar:g} {unit} at most ({what}): {found:.1f} {unit}{missed}."


def faster(row: Measured, side: str) -> float | None:
    """How many times the time of ours a side takes; None where it was not timed."""
    found = row.ratios.get(side)
    return None if found is None else found.wall


def smaller(row: Measured, side: str) -> float | None:
    """How many times the memory of ours a side takes; None where it was not measured."""
    ours = next(iter(row.times))
    if side not in row.memory or not row.memory.get(ours):
        return None
    return row.memory[side] / row.memory[ours]

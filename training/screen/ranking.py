"""The tables of a screening: crystals by percolating barrier, and failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from linegraph.percolation import Percolation
from training.files import write_csv

from .store import Failure

#: Columns of ``failures.csv``.
FAILURES = ("file", "problem", "field", "hop")

_BEFORE = ("file", "formula", "ion", "hops")
_AFTER = (
    "level", "probability_below_threshold", "threshold_eV", "outside", "blocked_hops",
    "barrier_1D_without_blocked_eV",
)  # fmt: skip

#: Columns of ``ranking.csv``.
COLUMNS = (
    *_BEFORE,
    *(
        name
        for d in (1, 2, 3)
        for name in (f"barrier_{d}D_eV", f"low_{d}D_eV", f"high_{d}D_eV", f"directions_{d}D")
    ),
    *_AFTER,
)


class Level(NamedTuple):
    """How easily the ion gets through in so many dimensions.

    Attributes:
        barrier: eV; None if no barrier is enough.
        low: eV; None where there is no interval, as ``high``.
        high: eV.
        directions: in words.
    """

    barrier: float | None
    low: float | None
    high: float | None
    directions: str


@dataclass(frozen=True)
class Row:
    """A crystal in the ranking. Energies have six decimals.

    Attributes:
        file: its name in the folder.
        formula: reduced.
        ion: element that hops.
        hops: number of distinct ones.
        levels: in 1, 2 and 3 dimensions.
        level: of the intervals; None where there are none.
        below: probability that the hop that decides in 1D is below the threshold; of several with
            the same barrier the least. None where nothing gets through, or not calibrated.
        threshold: eV.
        outside: whether any hop up to the barrier in 1D is unlike the training records (any at
            all, if nothing gets through); None where not calibrated.
        blocked: number of hops that pass an atom too near.
        clear: barrier in 1D without these, eV; None if nothing gets through.
    """

    file: str
    formula: str
    ion: str
    hops: int
    levels: tuple[Level, Level, Level]
    level: float | None
    below: float | None
    threshold: float
    outside: bool | None
    blocked: int
    clear: float | None

    @property
    def order(self) -> tuple[float | str, ...]:
        """The easier the ion gets through in 1D, then 2D and 3D, the nearer to the top."""
        return *(inf if one.barrier is None else one.barrier for one in self.levels), self.file

    def cells(self) -> list[object]:
        """A line of ``ranking.csv``."""
        levels = [value for level in self.levels for value in level]
        return [
            self.file, self.formula, self.ion, self.hops, *levels, self.level, self.below,
            self.threshold, self.outside, self.blocked, self.clear,
        ]  # fmt: skip


def row_of(file: str, found: dict[str, Any]) -> Row:
    """What the ranking says of a crystal.

    Args:
        file: its name.
        found: :meth:`linegraph.predicted.Prediction.as_dict`.
    """
    hops = found["hops"]
    one, two, three = (_level(level) for level in found["percolation"])
    deciding = found["percolation"][0]["barrier_eV"]
    used = [hop for hop in hops if deciding is None or hop["barrier_eV"] <= deciding]
    known = found["model"]["calibrated"]
    below = [h["probability_below_threshold"] for h in hops if h["barrier_eV"] == deciding]
    return Row(
        file=file,
        formula=found["formula"],
        ion=found["ion"],
        hops=len(hops),
        levels=(one, two, three),
        level=found["level"] if known else None,
        below=_round(min(below)) if known and below else None,
        threshold=found["threshold_eV"],
        outside=any(hop["outside"] for hop in used) if known else None,
        blocked=sum(hop["blocked"] for hop in hops),
        clear=_round(found["percolation_without_blocked"][0]["barrier_eV"]),
    )


def write_tables(folder: Path, rows: Sequence[Row], failures: Sequence[Failure]) -> None:
    """Write ``ranking.csv`` and ``failures.csv``.

    Raises:
        InputError: a file cannot be written.
    """
    write_csv(folder / "ranking.csv", COLUMNS, (row.cells() for row in rows))
    write_csv(
        folder / "failures.csv", FAILURES, ((f.file, f.problem, f.field, f.hop) for f in failures)
    )


def _level(found: dict[str, Any]) -> Level:
    networks = tuple(tuple((a, b, c) for a, b, c in network) for network in found["directions"])
    level = Percolation(found["dimension"], found["barrier_eV"], networks)
    return Level(
        _round(level.barrier), _round(found["low_eV"]), _round(found["high_eV"]),
        str(level).partition(" eV, ")[2],
    )  # fmt: skip


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)

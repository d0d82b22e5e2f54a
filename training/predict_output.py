"""What the command ``predict`` shows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from linegraph.barrier import Barrier
from linegraph.empty_sites import empty_sites_in_words
from linegraph.ensemble import Ensemble
from linegraph.levels import rounded
from linegraph.predicted import TOO_CLOSE, Prediction

from .data import hop_length, ion_of
from .neb.table import NebTable
from .predict_files import BandFile, CrystalFile

#: Marks of what is to be taken with care.
OUTSIDE, BLOCKED = "*", "!"

#: Above the barriers of a potential.
NEB = "NEB (eV)"

#: So many are named one by one, the rest is counted.
_NAMED = 5

#: Where the others are.
_REST = "--csv names all"

_WIDE = 1000


class _Row(NamedTuple):
    cells: tuple[str, ...]
    barrier: Barrier
    marks: str


class Output:
    """Tables on standard output.

    Args:
        ensemble: what predicts.
        level: of the intervals.
        threshold: eV.
    """

    def __init__(self, ensemble: Ensemble, level: float, threshold: float) -> None:
        # Lines of a terminal have an end, those of a pipe or a file have none.
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
        self._calibrated = ensemble.calibrated
        self._potential = ensemble.potential
        self._columns = ["barrier (eV)"]
        if ensemble.calibrated:
            self._columns += [f"{100 * level:.3g} % interval", f"P(< {threshold:g} eV)"]

    def crystal(self, found: CrystalFile) -> None:
        """The hops of a crystal, in words where they lead, and what to take with care."""
        prediction = found.prediction
        self._say(f"{found.path}: crystal of {prediction.formula}, hops of {prediction.ion}")
        rows = [
            _Row(
                (row.hop.label, f"{row.hop.length:.3f}"),
                row.barrier,
                mark_of(row.barrier) + (BLOCKED if row.blocked else ""),
            )
            for row in prediction.hops
        ]
        if prediction.empty_sites is not None:
            for line in empty_sites_in_words(prediction.empty_sites):
                self._say(line)
        self._table(("hop", "length (Å)"), rows)
        for line in prediction.in_words():
            self._say(line)
        for line in cautions(prediction):
            self._say(line)

    def bands(self, found: Sequence[BandFile]) -> None:
        """One table of all ready bands."""
        every = [pair for file in found for pair in zip(file.bands, file.barriers, strict=True)]
        rows = [
            _Row((band.name, ion_of(band), f"{hop_length(band):.3f}"), barrier, mark_of(barrier))
            for band, barrier in every
        ]
        self._table(("band", "ion", "length (Å)"), rows)
        single = [str(file.path) for file in found if file.single]
        if single:
            self._say(f"read as bands, atoms 0 to 4 being the images: {_first(single)}")
        for line in far_away([(band.name, barrier) for band, barrier in every]):
            self._say(line)

    def beside(self, found: Sequence[Barrier], neb: NebTable) -> None:
        """How many hops have a barrier of a potential, and what it was learned to be worth."""
        count = sum(barrier.potential is not None for barrier in found)
        left_out = f"; {neb.left_out_in_words}" if neb.left_out else ""
        self._say(f"NEB: barriers of {neb.source} for {count} of {len(found)} hops{left_out}")
        if self._potential is not None and count:
            before, after = self._potential.mae
            self._say(
                f"NEB: what these are worth was learned with barriers of {self._potential.source} "
                f"(held out, an MAE of {after:.3f} instead of {before:.3f} eV)"
            )

    def uncalibrated(self) -> None:
        """Say why there are no intervals, if there are none."""
        if not self._calibrated:
            self._say("no intervals: the weights hold no held-out predictions (train --folds does)")

    def _table(self, columns: tuple[str, ...], rows: Sequence[_Row]) -> None:
        table = Table()
        marked = any(row.marks for row in rows)
        beside = any(row.barrier.potential is not None for row in rows)
        if beside:
            columns = (*columns, NEB)
        for number, column in enumerate((*columns, *self._columns, *([""] if marked else []))):
            # Names are what the rest is about: folded rather than cut where the line is short.
            table.add_column(column, overflow="fold", no_wrap=number > 0)
        for row in rows:
            cells = [*row.cells, *[potential_text(row.barrier)] * beside]
            cells.append(f"{row.barrier.value:.3f}")
            if self._calibrated:
                cells += [interval_text(row.barrier), percent_text(row.barrier.below)]
            table.add_row(*map(Text, (*cells, row.marks) if marked else cells))
        self._console.print(table)

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def cautions(prediction: Prediction, rest: str = _REST) -> list[str]:
    """Lines about what is to be taken with care in a crystal, and ``rest`` about further hops."""
    lines = far_away([(row.hop.label, row.barrier) for row in prediction.hops], rest)
    blocked = [f"{row.hop.label} ({row.approach:.2f} Å)" for row in prediction.hops if row.blocked]
    if blocked:
        lines.append(
            f"{BLOCKED} passes an atom nearer than {TOO_CLOSE:g} Å, where no ion fits "
            f"({advice(prediction.idpp)}): {_first(blocked)}"
        )
    return lines


def advice(idpp: bool) -> str:
    """What to do about hops that pass an atom too near, if not done already."""
    return "even on its bent path" if idpp else "--idpp bends paths"


def far_away(rows: Sequence[tuple[str, Barrier]], rest: str = _REST) -> list[str]:
    """Lines about hops, by name, that are unlike the training records, the farthest first."""
    outside = [(b.distance, name, b) for name, b in rows if b.outside and b.distance]
    outside.sort(key=lambda row: row[0], reverse=True)
    lines = [
        f"{OUTSIDE} {name} is unlike the training records, {distance:.2f} times as far as "
        f"95 % of held-out ones; nearest: {', '.join(barrier.nearest)}"
        for distance, name, barrier in outside[:_NAMED]
    ]
    if len(outside) > _NAMED:
        lines.append(f"{OUTSIDE} and {len(outside) - _NAMED} more; {rest}")
    return lines


def mark_of(barrier: Barrier) -> str:
    """``*`` of what is unlike the training records."""
    return OUTSIDE if barrier.outside else ""


def interval_text(barrier: Barrier) -> str:
    """Both ends in eV, or a dash."""
    if barrier.low is None or barrier.high is None:
        return "-"
    return f"{rounded(barrier.low)} to {rounded(barrier.high)}"


def potential_text(barrier: Barrier) -> str:
    """The barrier of a potential in eV, or a dash."""
    return "-" if barrier.potential is None else f"{barrier.potential:.3f}"


def percent_text(share: float | None) -> str:
    """A probability, or a dash."""
    if share is None:
        return "-"
    if 0 < share < 0.01:
        return "< 1 %"
    return "> 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"

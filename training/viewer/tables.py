"""The numbers of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from linegraph.barrier import Barrier
from linegraph.errors import InputError
from linegraph.levels import rounded
from linegraph.percolation import Percolation
from linegraph.predicted import Prediction

from ..data import hop_length, ion_of
from ..judging.page import NONE, Grid
from ..predict_files import BandFile
from ..predict_output import NEB, interval_text, mark_of, percent_text, potential_text
from .wording import blocked_mark, directions


def hop_grid(prediction: Prediction) -> Grid:
    """A row for each hop: its barrier, and what to think of it; a potential's beside it."""
    beside = any(row.barrier.potential is not None for row in prediction.hops)
    rows = [
        [
            row.hop.label,
            f"{row.hop.length:.3f}",
            str(row.hop.multiplicity),
            *[potential_text(row.barrier)] * beside,
            *_numbers(row.barrier, prediction.model.calibrated),
            mark_of(row.barrier) + blocked_mark(row),
        ]
        for row in prediction.hops
    ]
    shown = _columns(prediction.level, prediction.threshold, prediction.model.calibrated)
    columns = ["hop", "length (Å)", "per cell", *[NEB] * beside, *shown, "marks"]
    return Grid(columns, rows, "Distinct hops")


def place_grid(prediction: Prediction) -> Grid:
    """A row for each hop: where it is, what it passes, and what it is like."""
    rows = [
        [
            row.hop.label,
            f"{row.hop.initial} to {row.hop.final}",
            " ".join(f"{number:d}" for number in row.hop.image),
            _places(row.hop.start),
            _places(row.hop.end),
            f"{row.approach:.2f}",
            *_likeness(row.barrier),
        ]
        for row in prediction.hops
    ]
    columns = ["hop", "sites", "cell of the last", "from (fractional)", "to (fractional)",
               "nearest atom (Å)", "distance", "nearest training records"]  # fmt: skip
    return Grid(columns, rows, "Where the hops are, and what they are like")


def lattice_grid(prediction: Prediction) -> Grid:
    """The cell that fractional coordinates and directions refer to."""
    rows = [
        [name, *(f"{x:.4f}" for x in vector)]
        for name, vector in zip("abc", prediction.cell.lattice.tolist(), strict=True)
    ]
    return Grid(["vector", "x (Å)", "y (Å)", "z (Å)"], rows, "Unit cell")


def level_grid(prediction: Prediction) -> Grid:
    """A row for each number of dimensions, and what it is without paths that are blocked."""
    rows = [
        [*_level(level), NONE if ends is None else " to ".join(map(rounded, ends))]
        for level, ends in zip(prediction.percolation, prediction.intervals, strict=True)
    ]
    if prediction.clear != prediction.percolation:
        rows += [[*_level(level, " without paths marked !"), NONE] for level in prediction.clear]
    return Grid(["", "where", "barrier (eV)", "low to high (eV)"], rows, "Percolation", names=2)


def band_grid(found: Sequence[BandFile], level: float, threshold: float, calibrated: bool) -> Grid:
    """A row for each ready band; barriers of a potential beside ours, where there are any."""
    beside = any(barrier.potential is not None for file in found for barrier in file.barriers)
    rows = [
        [
            band.name,
            str(file.path),
            ion_of(band),
            f"{hop_length(band):.3f}",
            *[potential_text(barrier)] * beside,
            *_numbers(barrier, calibrated),
            mark_of(barrier),
            *_likeness(barrier),
        ]
        for file in found
        for band, barrier in zip(file.bands, file.barriers, strict=True)
    ]
    shown = _columns(level, threshold, calibrated)
    columns = ["band", "file", "ion", "length (Å)", *[NEB] * beside, *shown, "marks", "distance",
               "nearest training records"]  # fmt: skip
    return Grid(columns, rows, names=2)


def failure_grid(found: Iterable[InputError]) -> Grid:
    """A row for each file that could not be used."""
    return Grid(["file", "what is wrong"], [[str(e.file), str(e)] for e in found], names=2)


def _columns(level: float, threshold: float, calibrated: bool) -> list[str]:
    if not calibrated:
        return ["barrier (eV)"]
    return ["barrier (eV)", f"{100 * level:.3g} % interval (eV)", f"P(< {threshold:g} eV)"]


def _numbers(barrier: Barrier, calibrated: bool) -> list[str]:
    numbers = [f"{barrier.value:.3f}"]
    return (
        [*numbers, interval_text(barrier), percent_text(barrier.below)] if calibrated else numbers
    )


def _likeness(barrier: Barrier) -> list[str]:
    """Of the training records: how far it is from them, and the nearest."""
    if barrier.distance is None:
        return [NONE, NONE]
    return [f"{barrier.distance:.3g}", "; ".join(barrier.nearest)]


def _level(level: Percolation, more: str = "") -> list[str]:
    name = f"{level.dimension}D{more}"
    if level.barrier is None:
        return [name, "never with these hops", NONE]
    return [name, directions(level), f"{level.barrier:.3f}"]


def _places(frac: Iterable[float]) -> str:
    return " ".join(f"{x:.4f}" for x in frac)

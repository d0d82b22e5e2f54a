"""From a crystal structure to the barriers of its hops, and to where the ion gets through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, NamedTuple

import torch
from numpy.typing import ArrayLike

from .elements import SYMBOLS
from .ensemble import Barrier, Ensemble, load_ensemble
from .errors import InputError
from .hops import Hop, hops
from .levels import Interval, in_words, level_as_dict
from .percolation import Percolation, percolation
from .reading import as_cell
from .structure import Cell
from .supercell import MIN_WIDTH, band_of, closest_approach

#: eV; an ion with lower barriers is a good conductor's.
THRESHOLD = 0.65

#: How often an interval is to hold the barrier.
LEVEL = 0.9

#: Å; a path that comes nearer to an atom of the host is no way for an ion.
TOO_CLOSE = 1.0

Weights = str | PathLike[str] | Ensemble


@dataclass(frozen=True)
class HopBarrier:
    """A hop and what is predicted of it.

    Attributes:
        hop: see :class:`linegraph.hops.Hop`.
        band: what the models looked at (:func:`linegraph.supercell.band_of`).
        approach: least distance of an image to an atom of the host, Å; at most 5.
        barrier: see :class:`linegraph.ensemble.Barrier`.
    """

    hop: Hop
    band: Cell = field(repr=False, compare=False)
    approach: float
    barrier: Barrier

    @property
    def blocked(self) -> bool:
        """Whether the path comes nearer than :data:`TOO_CLOSE` to an atom."""
        return self.approach < TOO_CLOSE

    def as_dict(self) -> dict[str, Any]:
        """Everything but the band, ready for JSON."""
        hop = self.hop
        return {
            "hop": hop.label,
            "length_A": hop.length,
            "multiplicity": hop.multiplicity,
            "initial_site": hop.initial,
            "final_site": hop.final,
            "final_image": list(hop.image),
            "start_fractional": list(hop.start),
            "end_fractional": list(hop.end),
            "closest_approach_A": self.approach,
            "blocked": self.blocked,
            **barrier_as_dict(self.barrier),
        }


class Model(NamedTuple):
    """What predicted.

    Attributes:
        name: of the model.
        members: how many of them the barrier is the mean of.
        records: how many they were trained on; 0 where the weights do not tell.
        calibrated: whether there are intervals.
    """

    name: str
    members: int
    records: int
    calibrated: bool


@dataclass(frozen=True)
class Prediction:
    """The barriers of a crystal.

    Attributes:
        formula: reduced formula.
        ion: element that hops.
        cell: the crystal as given, which sites and directions refer to.
        hops: its distinct hops with their barriers, sorted by length.
        percolation: at which barrier they lead through the crystal in 1, 2 and 3 dimensions.
        intervals: for each of these, the barrier (eV) if all hops were at the low, and if all
            were at the high end of their intervals. Hops of one crystal err together, but not
            entirely, so this is no joint interval: the barrier is within it at least as often as
            all hops are within theirs. None where nothing gets through, or nothing was calibrated.
        clear: as ``percolation``, without the hops whose path is blocked.
        model: what predicted.
        level: of the intervals.
        threshold: eV, of the probabilities.
    """

    formula: str
    ion: str
    cell: Cell = field(repr=False, compare=False)
    hops: tuple[HopBarrier, ...]
    percolation: tuple[Percolation, ...]
    intervals: tuple[Interval | None, ...]
    clear: tuple[Percolation, ...]
    model: Model
    level: float
    threshold: float

    def in_words(self) -> list[str]:
        """Where the ion gets through, a line for each further dimension."""
        lines = in_words(self.percolation, self.intervals)
        if self.clear != self.percolation:
            without = "; ".join(in_words(self.clear, (None, None, None)))
            lines.append(f"without paths that pass an atom nearer than {TOO_CLOSE:g} Å: {without}")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and text, ready for JSON; units are in the keys, ``A`` is Å."""
        return {
            "formula": self.formula,
            "ion": self.ion,
            "level": self.level,
            "threshold_eV": self.threshold,
            "model": self.model._asdict(),
            "lattice_A": self.cell.lattice.tolist(),
            "hops": [hop.as_dict() for hop in self.hops],
            "percolation": [
                level_as_dict(found, interval)
                for found, interval in zip(self.percolation, self.intervals, strict=True)
            ],
            "percolation_without_blocked": [level_as_dict(found, None) for found in self.clear],
        }


def predict(
    structure: Any,
    ion: str | None = None,
    *,
    weights: Weights | None = None,
    max_length: float | None = None,
    empty_sites: ArrayLike | None = None,
    min_width: float = MIN_WIDTH,
    idpp: bool = False,
    level: float = LEVEL,
    threshold: float = THRESHOLD,
    device: str = "auto",
) -> Prediction:
    """Predict the barriers of all distinct hops of an ion in a crystal.

    Args:
        structure: the path of a file that pymatgen reads (CIF, POSCAR, ...), a pymatgen
            ``Structure``, ASE ``Atoms``, or a :class:`Cell`; any cell of the crystal.
        ion: element of the mobile ion; without it the only usual one there is.
        weights: an :class:`Ensemble`, or what :func:`linegraph.ensemble.load_ensemble` reads; for
            many structures load it once. The graphs are made as it was trained.
        max_length: see :func:`linegraph.hops.hops`, Å.
        empty_sites: see there, ``[M, 3]`` fractional.
        min_width: see :func:`linegraph.supercell.band_of`, Å.
        idpp: see there.
        level: how often the intervals are to hold the barrier, between 0 and 1.
        threshold: eV; the probability that a barrier is below it is given.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        InputError: unusable weights, device or structure; whatever :func:`linegraph.hops.hops`
            and :func:`linegraph.supercell.band_of` refuse. Names the file, where there is one.
    """
    ensemble = usable_weights(weights)
    where = usable_device(device)
    _check(level, threshold)
    labels: list[str] = []
    try:
        cell = as_cell(structure)
        found = hops(cell, ion, max_length, empty_sites)
        bands = [band_of(cell, hop, min_width, idpp) for hop in found]
        labels = [hop.label for hop in found]
        barriers = ensemble.predict(bands, level=level, threshold=threshold, device=where)
    except InputError as error:
        file = structure if isinstance(structure, str | PathLike) else None
        raise named(error, labels).at(file=file) from None
    rows = tuple(
        HopBarrier(hop, band, closest_approach(band), barrier)
        for hop, band, barrier in zip(found, bands, barriers, strict=True)
    )
    return Prediction(
        formula=formula_of(cell),
        ion=found[0].ion,
        cell=cell,
        hops=rows,
        percolation=_levels(rows),
        intervals=_intervals(found, barriers),
        clear=_levels([row for row in rows if not row.blocked]),
        model=Model(ensemble.name, len(ensemble.members), ensemble.records, ensemble.calibrated),
        level=level,
        threshold=threshold,
    )


def predict_bands(
    bands: Sequence[Any],
    *,
    weights: Weights | None = None,
    level: float = LEVEL,
    threshold: float = THRESHOLD,
    device: str = "auto",
) -> list[Barrier]:
    """Predict the barriers of bands, where the paths are known.

    Args:
        bands: anything :func:`linegraph.views` takes: structures whose atoms 0..4 are the images
            of the ion, or, for models that look no further, :class:`linegraph.Ends`.
        weights: see :func:`predict`, as for the rest.
        level: between 0 and 1.
        threshold: eV.
        device: auto, cpu, cuda or cuda:N.

    Returns:
        A barrier for each band, in their order.

    Raises:
        InputError: unusable weights or device, or an unusable band; names its position.
    """
    ensemble, where = usable_weights(weights), usable_device(device)
    _check(level, threshold)
    return ensemble.predict(bands, level=level, threshold=threshold, device=where)


def barrier_as_dict(barrier: Barrier) -> dict[str, Any]:
    """A barrier ready for JSON: plain numbers, None where the weights know none."""
    return {
        "barrier_eV": barrier.value,
        "low_eV": barrier.low,
        "high_eV": barrier.high,
        "probability_below_threshold": barrier.below,
        "distance": barrier.distance,
        "outside": barrier.outside,
        "nearest": list(barrier.nearest),
    }


def usable_weights(weights: Weights | None) -> Ensemble:
    """The ensemble itself, or the one in a file.

    Raises:
        InputError: see :func:`linegraph.ensemble.load_ensemble`.
    """
    return weights if isinstance(weights, Ensemble) else load_ensemble(weights)


def usable_device(name: str) -> str:
    """A device that is here: ``auto`` is a GPU if there is one.

    Raises:
        InputError: not of the names known, or not here.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", name):
        raise InputError(f"unknown device {name!r}; known are auto, cpu, cuda, cuda:N")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is available here; use cpu")
    if number and int(number) >= torch.cuda.device_count():
        raise InputError(f"there are {torch.cuda.device_count()} CUDA devices, none {number}")
    return name


def formula_of(cell: Cell) -> str:
    """The reduced formula (``LiFePO4``)."""
    from pymatgen.core import Composition

    symbols = [SYMBOLS[z - 1] for z in cell.numbers.tolist()]
    formula: str = Composition({s: symbols.count(s) for s in set(symbols)}).reduced_formula
    return formula


def named(error: InputError, names: Sequence[str]) -> InputError:
    """An error about one of several, with its name in place of its position."""
    if not isinstance(error.record, int) or error.record >= len(names):
        return error
    name = repr(names[error.record])
    return InputError(error.problem, file=error.file, record=name, field=error.field)


def _check(level: float, threshold: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"expected a number between 0 and 1, got {level}", field="level")
    if not 0 < threshold < float("inf"):
        raise InputError(f"expected more than 0 eV, got {threshold}", field="threshold")


def _levels(rows: Sequence[HopBarrier]) -> tuple[Percolation, ...]:
    return percolation([row.hop for row in rows], [row.barrier.value for row in rows])


def _intervals(found: Sequence[Hop], barriers: Sequence[Barrier]) -> tuple[Interval | None, ...]:
    lows = [barrier.low for barrier in barriers if barrier.low is not None]
    highs = [barrier.high for barrier in barriers if barrier.high is not None]
    if len(lows) < len(found) or len(highs) < len(found):
        return (None, None, None)
    return tuple(
        None if low.barrier is None or high.barrier is None else (low.barrier, high.barrier)
        for low, high in zip(percolation(found, lows), percolation(found, highs), strict=True)
    )

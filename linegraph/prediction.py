"""From a crystal structure to the barriers of its hops, and to where the ion gets through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .approach import closest_approach
from .barrier import Barrier
from .devices import usable_device
from .elements import SYMBOLS, Z_OF
from .empty_sites import with_found
from .ensemble import Ensemble
from .ensemble_file import load_ensemble
from .errors import InputError
from .hops import Hop, hops
from .levels import Interval
from .percolation import Percolation, percolation
from .predicted import HopBarrier, Prediction, Predictor
from .reading import as_cell
from .structure import Cell
from .supercell import MIN_WIDTH, band_of

#: eV; an ion with lower barriers is a good conductor's.
THRESHOLD = 0.65

#: How often an interval is to hold the barrier.
LEVEL = 0.9

Weights = str | PathLike[str] | Ensemble

#: Barriers of some hops in eV, by their labels, or how to find them.
OfHops = Mapping[str, float] | Callable[[str, Sequence[Hop], Sequence[Cell]], Mapping[str, float]]


def predict(
    structure: Any,
    ion: str | None = None,
    *,
    weights: Weights | None = None,
    max_length: float | None = None,
    empty_sites: ArrayLike | None = None,
    find_empty_sites: bool = False,
    min_width: float = MIN_WIDTH,
    idpp: bool = False,
    level: float = LEVEL,
    threshold: float = THRESHOLD,
    device: str = "auto",
    potential: OfHops | None = None,
    ended: Callable[[str], None] | None = None,
) -> Prediction:
    """Predict the barriers of all distinct hops of an ion in a crystal.

    Args:
        structure: the path of a file that pymatgen reads (CIF, POSCAR, ...), a pymatgen
            ``Structure``, ASE ``Atoms``, or a :class:`Cell`; any cell of the crystal.
        ion: element of the mobile ion; without it the only usual one there is.
        weights: an :class:`Ensemble`, or what :func:`linegraph.ensemble_file.load_ensemble` reads;
            for many structures load it once. The graphs are made as it was trained.
        max_length: see :func:`linegraph.hops.hops`, Å.
        empty_sites: see there, ``[M, 3]`` fractional.
        find_empty_sites: find more (:func:`linegraph.empty_sites.find_empty_sites`).
        min_width: see :func:`linegraph.supercell.band_of`, Å.
        idpp: see there.
        level: how often the intervals are to hold the barrier, between 0 and 1.
        threshold: eV; the probability that a barrier is below it is given.
        device: auto, cpu, cuda or cuda:N.
        potential: barriers of a potential's nudged elastic bands in eV, by the labels of hops, or a
            function that finds them for a reduced formula, its hops and their bands; none for hops
            that are left out. Of weights that have learned what they are worth.
        ended: told when a stage is over: ``hops``, ``bands``, ``model``, ``percolation``.

    Raises:
        InputError: unusable weights, device or structure; whatever :func:`linegraph.hops.hops`,
            :func:`linegraph.empty_sites.find_empty_sites` and
            :func:`linegraph.supercell.band_of` refuse; a label that no hop has, or what is no
            barrier of a potential. Names the file, where there is one.
    """
    ensemble = usable_weights(weights)
    where = usable_device(device)
    _check(level, threshold)
    if potential is not None:
        ensemble.require_potential()
    mark = ended or (lambda _: None)
    labels: list[str] = []
    try:
        cell = as_cell(structure)
        empty, new = with_found(cell, ion, empty_sites, find_empty_sites)
        found = hops(cell, ion, max_length, empty)
        mark("hops")
        bands = [band_of(cell, hop, min_width, idpp) for hop in found]
        approaches = [closest_approach(band) for band in bands]
        mark("bands")
        labels = [hop.label for hop in found]
        barriers = ensemble.predict(
            bands,
            level=level,
            threshold=threshold,
            device=where,
            potential=None
            if potential is None
            else _beside(potential, formula_of(cell), found, bands),
        )
    except InputError as error:
        file = structure if isinstance(structure, str | PathLike) else None
        raise named(error, labels).at(file=file) from None
    mark("model")
    rows = tuple(map(HopBarrier, found, bands, approaches, barriers))
    ions = np.flatnonzero(cell.numbers == Z_OF[found[0].ion]).tolist()
    prediction = Prediction(
        formula=formula_of(cell),
        ion=found[0].ion,
        cell=cell,
        hops=rows,
        percolation=_levels(rows, ions),
        intervals=_intervals(found, barriers, ions),
        clear=_levels([row for row in rows if not row.blocked], ions),
        model=Predictor(
            ensemble.name, len(ensemble.members), ensemble.records, ensemble.calibrated
        ),
        level=level,
        threshold=threshold,
        empty_sites=new,
        idpp=idpp,
    )
    mark("percolation")
    return prediction


def predict_bands(
    bands: Sequence[Any],
    *,
    weights: Weights | None = None,
    level: float = LEVEL,
    threshold: float = THRESHOLD,
    device: str = "auto",
    potential: Sequence[float | None] | None = None,
) -> list[Barrier]:
    """Predict the barriers of bands, where the paths are known.

    Args:
        bands: anything :func:`linegraph.views` takes: structures whose atoms 0..4 are the images
            of the ion, or, for models that look no further, :class:`linegraph.Ends`.
        weights: see :func:`predict`, as for the rest.
        level: between 0 and 1.
        threshold: eV.
        device: auto, cpu, cuda or cuda:N.
        potential: barriers of a potential's nudged elastic bands in eV, one for each band, None
            where there is none; of weights that have learned what they are worth.

    Returns:
        A barrier for each band, in their order.

    Raises:
        InputError: unusable weights or device, an unusable band, or barriers of a potential that
            are none (:func:`linegraph.potential.checked_barriers`); names its position.
    """
    ensemble, where = usable_weights(weights), usable_device(device)
    _check(level, threshold)
    return ensemble.predict(
        bands, level=level, threshold=threshold, device=where, potential=potential
    )


def usable_weights(weights: Weights | None) -> Ensemble:
    """The ensemble itself, or the one in a file.

    Raises:
        InputError: see :func:`linegraph.ensemble_file.load_ensemble`.
    """
    return weights if isinstance(weights, Ensemble) else load_ensemble(weights)


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


def _beside(
    potential: OfHops, formula: str, found: Sequence[Hop], bands: Sequence[Cell]
) -> list[float | None]:
    """A potential's barrier of each hop in eV, None where there is none."""
    given = potential(formula, found, bands) if callable(potential) else potential
    labels = [hop.label for hop in found]
    for label in given:
        if label not in labels:
            raise InputError(f"no hop has this label: {', '.join(labels)}", record=repr(label))
    return [given.get(label) for label in labels]


def _levels(rows: Sequence[HopBarrier], ions: Collection[int]) -> tuple[Percolation, ...]:
    return percolation([row.hop for row in rows], [row.barrier.value for row in rows], ions)


def _intervals(
    found: Sequence[Hop], barriers: Sequence[Barrier], ions: Collection[int]
) -> tuple[Interval | None, ...]:
    lows = [barrier.low for barrier in barriers if barrier.low is not None]
    highs = [barrier.high for barrier in barriers if barrier.high is not None]
    if len(lows) < len(found) or len(highs) < len(found):
        return (None, None, None)
    return tuple(
        None if low.barrier is None or high.barrier is None else (low.barrier, high.barrier)
        for low, high in zip(
            percolation(found, lows, ions), percolation(found, highs, ions), strict=True
        )
    )

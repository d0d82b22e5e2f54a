"""Predictions as they would be if a model had said so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from linegraph.approach import closest_approach
from linegraph.barrier import Barrier
from linegraph.hops import hops
from linegraph.percolation import percolation
from linegraph.predicted import TOO_CLOSE, HopBarrier, Prediction, Predictor
from linegraph.prediction import formula_of
from linegraph.structure import Cell
from linegraph.supercell import band_of

#: Names of training records, one of which looks like HTML.
NEAREST = ("<b>known</b>", "other & more")


def predicted(
    cell: Cell,
    barriers: Sequence[float],
    ion: str | None = None,
    *,
    outside: bool = False,
    calibrated: bool = True,
    idpp: bool = False,
    **how: Any,
) -> Prediction:
    """The hops of a crystal with these barriers (eV), of intervals half to twice as high.

    Args:
        cell: the crystal.
        barriers: of its hops by length; the last one is that of all further hops.
        ion: that hops.
        outside: whether hops are unlike the training records.
        calibrated: whether there are intervals.
        idpp: whether paths are bent.
        how: of :func:`linegraph.hops.hops`.
    """
    found = hops(cell, ion, **how)
    rows = []
    for i, hop in enumerate(found):
        value = barriers[min(i, len(barriers) - 1)]
        barrier = Barrier(value)
        if calibrated:
            distance = 1.5 if outside else 0.5
            barrier = Barrier(value, value / 2, 2 * value, 0.9, 0.42, 0.65, distance, NEAREST)
        band = band_of(cell, hop, idpp=idpp)
        rows.append(HopBarrier(hop, band, closest_approach(band), barrier))
    levels = percolation(found, [row.barrier.value for row in rows])
    clear = [row for row in rows if row.approach >= TOO_CLOSE]
    return Prediction(
        formula=formula_of(cell),
        ion=found[0].ion,
        cell=cell,
        hops=tuple(rows),
        percolation=levels,
        intervals=tuple(
            (level.barrier / 2, 2 * level.barrier) if calibrated and level.barrier else None
            for level in levels
        ),
        clear=percolation([row.hop for row in clear], [row.barrier.value for row in clear]),
        model=Predictor("MODEL-4", 2, 14, calibrated),
        level=0.9,
        threshold=0.65,
    )

"""Learning what barriers of a potential are worth beside a model, from held-out records."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from linegraph.domain import Domain
from linegraph.ensemble import Ensemble
from linegraph.errors import InputError
from linegraph.intervals import calibrate
from linegraph.nudge import Nudge, Potential

from .bands import Band
from .data import compound_of
from .neb.table import NebTable
from .read import BandSet

FloatArray = NDArray[np.float64]

#: What is tried: how far towards the potential's barrier, and the difference (eV) beyond which it
#: is believed no more.
WEIGHTS = tuple(round(0.1 * k, 1) for k in range(9))
LIMITS = (0.2, 0.3, 0.5, 0.7, 1.0, 2.0)

#: Parts, by system, of which each is judged by what the others choose.
PARTS = 5

#: Records with a barrier of the potential that are too few to learn from, and to tell how often an
#: interval of 90 % holds.
FEWEST = 20


def best_nudge(target: FloatArray, predicted: FloatArray, potential: FloatArray) -> Nudge:
    """The step with the least mean absolute error.

    Args:
        target: ``[n]`` barriers in eV.
        predicted: ``[n]`` of a model that had not seen the record, eV.
        potential: ``[n]`` of the potential, eV; NaN where it has none.
    """
    tried = [Nudge(*pair) for pair in product(WEIGHTS, LIMITS)]
    errors = [np.abs(nudge(predicted, potential) - target).mean() for nudge in tried]
    return tried[int(np.argmin(errors))]


def nested(
    target: FloatArray, predicted: FloatArray, potential: FloatArray, systems: Sequence[str]
) -> FloatArray:
    """Held-out predictions ``[n]`` in eV, each after the step that other compounds say is best.

    Args:
        target: ``[n]`` as of :func:`best_nudge`, like the next two.
        predicted: ``[n]``.
        potential: ``[n]``.
        systems: the compound of each record, of at least :data:`PARTS`.
    """
    from sklearn.model_selection import GroupKFold

    found = predicted.copy()
    for known, judged in GroupKFold(PARTS).split(predicted, groups=systems):
        nudge = best_nudge(target[known], predicted[known], potential[known])
        found[judged] = nudge(predicted[judged], potential[judged])
    return found


def check_enough(neb: NebTable, bands: Sequence[Band]) -> None:
    """Refuse a table from which nothing can be learned of these records.

    Raises:
        InputError: no name of a record is in the table; too few records, or compounds, have a
            barrier in it.
    """
    found = [band for band in bands if band.name in neb.barriers]
    if not found:
        raise no_barrier(neb, len(bands))
    compounds = len(set(map(compound_of, found)))
    if len(found) < FEWEST or compounds < PARTS:
        raise InputError(
            f"has barriers of {len(found)} records of {compounds} compounds{_left_out(neb)}; to "
            f"learn what they are worth takes {FEWEST} records of {PARTS} compounds",
            file=neb.path,
            field=neb.column,
        )


def learn_potential(
    neb: NebTable,
    bands: Sequence[Band],
    predicted: FloatArray,
    domain: Domain,
) -> Potential:
    """What barriers of a potential are worth, learned from the records that have one.

    The step that is kept is the best for all of them. How wrong barriers are after it is told by
    predictions that were moved by a step that other compounds had chosen.

    Args:
        neb: barriers of a potential, enough of them (:func:`check_enough`).
        bands: ``n`` records, all with a target.
        predicted: ``[n]`` by the member that had not seen the record, eV.
        domain: of these records.
    """
    rows = np.array([i for i, band in enumerate(bands) if band.name in neb.barriers])
    of = [bands[i] for i in rows]
    target = np.array([band.target for band in of], dtype=np.float64)
    potential = np.array([neb.barriers[band.name] for band in of])
    before = predicted[rows]
    after = nested(target, before, potential, [compound_of(band) for band in of])
    calibration = calibrate(target, after, domain.held_out[rows], domain.member[rows])
    mae = tuple(float(np.abs(said - target).mean()) for said in (before, after))
    nudge = best_nudge(target, before, potential)
    return Potential(nudge, neb.source, calibration, (mae[0], mae[1]))


def barriers_beside(neb: NebTable, ensemble: Ensemble, bands: BandSet) -> list[float | None]:
    """The barriers of a table that a data set can be predicted beside, None where it has none.

    Raises:
        InputError: the weights know nothing of a potential, or the table has none of the records.
    """
    ensemble.predict([], potential=[])
    found = neb.of([band.name for band in bands.bands])
    if all(barrier is None for barrier in found):
        raise no_barrier(neb, len(found))
    return found


def no_barrier(neb: NebTable, count: int) -> InputError:
    """A table was given for ``count`` hops, and has none of them."""
    return InputError(
        f"has a barrier of none of the {count} hops{_left_out(neb)}",
        file=neb.path,
        field=neb.column,
    )


def _left_out(neb: NebTable) -> str:
    return f" ({neb.left_out_in_words})" if neb.left_out else ""

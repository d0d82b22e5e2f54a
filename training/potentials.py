"""Learning what barriers of a potential are worth beside a model, from held-out records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from linegraph.domain import Domain
from linegraph.ensemble import Ensemble
from linegraph.errors import InputError
from linegraph.intervals import calibrate
from linegraph.nn import KernelMachine
from linegraph.potential import Correction, Potential, features
from linegraph.roots import signed_root

from .bands import Band
from .data import compound_of
from .kernel_machine import fit_machine
from .neb.table import NebTable
from .read import BandSet

FloatArray = NDArray[np.float64]

#: Of the machine: decay of the kernel, penalty, and tube (of roots). The first guess of a region
#: in which the held-out error hardly changes.
DECAY, PENALTY, TUBE = 0.3, 0.3, 0.03

#: Parts, by system, of which each is judged by what the others teach.
PARTS = 5

#: Records with a barrier of the potential that are too few to learn from, and to tell how often an
#: interval of 90 % holds.
FEWEST = 20


def fit_correction(target: FloatArray, predicted: FloatArray, potential: FloatArray) -> Correction:
    """The step towards a potential's barriers that support vector regression learns.

    Args:
        target: ``[n]`` barriers in eV.
        predicted: ``[n]`` of a model that had not seen the record, eV.
        potential: ``[n]`` of the potential, eV; NaN where it has none.

    Raises:
        InputError: the potential has no barrier of any record.
    """
    known = ~np.isnan(potential)
    said, goal = signed_root(predicted[known]), signed_root(potential[known])
    steps = signed_root(target[known]) - said
    z = features(said, goal)
    fitted = fit_machine(z, steps, len(z), 0, decay=DECAY, penalty=PENALTY, tube=TUBE)
    return Correction(_without_padding(fitted))


def _without_padding(machine: KernelMachine) -> KernelMachine:
    """The same, with room for no more records than have a weight (or one)."""
    held = torch.nonzero(machine.weight.any(dim=0)).flatten()
    if not len(held):
        held = torch.zeros(1, dtype=torch.int64)
    small = KernelMachine(machine.features, len(held), machine.quantiles, machine.machines)
    state = machine.state_dict()
    state |= {"support": machine.support[held], "weight": machine.weight[:, held]}
    small.load_state_dict(state)
    return small


def nested(
    target: FloatArray, predicted: FloatArray, potential: FloatArray, systems: Sequence[str]
) -> FloatArray:
    """Held-out predictions ``[n]`` in eV, each after a step learned from other compounds.

    Args:
        target: ``[n]`` as of :func:`fit_correction`, like the next two.
        predicted: ``[n]``.
        potential: ``[n]``.
        systems: the compound of each record, of at least :data:`PARTS`.
    """
    from sklearn.model_selection import GroupKFold

    found = predicted.copy()
    for known, judged in GroupKFold(PARTS).split(predicted, groups=systems):
        correction = fit_correction(target[known], predicted[known], potential[known])
        found[judged] = correction(predicted[judged], potential[judged])
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

    The step that is kept is learned from all of them. How wrong barriers are after it is told by
    predictions that were moved by a step learned from other compounds.

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
    correction = fit_correction(target, before, potential)
    return Potential(correction, neb.source, calibration, (mae[0], mae[1]))


def barriers_beside(neb: NebTable, ensemble: Ensemble, bands: BandSet) -> list[float | None]:
    """The barriers of a table that a data set can be predicted beside, None where it has none.

    Raises:
        InputError: the weights know nothing of a potential, or the table has none of the records.
    """
    ensemble.require_potential()
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

"""Barriers moved towards those of a potential's nudged elastic band, where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .intervals import Calibration

FloatArray = NDArray[np.float64]

#: eV; no band of a potential is higher, however far apart its atoms are (published ones: 86 eV).
#: Beyond, the unit is another one.
HIGHEST = 100.0


class Nudge(NamedTuple):
    """A step towards another barrier: ``p + weight clip(m - p, -limit, limit)``, eV.

    Potentials are right about most hops and absurd about some, so the step is limited.

    Attributes:
        weight: how far towards the potential's barrier, from 0 to 1.
        limit: the difference beyond which the potential is believed no more, eV.
    """

    weight: float
    limit: float

    def __call__(self, predicted: FloatArray, potential: FloatArray) -> FloatArray:
        """Barriers ``[n]`` in eV; where the potential has none (NaN), as predicted."""
        step = np.clip(potential - predicted, -self.limit, self.limit)
        return predicted + self.weight * np.nan_to_num(step)


@dataclass(frozen=True, eq=False)
class Potential:
    """What an ensemble has learned of a potential's barriers from its held-out records.

    Attributes:
        nudge: the step towards them.
        source: which barriers these were, in words.
        calibration: how wrong held-out records were after a step that others had chosen; of the
            records that have a barrier of the potential.
        mae: mean absolute error of these records in eV, before the step and after it.
    """

    nudge: Nudge
    source: str
    calibration: Calibration
    mae: tuple[float, float]

    def figures(self) -> dict[str, float | str]:
        """Plain numbers and text, ready for JSON; energies in eV."""
        return {
            "source": self.source,
            "n": len(self.calibration.scores),
            "mae": self.mae[0],
            "mae_nudged": self.mae[1],
            **self.nudge._asdict(),
        }


def checked_barriers(barriers: Sequence[float | None], count: int) -> FloatArray:
    """Barriers of a potential ``[count]`` in eV, NaN where there is none.

    Args:
        barriers: one for each band, None where there is none.
        count: of the bands.

    Raises:
        InputError: another number of them, or one that is no barrier in eV: no number, NaN,
            negative, or above :data:`HIGHEST`. Names its position; the field is ``potential``.
    """
    if len(barriers) != count:
        raise InputError(f"{len(barriers)} barriers for {count} bands", field="potential")
    found = np.full(count, np.nan)
    for position, value in enumerate(barriers):
        if value is None:
            continue
        try:
            found[position] = checked_barrier(value)
        except InputError as error:
            raise error.at(record=position, field="potential") from None
    return found


def checked_barrier(value: float) -> float:
    """A barrier of a potential, eV.

    Raises:
        InputError: no number, NaN, negative, or above :data:`HIGHEST`.
    """
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= HIGHEST:
        raise InputError(f"expected a barrier of 0 to {HIGHEST:g} eV, got {value!r}")
    return number

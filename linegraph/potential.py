"""Barriers moved towards those of a potential's nudged elastic band, where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .intervals import Calibration
from .nn import KernelMachine
from .roots import signed_root, signed_square

FloatArray = NDArray[np.float64]

#: eV; beyond, the unit is another one, or the band no way that an ion goes. Of the published bands
#: no barrier is above 8.77 eV by DFT, and none above 6.43 by a potential with relaxed ends.
HIGHEST = 10.0


@dataclass(frozen=True, eq=False)
class Correction:
    """A step towards a potential's barrier, of the length that a kernel machine says.

    Potentials are right about most hops and absurd about some. A machine that looks at what the
    model says (p) and at how far the potential is from it (m - p), both as signed roots, learns
    when the potential is to be believed. What comes out is kept between p and m, and so never
    moves away from the potential nor past it: what neither of them says, a machine fitted to a few
    hundred records cannot know either.

    Attributes:
        machine: of two features, root p and root m - root p; it says a step of roots.
    """

    machine: KernelMachine

    def __call__(self, predicted: ArrayLike, potential: ArrayLike) -> FloatArray:
        """Barriers in eV; where the potential has none, as predicted, to the bit.

        Args:
            predicted: p, eV, of any shape.
            potential: m, eV, NaN where there is none; of a shape that broadcasts to that of p.
        """
        found = np.array(predicted, dtype=np.float64)
        beside = np.broadcast_to(np.asarray(potential, dtype=np.float64), found.shape)
        given = ~np.isnan(beside)
        if not given.any():
            return found
        said, goal = signed_root(found[given]), signed_root(beside[given])
        with torch.no_grad():
            step = self.machine(torch.from_numpy(features(said, goal))).double().numpy()
        kept = np.clip(said + step, np.minimum(said, goal), np.maximum(said, goal))
        found[given] = signed_square(kept)
        return found


def features(said: FloatArray, goal: FloatArray) -> FloatArray:
    """What the machine of a correction looks at.

    Args:
        said: ``[n]`` roots of barriers of the model.
        goal: ``[n]`` roots of those of the potential.

    Returns:
        ``[n, 2]``.
    """
    return np.stack([said, goal - said], axis=1)


@dataclass(frozen=True, eq=False)
class Potential:
    """What an ensemble has learned of a potential's barriers from its held-out records.

    Attributes:
        correction: the step towards them.
        source: which barriers these were, in words.
        calibration: how wrong held-out records were after a step learned from others; of the
            records that have a barrier of the potential.
        mae: mean absolute error of these records in eV, before the step and after it.
    """

    correction: Correction
    source: str
    calibration: Calibration
    mae: tuple[float, float]

    def figures(self) -> dict[str, float | str]:
        """Plain numbers and text, ready for JSON; energies in eV."""
        return {
            "source": self.source,
            "n": len(self.calibration.scores),
            "mae": self.mae[0],
            "mae_with": self.mae[1],
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
    """A barrier by DFT or of a potential, eV.

    Raises:
        InputError: no number, NaN, negative, or above :data:`HIGHEST`.
    """
    try:
        number = math.nan if isinstance(value, bool | np.bool_ | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= HIGHEST:
        hint = ": is it in eV?" if number > HIGHEST else ""
        raise InputError(f"expected a barrier of 0 to {HIGHEST:g} eV, got {value!r}{hint}")
    return number

r"""How wrong a barrier may be: intervals that hold as often as they say, and probabilities.

Cross-validation leaves, for every record :math:`i`, a prediction :math:`\hat y_i` in eV of the
member :math:`k(i)` that had not seen it. Errors grow with the barrier and with the distance
:math:`d_i` to the training records, and barriers are not negative, so errors are taken on a
logarithmic scale and in units of what is usual at that distance:

.. math:: s_i = \frac{|\ln(y_i + c) - \ln(\max(\hat y_i, 0) + c)|}{1 + b\,d_i}

For a new hop, for which member :math:`k` says :math:`\hat y_k` at distance :math:`d_k`, each record
gives two barriers that would be as strange as the record itself was:

.. math:: \exp\bigl(\ln(\max(\hat y_{k(i)}, 0) + c) \pm s_i (1 + b\,d_{k(i)})\bigr) - c

These are the distribution of the barrier. Where the members agree, its middle part is the interval
CV+ of Barber, Candès, Ramdas and Tibshirani, Ann. Stat. 49, 486 (2021); as a distribution, it is
that of Vovk, Nouretdinov, Manokhin and Gammerman, PMLR 91, 37 (2018), made symmetric. It holds
for records drawn as those of the training were: hops in compounds that the members had not seen.
Of a level of 90 %, CV+ proves 80 % for any data and model, and is near 90 % in practice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

FloatArray = NDArray[np.float64]

#: ``b``: how much larger an error is usual at distance 1 than on a training record. Between 2 and
#: 16 the interval score hardly changes on the published data.
SLOPE = 4.0

#: The least ``c``, eV: without it, a barrier near 0 would be infinitely wrong.
MIN_OFFSET = 0.05


@dataclass(frozen=True, eq=False)
class Calibration:
    """How wrong held-out records were.

    Attributes:
        offset: ``c`` in eV.
        slope: ``b``.
        reach: the largest distance of a held-out record. Errors beyond it were never measured, and
            intervals grow no more.
        scores: ``[n]`` the :math:`s_i`, float32 numbers.
        member: ``[n]`` which member had not seen the record.
    """

    offset: float
    slope: float
    reach: float
    scores: FloatArray
    member: NDArray[np.int64]

    def distribution(self, values: ArrayLike, distances: ArrayLike) -> Distribution:
        """What the barrier of a new hop may be.

        Args:
            values: ``[k]`` in eV, of the members.
            distances: ``[k]`` to the training records of each member.
        """
        middle = np.log(np.maximum(np.asarray(values, np.float64), 0.0) + self.offset)
        width = 1.0 + self.slope * np.minimum(np.asarray(distances, np.float64), self.reach)
        step = self.scores * width[self.member]
        logs = np.concatenate([middle[self.member] - step, middle[self.member] + step])
        barriers = np.exp(logs) - self.offset
        return Distribution(np.sort(np.maximum(barriers, 0.0)))


@dataclass(frozen=True, eq=False)
class Distribution:
    """The distribution of a barrier.

    Attributes:
        points: ``[2 n]`` barriers in eV, ascending, all equally likely.
    """

    points: FloatArray

    def interval(self, level: float) -> tuple[float, float]:
        """Lower and upper end, in eV, of the middle part that holds the barrier so often.

        Args:
            level: between 0 and 1; 0.9 for 90 %. A higher one gives no narrower interval.

        Raises:
            InputError: no such level, or more than the number of held-out records can tell.
        """
        n = len(self.points) // 2
        if not 0 < level < 1:
            raise InputError(f"{level} is not between 0 and 1", field="level")
        # The new record is one more: of n + 1 at least so many must be inside. Rounded, as
        # 0.07 * 100 comes out above 7.
        inside = math.ceil(round(level * (n + 1), 9))
        if inside > n:
            raise InputError(
                f"the model was calibrated on {n} records, which support at most {n / (n + 1):.3g}",
                field="level",
            )
        return float(self.points[n - inside]), float(self.points[n + inside - 1])

    def below(self, threshold: float) -> float:
        """Probability that the barrier is below a threshold in eV.

        0 for thresholds that are not positive; never quite 1, as a new record may be stranger than
        all held-out ones.

        Raises:
            InputError: NaN.
        """
        if math.isnan(threshold):
            raise InputError("is no number", field="threshold")
        if threshold <= 0:
            return 0.0
        under = int(np.searchsorted(self.points, threshold, side="left"))
        return (under + 1) / (len(self.points) + 2)


def calibrate(
    targets: ArrayLike,
    predictions: ArrayLike,
    distances: ArrayLike,
    member: ArrayLike,
    slope: float = SLOPE,
) -> Calibration:
    """Learn how wrong predictions are from records that their member had not seen.

    Args:
        targets: ``[n]`` barriers in eV.
        predictions: ``[n]`` of the member that had not seen the record, eV.
        distances: ``[n]`` to the training records of that member.
        member: ``[n]`` which one it was, from 0.
        slope: ``b``.

    Raises:
        InputError: no records, arrays of different lengths, or numbers that are not finite.
    """
    y, f, d = (np.asarray(a, np.float64) for a in (targets, predictions, distances))
    which = np.asarray(member, np.int64)
    if not len(y) or not (y.shape == f.shape == d.shape == which.shape == (len(y),)):
        raise InputError("calibration needs records, and as many of each kind of number")
    if not all(np.isfinite(a).all() for a in (y, f, d)):
        raise InputError("a target, prediction or distance of a held-out record is not finite")
    # As large as the middle barrier: errors are about equal below, and grow above.
    offset = max(float(np.median(y)), MIN_OFFSET)
    logs = [np.log(np.maximum(a, 0.0) + offset) for a in (y, f)]
    scores = np.abs(logs[0] - logs[1]) / (1.0 + slope * d)
    rounded = scores.astype(np.float32).astype(np.float64)
    return Calibration(offset, slope, float(d.max()), rounded, which)

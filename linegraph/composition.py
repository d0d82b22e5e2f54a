"""Features of what a structure is made of: statistics of its elements' classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .features import CLASSES, element_classes

#: Properties whose classes are in an order; those of ``block`` (s, p, d, f) are not.
ORDINAL: tuple[str, ...] = tuple(name for name in CLASSES if name != "block")

#: Taken over all atoms whose class is known. The deviation is the mean of the absolute ones from
#: the mean; the mode is the class of the most frequent element, of the lightest one of several.
STATISTICS: tuple[str, ...] = ("minimum", "maximum", "range", "mean", "deviation", "mode")

#: Names of the features, in order.
COMPOSITION_FEATURES: tuple[str, ...] = tuple(
    f"composition: {name}, {statistic}" for name in ORDINAL for statistic in STATISTICS
)


def composition_features(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """All features of some atoms, in class numbers (:func:`linegraph.features.element_classes`).

    They know of elements what the network does, and depend on shares of elements alone: not on the
    order of the atoms, nor on how many formula units there are.

    Args:
        numbers: ``[N]`` atomic numbers, 1 to 103.

    Returns:
        ``[48]`` float64, in the order of :data:`COMPOSITION_FEATURES`; NaN where no atom's class
        is known.
    """
    z, count = np.unique(numbers, return_counts=True)
    table = element_classes()[z]
    columns = [table[:, list(CLASSES).index(name)] for name in ORDINAL]
    return np.concatenate([_statistics(column, count) for column in columns])


def _statistics(values: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Every one of :data:`STATISTICS` of elements, the lightest first, and their atoms."""
    known = ~np.isnan(values)
    if not known.any():
        return np.full(len(STATISTICS), np.nan)
    values, count = values[known], count[known]
    low, high = values.min(), values.max()
    mean = np.average(values, weights=count)
    deviation = np.average(np.abs(values - mean), weights=count)
    return np.array([low, high, high - low, mean, deviation, values[count.argmax()]])

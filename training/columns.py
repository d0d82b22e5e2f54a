"""Tables of features, for models that look at no graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from linegraph.errors import InputError

FloatArray = NDArray[np.float32]


def checked_weights(weights: ArrayLike | None, records: int) -> NDArray[np.float64]:
    """What each record counts ``[n]``; 1 by default.

    Raises:
        InputError: another number of weights, or one that is not above 0 and finite.
    """
    if weights is None:
        return np.ones(records)
    found = np.array(weights, dtype=np.float64)
    if found.shape != (records,):
        raise InputError(f"{list(found.shape)} weights of {records} records", field="weights")
    wrong = np.flatnonzero(~((found > 0) & np.isfinite(found)))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(f"{found[row]} is no number above 0", record=row, field="weights")
    return found


def checked_table(x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, NDArray[np.float64]]:
    """Features and targets that a model can be fitted to.

    Args:
        x: features ``[n, F]``; NaN where one is missing.
        y: targets ``[n]``.

    Returns:
        A copy of the features in float32, and the targets in float64.

    Raises:
        InputError: there are no records, the numbers of features and targets differ, either is
            infinite in float32, or a target is NaN.
    """
    with np.errstate(over="ignore"):
        table = np.array(x, dtype=np.float32)
        targets = np.asarray(y, dtype=np.float64)
        if table.ndim != 2 or targets.shape != table.shape[:1] or table.size == 0:
            raise InputError(
                f"needs a table of features and a target a record, not {list(table.shape)} "
                f"features and {list(targets.shape)} targets"
            )
        infinite = np.argwhere(np.isinf(table))
        lost = np.flatnonzero(~np.isfinite(targets.astype(np.float32)))
    if len(infinite):
        record, column = infinite[0].tolist()
        raise InputError("a feature is infinite", record=record, field=str(column))
    if len(lost):
        raise InputError("a target is NaN or infinite", record=int(lost[0]))
    return table, targets


def medians(table: FloatArray) -> FloatArray:
    """Of the columns ``[F]`` of a table ``[n, F]``, of what is there; 0 where nothing is."""
    known = ~np.isnan(table).all(axis=0)
    found = np.zeros(table.shape[1])
    # The mean of the two numbers in the middle may be too large on its way.
    found[known] = np.nanmedian(table[:, known].astype(np.float64), axis=0)
    return found.astype(np.float32)

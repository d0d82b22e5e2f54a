"""Which features a model gets to see, chosen on the records it learns from and on no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from linegraph.errors import InputError

FloatArray = NDArray[np.float64]


class CorrelationSelector(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Keep features that go with the target and do not repeat one another.

    A feature stays if its Pearson correlation with the target is at least ``relevant``, and its
    correlation with no earlier feature that stays is above ``redundant`` (both absolute).

    Source: section S3 of the supplement of arXiv:2508.06436, which does not say which one of a
    pair stays. On the 559 published records, keeping the first one selects 76 features, 68 of them
    among the published 75; keeping the one that correlates more with the target 77 and 62.

    Args:
        redundant: above this, two features count as one.
        relevant: below this, a feature counts as noise.

    Attributes:
        correlations_: ``[f]`` correlation of every feature with the target, 0 where undefined.
        support_: ``[f]`` which ones stay.
    """

    def __init__(self, redundant: float = 0.95, relevant: float = 0.10) -> None:
        self.redundant = redundant
        self.relevant = relevant

    def fit(self, X: Any, y: Any) -> CorrelationSelector:
        """Choose among the columns of ``X [n, f]``, all finite, by the targets ``y [n]``.

        Raises:
            InputError: no feature correlates with the target.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        columns = _standardised(X)
        self.correlations_: FloatArray = _standardised(y[:, None])[:, 0] @ columns
        strength = np.abs(self.correlations_)
        self.support_: NDArray[np.bool_] = np.zeros(X.shape[1], dtype=np.bool_)
        for feature in np.flatnonzero(strength >= self.relevant):
            others = np.abs(columns[:, feature] @ columns[:, self.support_])
            self.support_[feature] = not (others > self.redundant).any()
        if not self.support_.any():
            raise InputError(
                f"no feature correlates with the barrier by {self.relevant:g} or more "
                f"({X.shape[1]} features, {len(y)} records)"
            )
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_


class NamedSelector(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Keep the features of given names, in the order of the table.

    Args:
        names: of the features to keep. The table must have column names (a pandas ``DataFrame``).
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def fit(self, X: Any, y: Any = None) -> NamedSelector:
        """Find the columns.

        Raises:
            InputError: a name that the table lacks.
        """
        validate_data(self, X, skip_check_array=True)
        columns = [str(name) for name in getattr(self, "feature_names_in_", ())]
        missing = [name for name in self.names if name not in columns]
        if missing:
            raise InputError(f"the table of features lacks {', '.join(missing)}")
        wanted = set(self.names)
        self.support_: NDArray[np.bool_] = np.array([name in wanted for name in columns])
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _standardised(columns: FloatArray) -> FloatArray:
    """Columns of mean 0 and length 1, so that products are correlations; 0 for constant ones."""
    apart = columns - columns.mean(axis=0)
    length = np.linalg.norm(apart, axis=0)
    # What rounding leaves of a constant column is no spread.
    spread = length > 1e-10 * np.linalg.norm(columns, axis=0)
    scaled: FloatArray = np.where(spread, apart, 0.0) / np.where(spread, length, 1.0)
    return scaled

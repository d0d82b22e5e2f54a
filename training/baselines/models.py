"""The classical models by name, each a scikit-learn pipeline from a table of features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from linegraph.errors import InputError
from linegraph.path_features import END_FEATURES, PATH_FEATURES
from linegraph.roots import signed_root, signed_square

from ..metrics import trivial_predictions
from .published import PUBLISHED_FEATURES
from .selection import CorrelationSelector, NamedSelector
from .structure import FEATURIZERS, STRUCTURE_FEATURES

FloatArray = NDArray[np.float64]

#: How features are selected: by correlation in every training part, or the paper's list.
SELECTIONS = ("fitted", "published")

#: The column of a table that holds the material class.
CLASS = "class"

#: What the paper selected from: features of the initial structure, and of the ends of the hop.
PAPER_POOL = (*STRUCTURE_FEATURES, *END_FEATURES)

#: What our trees look at, chosen by grouped cross-validation on the 559 published records: features
#: of the Voronoi cells of all atoms added nothing (five folds, MAE 0.286 eV with all features and
#: 0.281 eV with these).
OUR_POOL = (*PATH_FEATURES, *FEATURIZERS["ElementProperty"])

#: Trees of RFR and GBR (Table S3), and of ours.
TREES, MORE_TREES = 150, 500


@dataclass(frozen=True)
class Baseline:
    """A classical model.

    Attributes:
        summary: what it is, in a line.
        features: names of what it may look at, in the order of its columns.
        regressor: the model itself, given a seed.
        selects: features are selected first.
    """

    summary: str
    features: tuple[str, ...]
    regressor: Callable[[int], Any]
    selects: bool = False

    @property
    def needs_structure(self) -> bool:
        """Whether it looks at features of the initial structure."""
        return bool(set(self.features) & set(STRUCTURE_FEATURES))

    def pipeline(self, seed: int, selection: str = "fitted") -> Pipeline:
        """The untrained model, to be given a ``DataFrame`` of its columns.

        Args:
            seed: of the model.
            selection: one of :data:`SELECTIONS`; models that do not select ignore it.
        """
        steps: list[tuple[str, Any]] = [("columns", NamedSelector(self.features))]
        if self.features != (CLASS,):
            # A feature that no training record has is a column of zeros rather than none.
            steps += [("impute", SimpleImputer(strategy="median", keep_empty_features=True))]
        if self.selects and selection == "published":
            steps += [("select", NamedSelector(PUBLISHED_FEATURES))]
        elif self.selects:
            steps += [("select", CorrelationSelector())]
        return Pipeline([*steps, ("model", self.regressor(seed))]).set_output(transform="pandas")


class ClassMean(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The mean barrier of the material class, or of all records where the class is not known."""

    def fit(self, X: Any, y: Any) -> ClassMean:
        """Learn from a single column of class names."""
        self.families_ = _families(X)
        self.targets_ = np.asarray(y, dtype=np.float64)
        return self

    def predict(self, X: Any) -> FloatArray:
        """Barriers in eV ``[n]``."""
        return trivial_predictions(self.targets_, self.families_, _families(X))["class mean"]


def _families(table: Any) -> list[str]:
    return [str(family) for family in np.asarray(table)[:, 0]]


def _trees_of_ours(seed: int) -> TransformedTargetRegressor:
    # Large barriers are rare and known badly: as square roots they weigh less.
    trees = ExtraTreesRegressor(MORE_TREES, max_features=0.4, random_state=seed)
    return TransformedTargetRegressor(
        trees, func=signed_root, inverse_func=signed_square, check_inverse=False
    )


BASELINES: dict[str, Baseline] = {
    "rfr": Baseline(
        "random forest of the paper (Table S3)",
        PAPER_POOL,
        lambda seed: RandomForestRegressor(TREES, random_state=seed),
        selects=True,
    ),
    "gbr": Baseline(
        "gradient boosting of the paper (Table S3)",
        PAPER_POOL,
        lambda seed: GradientBoostingRegressor(n_estimators=TREES, random_state=seed),
        selects=True,
    ),
    "path-trees": Baseline(
        "extremely randomised trees on features along the path and of the composition",
        OUR_POOL,
        _trees_of_ours,
    ),
    "path-distance": Baseline(
        "a straight line of the hop length", ("path_distance",), lambda seed: LinearRegression()
    ),
    "class-mean": Baseline(
        "the mean barrier of the material class", (CLASS,), lambda seed: ClassMean()
    ),
    "train-mean": Baseline("the mean barrier", (CLASS,), lambda seed: DummyRegressor()),
}


def find_baseline(name: str) -> Baseline:
    """The model of a name.

    Raises:
        InputError: there is none; the message lists the known ones.
    """
    if name not in BASELINES:
        raise InputError(f"unknown baseline {name!r}; known are {', '.join(BASELINES)}")
    return BASELINES[name]


def spread_of_trees(model: Pipeline, table: Any) -> FloatArray | None:
    """Standard deviation of what the trees of a forest say, eV ``[n]``; None of other models."""
    forest, back = model[-1], None
    if isinstance(forest, TransformedTargetRegressor):
        forest, back = forest.regressor_, forest.inverse_func
    if not isinstance(forest, RandomForestRegressor | ExtraTreesRegressor):
        return None
    columns = np.asarray(model[:-1].transform(table))
    said = np.array([tree.predict(columns) for tree in forest.estimators_])
    spread: FloatArray = (said if back is None else back(said)).std(axis=0)
    return spread


def importances(model: Pipeline) -> Sequence[float] | None:
    """How much each feature that the model kept counts, from 0 to 1; None where it cannot say."""
    last = model[-1]
    found = getattr(getattr(last, "regressor_", last), "feature_importances_", None)
    return None if found is None else [float(value) for value in found]

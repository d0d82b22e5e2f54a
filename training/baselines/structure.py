"""The features of a structure of Table S2: matminer's, by its own featurizers and names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from linegraph.errors import InputError
from linegraph.structure import Cell

_PROPERTIES = (
    "Number",
    "MendeleevNumber",
    "AtomicWeight",
    "MeltingT",
    "Column",
    "Row",
    "CovalentRadius",
    "Electronegativity",
    "NsValence",
    "NpValence",
    "NdValence",
    "NfValence",
    "NValence",
    "NsUnfilled",
    "NpUnfilled",
    "NdUnfilled",
    "NfUnfilled",
    "NUnfilled",
    "GSvolume_pa",
    "GSbandgap",
    "GSmagmom",
    "SpaceGroupNumber",
)
_STATISTICS = ("minimum", "maximum", "range", "mean", "avg_dev")

#: Names of features by featurizer, spelt as matminer's ``feature_labels`` are.
FEATURIZERS: Mapping[str, tuple[str, ...]] = {
    "ElementProperty": tuple(
        f"MagpieData {statistic} {name}"
        for name in _PROPERTIES
        for statistic in (*_STATISTICS, "mode")
    ),
    "CoordinationNumber": tuple(f"{statistic} CN_VoronoiNN" for statistic in _STATISTICS),
    "StructuralHeterogeneity": (
        "mean absolute deviation in relative bond length",
        "max relative bond length",
        "min relative bond length",
        *(f"{statistic} neighbor distance variation" for statistic in _STATISTICS),
        "mean absolute deviation in relative cell size",
    ),
    "ChemicalOrdering": tuple(f"mean ordering parameter shell {n}" for n in (1, 2, 3)),
    "LocalPropertyDifference": tuple(
        f"{statistic} local difference in {name}"
        for name in _PROPERTIES
        for statistic in _STATISTICS
    ),
    "Stoichiometry": tuple(f"{power}-norm" for power in (0, 2, 3, 5, 7, 10)),
    "ValenceOrbital": tuple(f"frac {orbital} valence electrons" for orbital in "spdf"),
    "IonProperty": ("compound possible", "max ionic char", "avg ionic char"),
    "MaximumPackingEfficiency": ("max packing efficiency",),
}

#: Names of the 273 features, in order.
STRUCTURE_FEATURES: tuple[str, ...] = tuple(
    name for names in FEATURIZERS.values() for name in names
)


def structure_features(cell: Cell) -> tuple[dict[str, float], dict[str, str]]:
    """All features of a structure, in matminer's units.

    The structure of a barrier is the one before the hop: the band without its images 1 to 4.
    Definitions: L. Ward et al., npj Comput. Mater. 2, 16028 (2016), and Phys. Rev. B 96, 024104
    (2017). Equal to stock matminer's to rounding, for a small part of its time
    (:mod:`training.baselines.featurizers`).

    Args:
        cell: any structure; coordinates may lie outside [0, 1).

    Returns:
        The value of every name of :data:`STRUCTURE_FEATURES`, in order, NaN where there is none;
        and what went wrong, by the name of the featurizer. Nothing raises because of a structure.

    Raises:
        InputError: matminer is not installed.
    """
    values = dict.fromkeys(STRUCTURE_FEATURES, float("nan"))
    failures: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = require_matminer()
        composition, voronoi = ours.composition_featurizers(), ours.voronoi_featurizers()
        crystal = ours.Crystal(cell)
        try:
            ours.tessellate(crystal)
        except InputError as error:
            failures = dict.fromkeys(voronoi, error.problem)
        for name, featurizer in {**composition, **voronoi}.items():
            if name in failures:
                continue
            try:
                found = [float(value) for value in featurizer.featurize(crystal)]
            # Whatever a featurizer stumbles over, the others have their say.
            except Exception as error:
                failures[name] = f"{type(error).__name__}: {error}"
                continue
            values.update(zip(FEATURIZERS[name], found, strict=True))
            bad = [n for n, x in zip(FEATURIZERS[name], found, strict=True) if not np.isfinite(x)]
            if bad:
                values.update(dict.fromkeys(bad, float("nan")))
                failures[name] = f"not a number: {', '.join(bad)}"
    return values, failures


def require_matminer() -> Any:
    """Our module of featurizers, which needs matminer.

    Raises:
        InputError: matminer is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from . import featurizers
        except ImportError as error:
            raise InputError(
                f"features of a structure need matminer ({error}): "
                "pip install 'linegraph[baselines]'"
            ) from None
    return featurizers

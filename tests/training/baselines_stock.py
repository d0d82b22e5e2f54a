"""matminer's featurizers as they come, to compare ours with."""

from __future__ import annotations

import warnings

import numpy as np

from linegraph.structure import Cell


def stock_features(cell: Cell) -> dict[str, float]:
    """All features of a structure by matminer alone; its atoms are moved into [0, 1) first."""
    from matminer.featurizers.composition import (
        ElementProperty,
        IonProperty,
        Stoichiometry,
        ValenceOrbital,
    )
    from matminer.featurizers.structure import (
        ChemicalOrdering,
        MaximumPackingEfficiency,
        SiteStatsFingerprint,
        StructuralHeterogeneity,
    )
    from pymatgen.core import Lattice, Structure

    frac = cell.frac - np.floor(cell.frac)
    structure = Structure(Lattice(cell.lattice), cell.numbers.tolist(), frac.tolist())
    values: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for featurizer, what in (
            (ElementProperty.from_preset("magpie"), structure.composition),
            (Stoichiometry(), structure.composition),
            (ValenceOrbital(props=["frac"]), structure.composition),
            (IonProperty(fast=True), structure.composition),
            (SiteStatsFingerprint.from_preset("CoordinationNumber_ward-prb-2017"), structure),
            (SiteStatsFingerprint.from_preset("LocalPropertyDifference_ward-prb-2017"), structure),
            (StructuralHeterogeneity(), structure),
            (ChemicalOrdering(), structure),
            (MaximumPackingEfficiency(), structure),
        ):
            found = map(float, featurizer.featurize(what))
            values.update(zip(featurizer.feature_labels(), found, strict=True))
    return values

"""matminer's featurizers on one tessellation a structure, instead of one for every site.

Stock matminer is slow for two reasons. Its neighbour cache (``matminer.utils.caching``) is keyed by
the structure, and a pymatgen structure is hashed and compared site by site, for every site anew;
and pymatgen tessellates once per site where a featurizer asks site by site. Nothing of either
library is replaced here. :class:`Crystal` is a structure whose identity is its key, and
:class:`WholeVoronoiNN` is equal to the ``VoronoiNN`` of the same settings: once the cache has been
asked with it (:func:`tessellate`), matminer's own featurizers find its answer there.

This module needs the extra ``[baselines]``: import it where it is used.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from matminer.featurizers.base import BaseFeaturizer
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
    StructureComposition,
)
from matminer.utils.caching import get_all_nearest_neighbors
from pymatgen.analysis.local_env import VoronoiNN
from pymatgen.core import IStructure, Lattice
from pymatgen.core.structure import PeriodicNeighbor

from linegraph.structure import Cell
from linegraph.voronoi import Facets, voronoi_facets

from .ordering import shell_weights


class Crystal(IStructure):
    """A cell as pymatgen's immutable structure, atoms moved into [0, 1), equal to itself alone."""

    __hash__ = object.__hash__

    def __init__(self, cell: Cell) -> None:
        # pymatgen's own tessellation of a whole structure is wrong for atoms outside of the cell:
        # it moves the atoms in, but not the images that it counts from where they were.
        inside = Cell(cell.lattice, cell.frac - np.floor(cell.frac), cell.numbers)
        super().__init__(Lattice(inside.lattice), inside.numbers.tolist(), inside.frac.tolist())
        self.cell = inside
        self._facets: Facets | None = None

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def facets(self) -> Facets:
        """All facets of all Voronoi cells, computed once (:func:`voronoi_facets`)."""
        if self._facets is None:
            self._facets = voronoi_facets(self.cell)
        return self._facets


class WholeVoronoiNN(VoronoiNN):
    """pymatgen's ``VoronoiNN`` of a :class:`Crystal`, from the one tessellation of all of it.

    Facets carry all that pymatgen's do, except which vertices and which other facets they touch.
    """

    __hash__ = VoronoiNN.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VoronoiNN) and self.__dict__ == other.__dict__

    def get_all_voronoi_polyhedra(self, structure: Any) -> list[dict[int, dict[str, Any]]]:
        """For every site of a :class:`Crystal` its facets, by position."""
        facets, sites = structure.facets, structure.sites
        positions = structure.cell.frac[facets.neighbor] + facets.image
        polyhedra: list[dict[int, dict[str, Any]]] = [{} for _ in sites]
        for m, (center, neighbor) in enumerate(zip(facets.center, facets.neighbor, strict=True)):
            site = PeriodicNeighbor(
                species=sites[neighbor].species,
                coords=positions[m],
                lattice=structure.lattice,
                nn_distance=2 * facets.distance[m],
                index=int(neighbor),
                image=tuple(facets.image[m].tolist()),
            )
            polyhedra[center][m] = {
                "site": site,
                "normal": facets.normal[m],
                "solid_angle": facets.solid_angle[m],
                "volume": facets.volume[m],
                "face_dist": facets.distance[m],
                "area": facets.area[m],
                "n_verts": int(facets.vertices[m]),
            }
        return polyhedra

    def get_voronoi_polyhedra(self, structure: Any, n: int) -> dict[int, dict[str, Any]]:
        """The facets of one site of a :class:`Crystal`."""
        return self.get_all_voronoi_polyhedra(structure)[n]


class QuickOrdering(ChemicalOrdering):
    """matminer's ``ChemicalOrdering`` of a :class:`Crystal`, its shells counted by matrices."""

    def featurize(self, strc: Crystal) -> list[float]:
        """Mean ordering parameter of each of the shells, which are among the first three."""
        amounts = strc.composition.element_composition.fractional_composition
        if len(amounts) == 1:
            return [0.0] * len(self.shells)
        _, kinds, counts = np.unique(strc.cell.numbers, return_inverse=True, return_counts=True)
        facets = strc.facets
        widest = np.zeros(len(strc))
        np.maximum.at(widest, facets.center, facets.area)
        weights = shell_weights(facets, facets.area / widest[facets.center], kinds)
        shares = weights / weights.sum(axis=2, keepdims=True)
        mean = np.abs(1 - shares * len(strc) / counts).mean(axis=(1, 2))
        return [float(mean[shell - 1]) for shell in self.shells]


class QuickPacking(MaximumPackingEfficiency):
    """matminer's ``MaximumPackingEfficiency`` of a :class:`Crystal`."""

    def featurize(self, strc: Crystal) -> list[float]:
        """Share of the volume within spheres that touch the nearest facet of each cell."""
        radius = np.full(len(strc), np.inf)
        np.minimum.at(radius, strc.facets.center, strc.facets.distance)
        return [float(4 / 3 * np.pi * (radius**3).sum() / strc.volume)]


def tessellate(crystal: Crystal) -> None:
    """Put all neighbours of a crystal, weighed by facet area, where matminer looks for them.

    Raises:
        InputError: there is no tessellation (:func:`voronoi_facets`).
    """
    nearest = WholeVoronoiNN(weight="area")  # type: ignore[no-untyped-call]
    get_all_nearest_neighbors(nearest, crystal)


@cache
def composition_featurizers() -> dict[str, BaseFeaturizer]:
    """Featurizers of a structure that look at its composition alone, by name."""
    by_name = {
        "ElementProperty": ElementProperty.from_preset("magpie"),
        "Stoichiometry": Stoichiometry(),
        "ValenceOrbital": ValenceOrbital(props=["frac"]),
        "IonProperty": IonProperty(fast=True),
    }
    return {name: StructureComposition(each) for name, each in by_name.items()}


@cache
def voronoi_featurizers() -> dict[str, BaseFeaturizer]:
    """Featurizers of a :class:`Crystal` that need :func:`tessellate` first, by name."""
    of_sites = ("CoordinationNumber", "LocalPropertyDifference")
    return {
        **{name: SiteStatsFingerprint.from_preset(f"{name}_ward-prb-2017") for name in of_sites},
        "StructuralHeterogeneity": StructuralHeterogeneity(),
        "ChemicalOrdering": QuickOrdering(),
        "MaximumPackingEfficiency": QuickPacking(),
    }

"""From a compound and its hops to bands: crystal, supercell, vacancy, five images."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymatgen.core import Composition, Element, Lattice, Structure
from pymatgen.symmetry.groups import SpaceGroup

from linegraph.errors import InputError
from linegraph.structure import Cell

from ..bands import IMAGES, Band
from .fields import Point
from .records import Compound, Hop, Site, load_compounds

#: Å; edges of the supercell are at least this long, so that an ion does not see its own image.
SHORTEST_EDGE = 7.3

#: Å; what is nearer to a crystallographic site than this is on it.
ON_SITE = 0.05

#: Å; an elementary hop is neither shorter nor longer than this.
HOP_LENGTHS = (1.5, 6.0)


@dataclass(frozen=True, eq=False)
class Crystal:
    """All atoms of one cell, each with the label of its Wyckoff position.

    Attributes:
        lattice: ``[3, 3]`` rows in Å.
        frac: ``[N, 3]`` fractional coordinates in [0, 1).
        labels: ``[N]`` labels of the sites.
        elements: ``[N]`` chemical symbols.
    """

    lattice: NDArray[np.float64]
    frac: NDArray[np.float64]
    labels: list[str]
    elements: list[str]

    def __len__(self) -> int:
        return len(self.labels)


def build_bands(path: str | PathLike[str]) -> list[Band]:
    """One band for every hop of a file like `compounds.yaml`, in the order of the file.

    Raises:
        InputError: whatever is wrong with a record, naming file, compound and field.
    """
    bands = []
    for compound in load_compounds(path):
        crystal = conventional_cell(compound)
        for position, hop in enumerate(compound.hops):
            try:
                bands.append(build_band(compound, hop, crystal))
            except InputError as error:
                raise error.at(
                    file=compound.file, record=compound.name, field=f"hops.{position}"
                ) from None
    return bands


def conventional_cell(compound: Compound) -> Crystal:
    """Apply the space group to the occupied sites.

    Raises:
        InputError: an unknown space group, element or formula, a lattice that contradicts the
            space group, or multiplicities or a composition other than stated.
    """

    def error(problem: str, field: str) -> InputError:
        return InputError(problem, file=compound.file, record=compound.name, field=field)

    occupied = [site for site in compound.sites if site.element is not None]
    for position, site in enumerate(occupied):
        if not Element.is_valid_symbol(str(site.element)):
            raise error(f"{site.element!r} is no element", f"sites.{position}.element")
    try:
        _space_group(compound.space_group)
        structure = Structure.from_spacegroup(
            compound.space_group,
            Lattice.from_parameters(*compound.lattice),
            [str(site.element) for site in occupied],
            [site.xyz for site in occupied],
            site_properties={"label": [site.label for site in occupied]},
        )
    except (ValueError, KeyError) as reason:
        raise error(f"cannot be applied ({reason})", "space_group") from reason
    labels = [str(label) for label in structure.site_properties["label"]]
    for position, site in enumerate(compound.sites):
        found = len(_orbit(compound, site)) if site.element is None else labels.count(site.label)
        if found != site.multiplicity:
            raise error(
                f"{site.label} has multiplicity {found}, not {site.multiplicity}",
                f"sites.{position}.multiplicity",
            )
    try:
        stated = Composition(compound.formula).reduced_formula
    except ValueError as reason:
        raise error(f"{compound.formula!r} is no formula", "formula") from reason
    if structure.composition.reduced_formula != stated:
        raise error(f"the sites make {structure.composition.reduced_formula}", "formula")
    return Crystal(
        np.asarray(structure.lattice.matrix, dtype=np.float64),
        structure.frac_coords % 1.0,
        labels,
        [str(site.specie.symbol) for site in structure],
    )


def build_band(compound: Compound, hop: Hop, crystal: Crystal) -> Band:
    """Put one hop into a supercell: atoms 0..4 the images, evenly spaced, then all others.

    The images keep to the straight line also where the published path is curved.

    Raises:
        InputError: an end that is not on the site it names, a hop of absurd length, an ion that
            is missing where the mechanism wants one, or images on top of host atoms.
    """
    start, end = (np.asarray(point) @ crystal.lattice for point in (hop.start, hop.end))
    _check_end(compound, hop, crystal, hop.from_site, hop.start)
    _check_end(compound, hop, crystal, hop.to_site, hop.end)
    length = float(np.linalg.norm(end - start))
    if not HOP_LENGTHS[0] <= length <= HOP_LENGTHS[1]:
        raise InputError(f"the hop is {length:.2f} Å long, expected {HOP_LENGTHS} Å")

    big = supercell(crystal, _repeats(compound, crystal))
    inverse = np.linalg.inv(big.lattice)
    if hop.mechanism == "interstitial":
        removed = {atom for atom, element in enumerate(big.elements) if element == hop.ion}
    else:
        removed = {_ion_at(big, start, hop)}
        if compound.site(hop.to_site).element is not None:
            removed.add(_ion_at(big, end, hop))
        for point in hop.also_vacant:
            removed.add(_ion_at(big, np.asarray(point) @ crystal.lattice, hop))
    host = [atom for atom in range(len(big)) if atom not in removed]

    images = start + np.linspace(0.0, 1.0, IMAGES)[:, None] * (end - start)
    path = images @ inverse
    nearest = min(float(_distances(big, point)[host].min()) for point in path)
    if nearest < hop.clearance:
        raise InputError(f"an image is only {nearest:.2f} Å from a host atom")

    symbols = [hop.ion] * IMAGES + [big.elements[atom] for atom in host]
    return Band(
        name=f"{compound.name}: {hop.name}",
        cell=Cell(
            big.lattice,
            np.concatenate([path, big.frac[host]]),
            [Element(symbol).Z for symbol in symbols],
        ),
        target=hop.barrier,
        system=compound.name,
        family=compound.family,
        source=f"{hop.source} ({hop.method})",
    )


def supercell(crystal: Crystal, matrix: ArrayLike) -> Crystal:
    """The same crystal in another cell.

    Args:
        crystal: any cell.
        matrix: ``[3, 3]`` rows of the new cell in the basis of the old one; fractions make
            smaller cells, as long as the result is a period of the crystal.

    Raises:
        InputError: it is not.
    """
    rows = np.asarray(matrix, dtype=np.float64)
    if not all(_is_period(crystal, row) for row in rows):
        raise InputError("is not a period of the crystal", field="cell")
    corners = np.array(list(itertools.product((0, 1), repeat=3))) @ rows
    low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 1
    shifts = np.array(
        list(itertools.product(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True))))
    )
    everywhere = (crystal.frac[:, None, :] + shifts[None, :, :]) @ np.linalg.inv(rows)
    # Half open with a little slack, so that an atom on a face is taken once in spite of rounding.
    inside = ((everywhere >= -1e-6) & (everywhere < 1 - 1e-6)).all(axis=2)
    atoms, places = np.nonzero(inside)
    return Crystal(
        rows @ crystal.lattice,
        np.clip(everywhere[atoms, places], 0.0, None),
        [crystal.labels[atom] for atom in atoms],
        [crystal.elements[atom] for atom in atoms],
    )


def _is_period(crystal: Crystal, shift: NDArray[np.float64]) -> bool:
    off = crystal.frac[:, None, :] + shift - crystal.frac[None, :, :]
    same_place = (np.abs(off - np.round(off)) < 1e-4).all(axis=2)
    elements = np.array(crystal.elements)
    return bool((same_place & (elements[:, None] == elements[None, :])).any(axis=1).all())


def _repeats(compound: Compound, crystal: Crystal) -> NDArray[np.float64]:
    cell = np.asarray(compound.cell, dtype=np.float64)
    edges = np.linalg.norm(cell @ crystal.lattice, axis=1)
    return np.diag(np.ceil(SHORTEST_EDGE / edges)) @ cell


def _check_end(compound: Compound, hop: Hop, crystal: Crystal, label: str, point: Point) -> None:
    site = compound.site(label)
    if site.element is None:
        places = _orbit(compound, site)
    else:
        if site.element != hop.ion:
            raise InputError(f"site {label} holds {site.element}, not {hop.ion}")
        places = crystal.frac[[atom for atom, name in enumerate(crystal.labels) if name == label]]
    off = np.asarray(places) - np.asarray(point)
    away = float(np.linalg.norm((off - np.round(off)) @ crystal.lattice, axis=1).min())
    if away > ON_SITE:
        raise InputError(f"{point} is {away:.2f} Å away from the nearest site {label}")


def _orbit(compound: Compound, site: Site) -> NDArray[np.float64]:
    return np.array(_space_group(compound.space_group).get_orbit(site.xyz))


@cache
def _space_group(symbol: str) -> SpaceGroup:
    # Setting one up takes pymatgen a good part of a second; it shares those that someone holds.
    return SpaceGroup(symbol)


def _ion_at(crystal: Crystal, position: NDArray[np.float64], hop: Hop) -> int:
    away = _distances(crystal, position @ np.linalg.inv(crystal.lattice))
    atom = int(away.argmin())
    if away[atom] > ON_SITE or crystal.elements[atom] != hop.ion:
        raise InputError(f"there is no {hop.ion} to remove at {position.round(3).tolist()} Å")
    return atom


def _distances(crystal: Crystal, frac: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance in Å of every atom, in its nearest image, from one point."""
    off = crystal.frac - frac
    off -= np.round(off)
    # In an oblique cell the rounded image is not always the nearest one: try its neighbours.
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    images = (off[:, None, :] + shifts[None, :, :]) @ crystal.lattice
    nearest: NDArray[np.float64] = np.linalg.norm(images, axis=2).min(axis=1)
    return nearest

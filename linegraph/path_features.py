"""Features of the hop itself: both ends, as the paper has them, and ours along all five images.

Names are those of Table S2 of arXiv:2508.06436 where it has one (``ini_cn``, ``path_distance``),
and go on in the same pattern (``fin_cn``); the features of ours start with ``path:``.

==============================  ==================================================================
``path_distance``               hop length, Å: image 0 to 4
``ini_cn``, ``fin_cn``          Voronoi coordination number of the ion
``avg_ini_bond_length``         mean distance to the bonded atoms, Å: those of the other kind within
                                1.25 times the nearest one's distance
``avg_ini_solid_angle``         mean over the faces of the Voronoi polyhedron, sr
``avg_ini_facet_area``          Å²
``avg_ini_facet_distance``      Å
``n_verts_ini``                 vertices a face
``ini_volume``                  of the polyhedron, Å³
``path: QUANTITY, image K``     see :data:`QUANTITIES`
``path: QUANTITY, bottleneck``  its extreme over the five images less image 0
``path: QUANTITY, middle``      image 2 less the mean of images 0 and 4
``path: QUANTITY, ends``        image 4 less image 0
``path: PROPERTY``              of ion and crystal, see :data:`PROPERTIES`, :data:`MIDDLE`
==============================  ==================================================================

A value that does not exist is NaN: a second cation where there is none within 8 Å, a radius of a
noble gas, a polyhedron or distances in a cell that is no crystal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .around import Near, host_around
from .ends import Ends, shortest_hop
from .errors import InputError
from .images import IMAGES
from .ions import Species, bond_valence_length, is_anion, species_of
from .structure import Cell
from .voronoi import voronoi_cell

FloatArray = NDArray[np.float64]

#: Neighbours are looked for so far (Å).
REACH = 8.0

#: Features are rounded to so many decimals, fewer than files of structures have.
DECIMALS = 4

#: Å; over about so much more distance, atoms count less and less for smooth features.
FADING = 0.05

#: Decay of a bond's valence with its length, Å (I. D. Brown and D. Altermatt, Acta Cryst. B 41,
#: 244 (1985)).
VALENCE_DECAY = 0.37

#: What is measured at every image, and the sign of its extreme at the bottleneck: -1 where small
#: is narrow, 1 where large is. Mean distances in Å; the valence is the sum over all bonds to
#: anions, in valence units, and grows as the ion is squeezed.
QUANTITIES = {
    "nearest anion": -1,
    "3 nearest anions": -1,
    "6 nearest anions": -1,
    "nearest cation": -1,
    "2 nearest cations": -1,
    "bond valence": 1,
}

#: Of the migrating ion (Å, elementary charges, Pauling scale), of the host (electronegativity and
#: radius of its anions, electronegativity of its other cations), and of the cell (atoms counted
#: with one ion; Å³; width is the shortest distance between opposite faces, Å).
PROPERTIES = (
    "ion radius",
    "ion charge",
    "ion electronegativity",
    "ion row",
    "ions per atom",
    "ions in cell",
    "anions per atom",
    "anion electronegativity",
    "anion radius",
    "cation electronegativity",
    "volume per atom",
    "volume per anion",
    "atoms in cell",
    "cell width",
)

#: Electronegativity of the four anions and the two cations nearest to image 2.
MIDDLE = ("nearest anions' electronegativity, middle", "nearest cations' electronegativity, middle")

_END = {
    "{end}_cn": "coordination",
    "avg_{end}_solid_angle": "solid_angle",
    "avg_{end}_facet_area": "facet_area",
    "avg_{end}_facet_distance": "facet_distance",
    "n_verts_{end}": "facet_vertices",
    "{end}_volume": "volume",
}
_PLACES = (*(f"image {k}" for k in range(IMAGES)), "bottleneck", "middle", "ends")

#: Names of the paper's features, which look at the two ends alone.
END_FEATURES: tuple[str, ...] = (
    "path_distance",
    *(name.format(end=end) for end in ("ini", "fin") for name in ("avg_{end}_bond_length", *_END)),
)

#: All names, in order.
PATH_FEATURES: tuple[str, ...] = (
    *END_FEATURES,
    *(f"path: {quantity}, {place}" for quantity in QUANTITIES for place in _PLACES),
    *(f"path: {name}" for name in (*PROPERTIES, *MIDDLE)),
)


def path_features(band: Cell | Ends[Cell], smooth: bool = False) -> dict[str, float]:
    """All features of a hop by name (:data:`PATH_FEATURES`); NaN where one does not exist.

    Args:
        band: a band, whose images are taken where they are, in or outside of the cell; or its two
            ends, whose ion goes the shortest way, straight through the host of the initial
            structure.
        smooth: no number jumps when atoms move a little. Facets of polyhedra count by their solid
            angles, where a mean is over atoms within some distance the last ones fade out
            (:data:`FADING`), and nothing is rounded. Only mean numbers of vertices still jump.
    """
    return measure_path(band, smooth)[0]


def measure_path(
    band: Cell | Ends[Cell], smooth: bool = False
) -> tuple[dict[str, float], dict[str, str]]:
    """:func:`path_features`, and what failed: a message by the name of the measurement."""
    whole, ends = _parts(band)
    kinds = _Kinds(whole)
    failures: dict[str, str] = {}
    values = dict.fromkeys(PATH_FEATURES, float("nan"))
    values["path_distance"] = float(np.linalg.norm((whole.frac[4] - whole.frac[0]) @ whole.lattice))
    for end, cell in zip(("ini", "fin"), ends, strict=True):
        values |= _polyhedron(end, cell, smooth, failures)
    values |= _properties(whole, kinds)
    near = _around(whole, IMAGES, failures)
    if near:
        values["avg_ini_bond_length"] = _bond_length(near[0], kinds, smooth)
        values |= _along(near, kinds)
        values |= _middle(near[IMAGES // 2], kinds, smooth)
    if isinstance(band, Ends):
        # Given on its own, the final structure may have been relaxed, and its host moved.
        near, kinds = _around(band.final, 1, failures), _Kinds(band.final)
    if near:
        values["avg_fin_bond_length"] = _bond_length(near[-1], kinds, smooth)
    if smooth:
        return {name: values[name] for name in PATH_FEATURES}, failures
    # Without rounding, both ends of a symmetric hop would differ by what trees can split on.
    return {name: round(values[name], DECIMALS) for name in PATH_FEATURES}, failures


class _Kinds:
    """Which atoms are anions, and how large all of them are, each ``[N]``."""

    def __init__(self, cell: Cell) -> None:
        self.numbers = cell.numbers
        self.ion = int(cell.numbers[0])
        anion = is_anion(cell.numbers)
        known: dict[int, Species] = {
            z: species_of(z, anion=bool(anion[cell.numbers == z][0]))
            for z in set(cell.numbers.tolist())
        }
        self.species = known[self.ion]
        # The ion may itself be the most electronegative element; its neighbours are then cations.
        self.opposite = ~anion if anion[0] else anion
        self.radius = np.array([known[int(z)].radius for z in cell.numbers])
        self.electronegativity = np.array([known[int(z)].electronegativity for z in cell.numbers])
        lengths = {z: bond_valence_length(self.ion, z) for z in known}
        self.valence_length = np.array([lengths[int(z)] for z in cell.numbers])


def _parts(band: Cell | Ends[Cell]) -> tuple[Cell, tuple[Cell, Cell]]:
    """The band and its two ends."""
    if isinstance(band, Cell):
        return band, (band.without([1, 2, 3, 4]), band.without([0, 1, 2, 3]))
    first = band.initial
    hop = shortest_hop(band)
    images = first.frac[0] + np.linspace(0, 1, IMAGES)[:, None] * hop
    frac = np.concatenate([images, first.frac[1:]])
    numbers = np.concatenate([np.repeat(first.numbers[:1], IMAGES), first.numbers[1:]])
    return Cell(first.lattice, frac, numbers), (first, band.final)


def _around(cell: Cell, centers: int, failures: dict[str, str]) -> list[Near] | None:
    """Host atoms around the first atoms; None where they cannot be looked for."""
    try:
        return host_around(cell, centers, REACH)
    except InputError as error:
        failures[f"atoms within {REACH:g} Å"] = error.problem
        return None


def _bond_length(near: Near, kinds: _Kinds, smooth: bool) -> float:
    """Mean distance (Å) of an ion from the atoms it is bonded to."""
    distance = near.distance[kinds.opposite[near.atom]]
    if not len(distance):
        return np.nan
    furthest = 1.25 * distance[0]
    return _mean(distance, _fading(distance, furthest) if smooth else distance <= furthest)


def _fading(distance: FloatArray, furthest: float) -> FloatArray:
    """What atoms count at some distances: 1 well within the furthest, 1/2 there, 0 beyond."""
    share: FloatArray = 1 / (1 + np.exp((distance - furthest) / FADING))
    return share


def _polyhedron(end: str, cell: Cell, smooth: bool, failures: dict[str, str]) -> dict[str, float]:
    """Features of the Voronoi polyhedron of atom 0."""
    names = {name.format(end=end): field for name, field in _END.items()}
    try:
        found = voronoi_cell(cell, 0, weighted=smooth)
    except (ValueError, RuntimeError) as error:
        failures[f"Voronoi polyhedron ({end})"] = str(error)
        return dict.fromkeys(names, np.nan)
    return {name: float(getattr(found, field)) for name, field in names.items()}


def _along(near: list[Near], kinds: _Kinds) -> dict[str, float]:
    """Features along the images."""
    rows = np.array([_at_image(image, kinds) for image in near])  # [5, quantities]
    values: dict[str, float] = {}
    for (quantity, sign), at in zip(QUANTITIES.items(), rows.T, strict=True):
        extreme = at.max() if sign > 0 else at.min()
        numbers = (*at, extreme - at[0], at[2] - (at[0] + at[4]) / 2, at[4] - at[0])
        for place, value in zip(_PLACES, numbers, strict=True):
            values[f"path: {quantity}, {place}"] = float(value)
    return values


def _at_image(near: Near, kinds: _Kinds) -> list[float]:
    """Every one of :data:`QUANTITIES` at an image."""
    anion = kinds.opposite[near.atom]
    anions, cations = near.distance[anion], near.distance[~anion]
    valence = np.exp((kinds.valence_length[near.atom][anion] - anions) / VALENCE_DECAY)
    return [
        _mean_of_smallest(anions, 1),
        _mean_of_smallest(anions, 3),
        _mean_of_smallest(anions, 6),
        _mean_of_smallest(cations, 1),
        _mean_of_smallest(cations, 2),
        float(valence.sum()),
    ]


def _mean_of_smallest(values: FloatArray, count: int) -> float:
    return float(np.sort(values)[:count].mean()) if len(values) >= count else float("nan")


def _properties(cell: Cell, kinds: _Kinds) -> dict[str, float]:
    """Features of the ion and the crystal."""
    host = slice(IMAGES, None)
    atoms = len(cell) - IMAGES + 1
    volume = abs(float(np.linalg.det(cell.lattice)))
    ions = 1 + int((kinds.numbers[host] == kinds.ion).sum())
    anion = kinds.opposite[host]
    other = ~anion & (kinds.numbers[host] != kinds.ion)
    faces = np.linalg.norm(np.cross(cell.lattice[[1, 2, 0]], cell.lattice[[2, 0, 1]]), axis=1)
    values = (
        kinds.species.radius,
        kinds.species.charge,
        kinds.species.electronegativity,
        kinds.species.row,
        ions / atoms,
        ions,
        anion.sum() / atoms,
        _mean(kinds.electronegativity[host][anion]),
        _mean(kinds.radius[host][anion]),
        _mean(kinds.electronegativity[host][other]),
        volume / atoms,
        volume / anion.sum() if anion.any() else np.nan,
        atoms,
        volume / faces.max(),
    )
    return {f"path: {n}": float(v) for n, v in zip(PROPERTIES, values, strict=True)}


def _middle(near: Near, kinds: _Kinds, smooth: bool) -> dict[str, float]:
    """Every one of :data:`MIDDLE` at image 2."""
    anion = kinds.opposite[near.atom]
    values = []
    for chosen, count in ((anion, 4), (~anion, 2)):
        distance = near.distance[chosen]
        share: NDArray[Any] = np.arange(len(distance)) < count
        if smooth and len(distance):
            # Of atoms at the same distance, which symmetry makes, all count or none.
            share = _fading(distance, distance[min(count, len(distance)) - 1] + 2 * FADING)
        values.append(_mean(kinds.electronegativity[near.atom][chosen], share))
    return {f"path: {n}": v for n, v in zip(MIDDLE, values, strict=True)}


def _mean(values: FloatArray, weights: NDArray[Any] | None = None) -> float:
    return float(np.average(values, weights=weights)) if len(values) else float("nan")

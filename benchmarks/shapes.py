"""Structures that graph building is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from linegraph import Cell
from training.data import load_bands
from training.read import BandSet, read_bands

#: The published bands: those to train on, and those to test on.
PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "data" / "barriers" / "train.json.gz"
PUBLISHED_TEST = PUBLISHED.with_name("test.json.gz")


#: Cubic crystals: space group, edge (Å) and one site of each kind.
CUBIC: dict[str, tuple[str, float, dict[str, list[float]]]] = {
    "fcc": ("Fm-3m", 3.61, {"Cu": [0, 0, 0]}),
    "perovskite": (
        "Pm-3m",
        3.905,
        {"Sr": [0, 0, 0], "Ti": [0.5, 0.5, 0.5], "O": [0.5, 0.5, 0]},
    ),
    "spinel": ("Fd-3m", 8.083, {"Mg": [0.125] * 3, "Al": [0.5] * 3, "O": [0.2624] * 3}),
    "garnet": (
        "Ia-3d",
        11.459,
        {
            "Mg": [0.125, 0, 0.25],
            "Al": [0, 0, 0],
            "Si": [0.375, 0, 0.25],
            "O": [0.033, 0.05, 0.653],
        },
    ),
}


class Shape(NamedTuple):
    """One structure of the benchmark and what the tables call it."""

    name: str
    cell: Cell


def synthetic_shapes(largest: int) -> list[Shape]:
    """Structures made here, up to ``largest`` atoms: ideal crystals and one needle-shaped cell."""
    fcc = cubic("fcc").get_primitive_structure()
    garnet = cubic("garnet")
    perovskite = cubic("perovskite")
    spinel = cubic("spinel").get_primitive_structure()
    # A chain of 40 atoms with uneven steps, so that no two distances are equal along it.
    height = (np.arange(40) + 0.2 * np.sin(np.arange(40))) / 40
    needle = Cell(
        np.diag([2.9, 2.9, 120.0]),
        np.column_stack([0.1 * np.cos(np.arange(40)), np.zeros(40), height]),
        np.full(40, 14),
    )
    made = [
        ("fcc", _cell(fcc)),
        ("needle", needle),
        ("perovskite", _cell(perovskite * (2, 2, 2))),
        ("spinel", _cell(spinel * (2, 2, 2))),
        ("garnet", _cell(garnet * (1, 2, 3))),
        ("garnet", _cell(garnet * (4, 4, 4))),
    ]
    return [Shape(name, cell) for name, cell in made if len(cell) <= largest]


def cubic(name: str) -> Any:
    """One cubic cell of a crystal of :data:`CUBIC`, as a pymatgen ``Structure``."""
    from pymatgen.core import Lattice, Structure

    group, edge, sites = CUBIC[name]
    return Structure.from_spacegroup(group, Lattice.cubic(edge), list(sites), list(sites.values()))


def supercell(name: str, repeats: tuple[int, int, int]) -> Cell:
    """So many cubic cells of a crystal of :data:`CUBIC` along each axis."""
    return _cell(cubic(name) * repeats)


def some_bands(data: Path | None, published: Path) -> BandSet:
    """Bands of a file or folder; of none the published ones, or the starter set without those.

    Raises:
        InputError: see :func:`training.read.read_bands`.
    """
    return load_bands(data or (published if published.is_file() else None))


def published_shapes(path: Path, largest: int) -> list[Shape]:
    """The smallest, median and largest band of a file, of those with at most ``largest`` atoms."""
    bands = sorted((cell for band in read_bands(path).bands for cell in band.structures), key=len)
    bands = [cell for cell in bands if len(cell) <= largest]
    if not bands:
        return []
    names = ("smallest band", "median band", "largest band")
    cells = (bands[0], bands[len(bands) // 2], bands[-1])
    return [Shape(name, cell) for name, cell in zip(names, cells, strict=True)]


def _cell(structure: Any) -> Cell:
    return Cell(
        structure.lattice.matrix, structure.frac_coords, [site.specie.Z for site in structure]
    )

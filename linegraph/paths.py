"""From a band, or from its two ends, to the graphs that models look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from .crystal import SHELL_TOL, crystal_graph, distinct_bonds, graph_of
from .ends import Ends, as_ends
from .errors import InputError
from .graph import CrystalGraph
from .image_order import check_order
from .images import IMAGES
from .neighbors import shell_neighbors
from .path_graph import path_graph
from .reading import as_cell
from .structure import Cell
from .transforms import LineGraph
from .unwrapping import unwrapped

#: The neighbour whose shell ends the local graph of MODEL-4.
LOCAL_NEIGHBORS = 6

VIEWS = ("initial", "final", "band", "local", "path", "crystal")


def views(
    band: Any,
    names: Iterable[str],
    canonical: bool = False,
    shell_tol: float = SHELL_TOL,
    *,
    max_neighbors: int = 12,
    lattice_decimals: int | None = None,
    line_graph: bool = True,
    dtype: torch.dtype | None = None,
) -> dict[str, CrystalGraph]:
    """The graphs of a band that a model asks for (``model.views``).

    - ``"initial"``: the band without images 1 to 4; ``"final"``: without images 0 to 3
    - ``"band"`` (or ``"crystal"``): the structure as it is
    - ``"local"``: only bonds of the images, see :func:`local_graph`
    - ``"path"``: what each image sees of the host, see :mod:`linegraph.path_graph`, with
      :func:`linegraph.band_features.band_features` as ``features [1, F]``; it has no line graph.
      Images may be wrapped into the cell: each is taken where it is nearest to the one before

    Of :class:`linegraph.Ends`, ``"initial"`` and ``"final"`` are the two structures as they are,
    each in its own cell. Published final structures may be relaxed, so these graphs can differ
    from those of the band.

    Args:
        band: a structure (:func:`crystal_graph`) whose atoms 0..4 are images 0..4, or
            :class:`linegraph.Ends`.
        names: views wanted.
        canonical: see :func:`crystal_graph`; the local graph is never canonical.
        shell_tol: see :func:`crystal_graph`.
        max_neighbors: see :func:`crystal_graph`; the local graph always has its own.
        lattice_decimals: see :func:`crystal_graph`.
        line_graph: also add line graphs (:class:`linegraph.LineGraph`).
        dtype: see :func:`crystal_graph`.

    Returns:
        Graph by view name. PyG's collater batches such dicts.

    Raises:
        ValueError: unknown view.
        InputError: unusable structure, fewer than five atoms, images of different elements or, for
            the view ``"path"``, in another order than that of the path
            (:func:`linegraph.image_order.check_order`); ends that do not belong together, or a view
            of the path where only the ends are given.
    """
    given = as_ends(band) if isinstance(band, Ends) else as_cell(band)
    settings: dict[str, Any] = {
        "shell_tol": shell_tol,
        "lattice_decimals": lattice_decimals,
        "dtype": dtype,
    }
    graphs: dict[str, CrystalGraph] = {}
    for name in names:
        if name not in VIEWS:
            raise ValueError(f"unknown view {name!r}; known are {', '.join(VIEWS)}")
        cell = _structure_of(given, name)
        if name == "local":
            graph = local_graph(cell, **settings)
        elif name == "path":
            graphs[name] = _path(cell, dtype, lattice_decimals)
            continue
        else:
            graph = crystal_graph(
                cell, max_neighbors=max_neighbors, canonical=canonical, **settings
            )
        graphs[name] = LineGraph()(graph) if line_graph else graph
    return graphs


def _path(cell: Cell, dtype: torch.dtype | None, lattice_decimals: int | None) -> CrystalGraph:
    """The graph of the path, with what it takes to be judged by trees."""
    from .band_features import band_features

    check_order(cell)
    graph = path_graph(cell, lattice_decimals=lattice_decimals, dtype=dtype)
    features = torch.from_numpy(band_features(unwrapped(cell)))
    graph["features"] = features.to(graph["pos"].dtype)[None]
    return graph


def _structure_of(given: Cell | Ends[Cell], view: str) -> Cell:
    """The atoms that a view looks at."""
    if isinstance(given, Cell):
        if view != "crystal":
            check_images(given)
        return given.without({"initial": [1, 2, 3, 4], "final": [0, 1, 2, 3]}.get(view, []))
    if view == "initial":
        return given.initial
    if view == "final":
        return given.final
    raise InputError(f"{view!r} needs the whole path; there are only its two ends")


def check_images(cell: Cell) -> None:
    """Refuse a structure that is no band.

    Raises:
        InputError: fewer than five atoms, or atoms 0..4 of more than one element.
    """
    if len(cell) < IMAGES:
        raise InputError(
            f"a band starts with {IMAGES} images, but there are {len(cell)} atoms",
            field="elements",
        )
    if len(set(cell.numbers[:IMAGES].tolist())) > 1:
        raise InputError(
            f"atoms 0 to {IMAGES - 1} are the images of one ion, but have atomic numbers "
            f"{cell.numbers[:IMAGES].tolist()}",
            field="elements",
        )


def local_graph(
    cell: Cell,
    *,
    shell_tol: float = SHELL_TOL,
    lattice_decimals: int | None = None,
    dtype: torch.dtype | None = None,
) -> CrystalGraph:
    """The surroundings of the path: bonds with an image at one end, and the atoms they join.

    Shells of the 6th-nearest neighbour over the whole band; of their members those with an image
    (atom 0..4) at either end make bonds. Atoms keep their order; those without a bond are left
    out.

    Source: the subgraph of MODEL-4, arXiv:2508.06436.
    """
    cell = cell.with_lattice_decimals(lattice_decimals)
    entries = shell_neighbors(cell, LOCAL_NEIGHBORS, shell_tol)
    entries = entries.where((entries.center < IMAGES) | (entries.neighbor < IMAGES))
    bonds, multiplicity = distinct_bonds(entries, canonical=False)
    kept, ends = np.unique(bonds[:, :2], return_inverse=True)
    bonds[:, :2] = ends.reshape(-1, 2)
    subset = Cell(cell.lattice, cell.frac[kept], cell.numbers[kept])
    return graph_of(subset, bonds, multiplicity, dtype=dtype)

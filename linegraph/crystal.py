"""From a structure to its crystal graph: where neighbours become bonds."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch

from .graph import CrystalGraph
from .neighbors import Neighbors, shell_neighbors
from .reading import as_cell
from .structure import Cell
from .transforms import LINE_FIELDS, LineGraph

#: Default width of a neighbour shell, Å. Beyond this, most gaps between shells are real; below,
#: most are noise of the relaxation or the file (docs/graphs.md has the measured gaps).
SHELL_TOL = 1e-3


def crystal_graph(
    structure: Any,
    cutoff: float = 8.0,
    max_neighbors: int = 12,
    canonical: bool = False,
    shell_tol: float = SHELL_TOL,
    *,
    lattice_decimals: int | None = None,
    dtype: torch.dtype | None = None,
) -> CrystalGraph:
    """Build the k-nearest-shell crystal graph of a structure, every distinct bond once.

    Every atom ``i`` takes the neighbours up to and including the shell of its
    ``max_neighbors``-th nearest one. The reference turns each into two directed bonds, ``i -> j``
    and ``j -> i``, so a bond that both ends list appears twice each way. We keep it once, with
    ``multiplicity`` 2; :func:`linegraph.expand` restores the literal list.

    Args:
        structure: pymatgen ``Structure``, ASE ``Atoms``, :class:`linegraph.Cell`, or the path of
            a file (CIF, POSCAR, ...).
        cutoff: radius (Å) at which the reference starts to search. Its search widens until every
            atom has ``max_neighbors`` neighbours, so a whole k-th shell is found whatever the
            start: the value is kept for compatibility and changes nothing but is checked.
        max_neighbors: k, the neighbour whose shell is the last one kept.
        canonical: ``True`` for the edge list of the SCRATCH models, where a bond counts once even
            if both ends list it (bonds of an atom to its own image still count twice).
        shell_tol: width (Å) within which neighbours count as one shell. ``1e-8`` with
            ``lattice_decimals=5`` is the reference's exact comparison; the default keeps shells
            whole that are equal by symmetry, whatever the rounding of the file.
        lattice_decimals: round the lattice to so many decimals first, as the reference does (5).
        dtype: floating-point type of positions and vectors; PyTorch's default if None.

    Returns:
        The graph, bonds sorted by target atom, then source atom, then image. It has no line
        graph yet: apply :class:`linegraph.LineGraph`.

    Raises:
        InputError: the structure cannot be read or is not a crystal (:func:`as_cell`).
        ValueError: a setting out of range.

    Source: k-nearest shells as in Choudhary and DeCost, npj Comput. Mater. 7, 185 (2021).
    """
    if not cutoff > 0:
        raise ValueError(f"cutoff must be positive, got {cutoff}")
    if not isinstance(max_neighbors, int | np.integer):
        raise ValueError(f"max_neighbors must be a whole number, got {max_neighbors!r}")
    if max_neighbors < 1:
        raise ValueError(f"max_neighbors must be at least 1, got {max_neighbors}")
    if not shell_tol >= 0:
        raise ValueError(f"shell_tol must not be negative, got {shell_tol}")
    cell = as_cell(structure).with_lattice_decimals(lattice_decimals)
    entries = shell_neighbors(cell, max_neighbors, shell_tol)
    return graph_of(cell, *distinct_bonds(entries, canonical), dtype=dtype)


def distinct_bonds(
    entries: Neighbors, canonical: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Directed bonds that a list of neighbours stands for, each once.

    Args:
        entries: neighbour list; each entry ``(i, j, n)`` is listed once.
        canonical: which of the two edge lists to count copies for.

    Returns:
        bonds: ``[E, 5]`` rows ``(target, source, -image)`` where image is the cell of the target
            relative to the source; sorted.
        multiplicity: ``[E]`` copies of each bond in the reference's list.
    """
    # An entry (i, j, n) is the bond i -> j in image n and its reverse j -> i in image -n; written
    # with the target first and the image negated, so that rows sort by target.
    forward = np.column_stack([entries.neighbor, entries.center, -entries.image])
    backward = np.column_stack([entries.center, entries.neighbor, entries.image])
    bonds, copies = _unique_rows(np.concatenate([forward, backward]))
    if canonical:
        copies = np.where(bonds[:, 0] == bonds[:, 1], 2, 1)
    return bonds, copies


def graph_of(
    cell: Cell,
    bonds: NDArray[np.int64],
    multiplicity: NDArray[np.int64],
    *,
    dtype: torch.dtype | None = None,
) -> CrystalGraph:
    """A :class:`CrystalGraph` from bonds as :func:`distinct_bonds` returns them."""
    dtype = dtype or torch.get_default_dtype()
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(f"dtype must be a floating-point type of torch, got {dtype!r}")
    target, source, image = bonds[:, 0], bonds[:, 1], -bonds[:, 2:]
    vectors = (cell.frac[target] + image - cell.frac[source]) @ cell.lattice
    return CrystalGraph(
        z=torch.from_numpy(cell.numbers.copy()),
        pos=torch.from_numpy(cell.cart).to(dtype),
        cell=torch.tensor(cell.lattice, dtype=dtype)[None],
        edge_index=torch.from_numpy(np.stack([source, target])),
        edge_vec=torch.from_numpy(vectors).to(dtype),
        multiplicity=torch.from_numpy(multiplicity.astype(np.int64)),
        edge_end=torch.from_numpy(np.cumsum(np.bincount(target, minlength=len(cell)))),
    )


def expand(graph: CrystalGraph) -> CrystalGraph:
    """The same graph with every bond repeated ``multiplicity`` times, as the reference stores it.

    Copies lie next to each other and all multiplicities are 1. If the graph has a line graph, it
    is built anew from the copies. Other fields are kept, those of bonds (as PyG tells them: of as
    many rows as there are bonds) repeated with them. Of a batch, every graph is expanded, and they
    are batched again.

    Raises:
        RuntimeError: a batch that PyG did not make of graphs, and cannot take apart.
    """
    if isinstance(graph, Batch):
        followed = [key for key in graph.to_dict() if f"{key}_batch" in graph]
        members = [expand(member) for member in graph.to_data_list()]
        batch = Batch.from_data_list(members, follow_batch=followed)
        # What the batch was given itself, its members do not have.
        own = {key: value for key, value in _expanded_fields(graph).items() if key not in batch}
        expanded: CrystalGraph = batch.update(own)
        return expanded
    literal: CrystalGraph = copy(graph).update(_expanded_fields(graph))
    if "line_index" in graph:
        literal = LineGraph()(literal)
    return literal


def _expanded_fields(graph: CrystalGraph) -> dict[str, Any]:
    """All fields but those of the line graph, after bonds have been repeated."""
    copies: Tensor = graph["multiplicity"]
    which = torch.repeat_interleave(copies)
    others = ("z", "pos", "cell", "edge_end", "batch", "ptr")
    fields = {key: value for key, value in graph.to_dict().items() if key not in LINE_FIELDS}
    for key, value in fields.items():
        # There may be as many bonds as atoms, or one bond in one cell.
        if key in ("edge_index", "edge_vec") or (key not in others and graph.is_edge_attr(key)):
            along = graph.__cat_dim__(key, value)
            if isinstance(value, Tensor):
                fields[key] = value.index_select(along, which)
            elif isinstance(value, np.ndarray):
                fields[key] = value.take(which.cpu().numpy(), axis=along)
            else:
                fields[key] = type(value)(value[i] for i in which.tolist())
    target = fields["edge_index"][1]
    fields["multiplicity"] = torch.ones_like(target)
    fields["edge_end"] = torch.bincount(target, minlength=int(graph.num_nodes or 0)).cumsum(0)
    return fields


def _unique_rows(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted distinct rows and how often each occurs.

    Rows are packed into one integer each, several times faster than ``np.unique(axis=0)``.
    """
    if len(rows) == 0:
        return rows, np.empty(0, dtype=np.int64)
    low = rows.min(axis=0)
    span = rows.max(axis=0) - low + 1
    if np.prod(span.astype(np.float64)) >= 2.0**62:
        bonds, copies = np.unique(rows, axis=0, return_counts=True)
        return bonds, copies
    weight = np.concatenate([np.cumprod(span[:0:-1])[::-1], [1]])
    keys, copies = np.unique((rows - low) @ weight, return_counts=True)
    return keys[:, None] // weight % span + low, copies

"""Workload ``build``: crystal graph and line graph of whole bands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from linegraph import Cell, CrystalGraph, LineGraph, crystal_graph, expand

from .compare import Case, Options, Side, Workload
from .literal import (
    Literal,
    distinct_graph,
    largest_difference,
    only_noise,
    ordered,
    pairs_of,
)
from .peers import jarvis_atoms, needs_alignn, needs_dgl, needs_published
from .shapes import PUBLISHED_TEST, some_bands

#: Settings of the published scripts.
CUTOFF, NEIGHBORS = 8.0, 12

#: Width of a shell (Å) that gives the published edge list: it compares distances exactly.
EXACT = 1e-8

#: jarvis-tools rounds the lattice to so many decimals for a part of its arithmetic. All sides get
#: structures that are rounded already, or the two parts would disagree about symmetric shells.
DECIMALS = 5

#: Vectors (up to some 10 Å) and cosines are in single precision.
TOLERANCE = 1e-5


def build_ours(cell: Cell) -> CrystalGraph:
    """Our graph with line graph, every distinct bond once."""
    graph: CrystalGraph = LineGraph()(crystal_graph(cell, CUTOFF, NEIGHBORS, shell_tol=EXACT))
    return graph


def build_reference(atoms: Any) -> Literal:
    """The published edge code; its line graph in PyTorch instead of DGL, and no atom features."""
    from alignn.graphs import build_undirected_edgedata, nearest_neighbor_edges

    edges, _ = nearest_neighbor_edges(
        atoms=atoms, cutoff=CUTOFF, max_neighbors=NEIGHBORS, use_canonize=False
    )
    source, target, vector, _ = build_undirected_edgedata(atoms, edges)
    return Literal(source, target, vector, *pairs_of(source, target, vector))


def build_dgl(atoms: Any) -> Literal:
    """The published function as its scripts call it, atom features included."""
    from alignn.graphs import Graph

    graph, line = Graph.atom_dgl_multigraph(
        atoms,
        neighbor_strategy="k-nearest",
        cutoff=CUTOFF,
        max_neighbors=NEIGHBORS,
        use_canonize=False,
        compute_line_graph=True,
    )
    return _from_dgl(graph, line)


def build_alignn(atoms: Any) -> Any:
    """The peer's own builder at the same radius and number of neighbours."""
    from alignn.torch_graph_builder import build_pure_torch_graph

    return build_pure_torch_graph(atoms, two_body_cutoff=CUTOFF, max_neighbors=NEIGHBORS)


def _from_dgl(graph: Any, line: Any) -> Literal:
    import torch

    source, target = graph.edges()
    return Literal(source, target, graph.edata["r"], torch.stack(line.edges()), line.edata["h"])


def _literal(graph: CrystalGraph) -> Literal:
    copies = expand(graph)
    source, target = copies["edge_index"]
    return Literal(source, target, copies["edge_vec"], copies["line_index"], copies["line_cos"])


def cases(options: Options) -> Iterator[Case]:
    """All bands together, then the smallest, the median and the largest one alone."""
    cells = [
        cell.with_lattice_decimals(DECIMALS)
        for band in some_bands(options.data, PUBLISHED_TEST).bands
        for cell in band.structures
    ]
    cells.sort(key=len)
    if options.quick:
        yield _case("smallest band", cells[:1])
        return
    yield _case(f"all {len(cells)} bands", cells)
    for name, cell in (
        ("smallest band", cells[0]),
        ("median band", cells[len(cells) // 2]),
        ("largest band", cells[-1]),
    ):
        yield _case(name, [cell])


def _case(name: str, cells: list[Cell]) -> Case:
    graphs = [build_ours(cell) for cell in cells]
    notes: list[str] = []
    peers: dict[str, Callable[[Any], Any]] = {
        "dgl": build_dgl,
        "reference": build_reference,
        "alignn": build_alignn,
    }
    structures = _Once(cells)
    return Case(
        name=name,
        sizes={
            "structures": len(cells),
            "atoms": sum(len(cell) for cell in cells),
            "distinct bonds": sum(graph.num_bonds for graph in graphs),
            "distinct triplets": sum(graph.num_triplets for graph in graphs),
        },
        runs={
            "ours": lambda: [build_ours(cell) for cell in cells],
            **{peer: partial(structures.each, build) for peer, build in peers.items()},
        },
        difference=partial(_difference, name, cells, notes),
        tolerance=TOLERANCE,
        notes=notes,
    )


class _Once:
    """Structures as the peers have them, made when first needed and outside of the clock."""

    def __init__(self, cells: list[Cell]) -> None:
        self.cells = cells
        self.atoms: list[Any] = []

    def each(self, build: Callable[[Any], Any]) -> list[Any]:
        self.atoms = self.atoms or [jarvis_atoms(cell) for cell in self.cells]
        return [build(atoms) for atoms in self.atoms]


def _difference(
    name: str, cells: list[Cell], notes: list[str], ours: list[CrystalGraph], other: list[Literal]
) -> float:
    """Largest difference over all structures.

    Where rounding decides about a shell, the line graph is compared on the other side's own bonds.
    """
    largest, tied = 0.0, 0
    for cell, graph, theirs in zip(cells, ours, other, strict=True):
        one, two = ordered(_literal(graph), cell), ordered(theirs, cell)
        if largest_difference(one, two) == float("inf") and only_noise(cell, one, two):
            tied += 1
            one = ordered(_literal(LineGraph()(distinct_graph(theirs, cell))), cell)
        largest = max(largest, largest_difference(one, two))
    sentence = (
        f"{name}: bonds and line graph are those of the literal lists in {len(cells) - tied} of "
        f"{len(cells)} structures; in {tied} rounding noise decides in the published code which "
        "neighbours of a symmetric shell count, and only there bonds differ."
    )
    if tied and sentence not in notes:
        notes.append(sentence)
    return largest


WORKLOAD = Workload(
    name="build",
    summary="crystal graph and line graph of bands, from a structure in memory",
    sides=(
        Side("ours", "crystal_graph and LineGraph, every distinct bond once"),
        Side("dgl", "the published function: jarvis-tools, edge lists, DGL", needs_dgl),
        Side(
            "reference",
            "the same with the line graph in PyTorch, for want of DGL",
            needs_published,
        ),
        Side(
            "alignn",
            "the peer's own PyTorch builder",
            needs_alignn,
            same=False,
            note="which keeps exactly 12 neighbours of an atom, cutting shells, and adds no "
            "reverse bonds",
        ),
    ),
    cases=cases,
    rates=("structures",),
)

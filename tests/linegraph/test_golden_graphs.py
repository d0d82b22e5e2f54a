"""Graphs and line graphs are those of the reference."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import linegraph
from linegraph.neighbors import shell_neighbors
from linegraph.paths import local_graph
from linegraph.structure import Cell
from linegraph.transforms import line_weights

from .. import crystals, goldens

pytestmark = goldens.needs_goldens

#: Shells of the k-th neighbour, by prefix of the arrays.
K = {"dup_": 12, "can_": 12, "sub_": 6, "ini_": 12, "fin_": 12}

#: Å; the reference mixes a rounded (by up to 5e-6) and an unrounded lattice, which moves an atom
#: by the rounding of every lattice vector that its image is shifted by.
TIED = 2e-5

PARTS = [
    (name, prefix)
    for name in goldens.records()
    for prefix in K
    if prefix in ("dup_", "can_") or not name.startswith("syn")
]
DECIMALS = pytest.mark.parametrize("decimals", [None, 5], ids=["lattice as given", "5 decimals"])


class Part(NamedTuple):
    """One recorded graph, in atom numbers of the structure it was made of."""

    record: dict[str, Any]
    cell: Cell
    bonds: Counter[tuple[int, ...]]
    r: dict[tuple[int, ...], NDArray[np.float64]]
    shell_gap: NDArray[np.float64]
    exact: bool


@cache
def part(name: str, prefix: str) -> Part:
    record = goldens.load(f"record_{name}")
    cell = goldens.record_cell(record, prefix if prefix in ("ini_", "fin_") else "")
    nodes = record["sub_nodes"] if prefix == "sub_" else np.arange(len(cell))
    u, v = nodes[record[f"{prefix}u"]], nodes[record[f"{prefix}v"]]
    bonds = list(map(tuple, np.column_stack([u, v, record[f"{prefix}image"]]).tolist()))
    shells = "" if prefix in ("dup_", "can_") else prefix
    gap = record[f"{shells}shell_gap"]
    if prefix in ("dup_", "can_"):
        changed = record["num_shell_entries_changed_if_image_shift_uses_rounded_lattice"]
        exact = int(changed) == 0 and len(record["fragile_sites"]) == 0
    else:
        # How many entries the rounding changes was not counted for these.
        exact = bool(gap.min() > TIED)
    r = dict(zip(bonds, record[f"{prefix}r"], strict=True))
    return Part(record, cell, Counter(bonds), r, gap, exact)


def build(cell: Cell, prefix: str, decimals: int | None) -> linegraph.CrystalGraph:
    settings: dict[str, Any] = {"shell_tol": 1e-8, "lattice_decimals": decimals}
    settings["dtype"] = torch.float64
    if prefix == "sub_":
        return local_graph(cell, **settings)
    return linegraph.crystal_graph(cell, canonical=prefix == "can_", **settings)


def bonds_of(
    graph: linegraph.CrystalGraph, cell: Cell
) -> tuple[Counter[tuple[int, ...]], dict[tuple[int, ...], NDArray[np.float64]]]:
    """Copies and vectors by (source, target, image), atoms numbered as in the cell."""
    frac = graph.pos.numpy() @ np.linalg.inv(graph.cell[0].numpy())
    nodes = np.abs(frac[:, None] - cell.frac[None]).max(axis=2).argmin(axis=1)
    np.testing.assert_allclose(frac, cell.frac[nodes], atol=1e-9)
    assert graph.z.tolist() == cell.numbers[nodes].tolist()
    source, target = nodes[graph.edge_index.numpy()]
    shift = graph.edge_vec.numpy() @ np.linalg.inv(graph.cell[0].numpy())
    image = shift - cell.frac[target] + cell.frac[source]
    np.testing.assert_allclose(image, np.rint(image), atol=1e-6)
    rows = np.column_stack([source, target, np.rint(image).astype(int)]).tolist()
    keys = [tuple(row) for row in rows]
    assert len(set(keys)) == len(keys), "a bond is there twice"
    copies = dict(zip(keys, graph.multiplicity.tolist(), strict=True))
    return Counter(copies), dict(zip(keys, graph.edge_vec.numpy(), strict=True))


def kth_distance(cell: Cell, k: int) -> NDArray[np.float64]:
    found = crystals.every_neighbor(cell, float(shell_neighbors(cell, k, 0.1).distance.max()))
    return np.array([np.sort(found.distance[found.center == i])[k - 1] for i in range(len(cell))])


@DECIMALS
@pytest.mark.parametrize(("name", "prefix"), PARTS)
def test_bonds(name: str, prefix: str, decimals: int | None) -> None:
    theirs = part(name, prefix)
    ours, vectors = bonds_of(build(theirs.cell, prefix, decimals), theirs.cell)
    different = (ours - theirs.bonds) + (theirs.bonds - ours)
    if theirs.exact:
        assert not different
        assert ours.total() == theirs.record[f"{prefix}num_edges"]
        assert len(ours) == theirs.record[f"{prefix}num_unique_edges"]
    else:
        # Only where the reference's choice is rounding: members of a tied shell of either end.
        kth = kth_distance(theirs.cell, K[prefix])
        for bond in different:
            vector = vectors[bond] if bond in vectors else theirs.r[bond]
            ends = [i for i in bond[:2] if theirs.shell_gap[i] < TIED]
            length = np.linalg.norm(vector)
            assert any(abs(length - kth[i]) < TIED for i in ends), bond
    tolerance = 1e-4 if decimals is None else 1e-9
    shared = sorted(set(vectors) & set(theirs.r))
    assert len(shared) >= 0.85 * len(theirs.r)
    np.testing.assert_allclose(
        np.array([vectors[bond] for bond in shared]),
        np.array([theirs.r[bond] for bond in shared]),
        rtol=0,
        atol=tolerance,
    )


def test_records_of_both_kinds_are_there() -> None:
    """Otherwise the comparison above could be empty."""
    exact = [name for name, prefix in PARTS if part(name, prefix).exact]
    assert {"02", "34", "43", "47", "52", "synA", "synB"} <= set(exact)
    assert {name for name, prefix in PARTS if not part(name, prefix).exact} >= {"31", "38", "42"}
    kinds = {prefix for name, prefix in PARTS if part(name, prefix).exact}
    assert kinds == set(K)


@DECIMALS
@pytest.mark.parametrize(
    ("name", "prefix"),
    [(n, p) for n, p in PARTS if p in ("dup_", "can_", "sub_") and part(n, p).exact],
)
def test_line_graph_of_our_own_bonds(name: str, prefix: str, decimals: int | None) -> None:
    theirs = part(name, prefix)
    graph = linegraph.LineGraph()(build(theirs.cell, prefix, decimals))
    count = int(theirs.record[f"{prefix}num_lg_edges"])
    weights = line_weights(graph.multiplicity, graph.line_index)[1]
    assert int(weights.sum()) == count
    assert linegraph.expand(graph).num_triplets == count


@pytest.mark.parametrize(
    ("name", "prefix"), [(n, p) for n, p in PARTS if p in ("dup_", "can_", "sub_")]
)
def test_line_graph_of_their_bonds(name: str, prefix: str) -> None:
    record = goldens.load(f"record_{name}")
    graph = goldens.record_graph(record, prefix)
    literal = linegraph.expand(graph)
    assert literal.num_bonds == record[f"{prefix}num_edges"]
    assert literal.num_triplets == record[f"{prefix}num_lg_edges"]
    sum_weight, norm_weight = line_weights(graph.multiplicity, graph.line_index)
    assert int(norm_weight.sum()) == literal.num_triplets
    assert int((sum_weight * graph.multiplicity[graph.line_index[1]]).sum()) == literal.num_triplets

    # Distinct bonds numbered by (source, target, image) on both sides; copies share a number.
    def numbers(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.unique(rows, axis=0, return_inverse=True)[1].ravel()

    theirs = numbers(
        np.column_stack([record[f"{prefix}u"], record[f"{prefix}v"], record[f"{prefix}image"]])
    )
    source, target = literal.edge_index.numpy()
    shift = literal.edge_vec.numpy() @ np.linalg.inv(np.round(record["lattice"], 5))
    cell = goldens.record_cell(record)
    frac = cell.frac[record["sub_nodes"]] if prefix == "sub_" else cell.frac
    image = np.rint(shift - frac[target] + frac[source]).astype(int)
    ours = numbers(np.column_stack([source, target, image]))

    first, second = literal.line_index.numpy()
    mine = sorted_pairs(ours[first], ours[second], literal.line_cos.numpy())
    wanted = sorted_pairs(
        theirs[record[f"{prefix}lg_src"]],
        theirs[record[f"{prefix}lg_dst"]],
        record[f"{prefix}cos"],
    )
    np.testing.assert_array_equal(mine[:2], wanted[:2])
    np.testing.assert_allclose(mine[2], wanted[2], rtol=0, atol=1e-12)


def sorted_pairs(
    first: NDArray[np.int64], second: NDArray[np.int64], cosine: NDArray[np.float64]
) -> NDArray[np.float64]:
    order = np.lexsort([second, first])
    return np.stack([first[order], second[order], cosine[order]])


@pytest.mark.parametrize("name", goldens.records())
def test_single_precision_cosines(name: str) -> None:
    """The reference computes them in float32; ours in float32 agree to its rounding."""
    record = goldens.load(f"record_{name}")
    graph = goldens.record_graph(record, "dup_")
    single = graph.clone()
    single.edge_vec = graph.edge_vec.float()
    single = linegraph.LineGraph()(linegraph.expand(single))
    assert single.line_cos.dtype == torch.float32
    np.testing.assert_allclose(
        np.sort(single.line_cos.numpy()), np.sort(record["dup_cos_f32"]), rtol=0, atol=5e-6
    )


@pytest.mark.parametrize(("name", "prefix"), PARTS)
def test_bonds_are_sorted_and_pointed_to(name: str, prefix: str) -> None:
    graph = build(part(name, prefix).cell, prefix, None)
    source, target = graph.edge_index
    order = torch.argsort(target * graph.num_nodes + source, stable=True)
    assert order.tolist() == list(range(graph.num_bonds))
    assert graph.edge_end.tolist() == [int((target <= i).sum()) for i in range(graph.num_nodes)]


@pytest.mark.parametrize("name", goldens.records())
def test_default_shells_contain_the_references(name: str) -> None:
    """Wider shells only add bonds, and add them whole: every bond has its reverse."""
    theirs = part(name, "dup_")
    graph = linegraph.crystal_graph(theirs.cell, dtype=torch.float64)
    ours, _ = bonds_of(graph, theirs.cell)
    assert not theirs.bonds - ours
    assert all(ours[(j, i, *(-x for x in n))] == copies for (i, j, *n), copies in ours.items())

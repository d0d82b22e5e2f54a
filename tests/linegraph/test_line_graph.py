"""Line graphs against all pairs of bonds."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data

from linegraph import CrystalGraph, LineGraph, crystal_graph, expand
from linegraph.transforms import bond_cosine, line_index, line_weights

from .. import crystals

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    ),
]


def every_pair(edge_index: Tensor, copies: Tensor | None = None) -> list[tuple[int, int]]:
    """Pairs of consecutive bonds, sorted by the second: all pairs looked at."""
    source, target = edge_index.tolist()
    count = [1] * len(source) if copies is None else copies.tolist()
    return [
        (a, b)
        for b in range(len(source))
        for a in range(len(source))
        if target[a] == source[b] and (a != b or count[b] > 1)
    ]


def pairs_of(index: Tensor) -> list[tuple[int, int]]:
    return sorted(map(tuple, index.t().tolist()), key=lambda pair: pair[::-1])


def angle_cosine(vectors: Tensor, first: int, second: int) -> float:
    """Between the ways from the common atom to the two others."""
    back, on = (-vectors[first]).tolist(), vectors[second].tolist()
    lengths = math.hypot(*back) * math.hypot(*on)
    return sum(x * y for x, y in zip(back, on, strict=True)) / lengths if lengths else 0.0


@st.composite
def multigraphs(draw: st.DrawFn) -> Data:
    """Any directed multigraph: loops, parallel edges, isolated nodes, edges in any order."""
    nodes = draw(st.integers(1, 6))
    ends = st.integers(0, nodes - 1)
    edges = draw(st.lists(st.tuples(ends, ends), max_size=25))
    data = Data(
        pos=torch.zeros(nodes, 3),
        edge_index=torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t().contiguous(),
        edge_vec=torch.randn(
            len(edges), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(len(edges))
        ),
    )
    if draw(st.booleans()):
        copies = st.lists(st.integers(1, 3), min_size=len(edges), max_size=len(edges))
        data.multiplicity = torch.tensor(draw(copies), dtype=torch.int64)
    return data


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=80, deadline=None)
@given(data=multigraphs())
def test_any_multigraph(device: str, data: Data) -> None:
    copies = data.multiplicity if "multiplicity" in data else None
    out = LineGraph()(data.clone().to(device)).cpu()
    wanted = every_pair(data.edge_index, copies)
    assert pairs_of(out.line_index) == wanted
    assert (torch.diff(out.line_index[1]) >= 0).all()
    assert out.line_index.dtype == torch.int64
    assert out.line_index.shape == (2, len(wanted))
    cosines = [angle_cosine(data.edge_vec, a, b) for a, b in out.line_index.t().tolist()]
    torch.testing.assert_close(out.line_cos, torch.tensor(cosines, dtype=torch.float64))
    # The triplets into bond e are those between the ends of e - 1 and e.
    ends = torch.nn.functional.pad(out.line_end, (1, 0)).tolist()
    assert len(ends) == data.edge_index.size(1) + 1
    for bond, (start, end) in enumerate(pairwise(ends)):
        assert out.line_index[0, start:end].tolist() == [a for a, b in wanted if b == bond]


@pytest.mark.parametrize("canonical", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_crystals(seed: int, canonical: bool) -> None:
    cell = crystals.random_cell(seed)
    graph = LineGraph()(crystal_graph(cell, max_neighbors=5, canonical=canonical))
    assert pairs_of(graph.line_index) == every_pair(graph.edge_index, graph.multiplicity)
    literal = expand(graph)
    assert pairs_of(literal.line_index) == every_pair(literal.edge_index)
    for some in (graph, literal):
        assert_pointers(some)


def assert_pointers(graph: Any) -> None:
    for pointer, target, count in (
        (graph.edge_ptr, graph.edge_index[1], graph.num_nodes),
        (graph.line_ptr, graph.line_index[1], graph.num_bonds),
    ):
        assert pointer[0] == 0
        assert pointer[-1] == len(target)
        assert len(pointer) == count + 1
        assert torch.repeat_interleave(torch.arange(count), torch.diff(pointer)).equal(target)


@pytest.mark.parametrize("canonical", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_weights_count_the_literal_pairs(seed: int, canonical: bool) -> None:
    """Sums and statistics over distinct pairs are those over all copies, pair by pair."""
    cell = crystals.random_cell(seed, atoms=1 + seed % 3)
    graph = LineGraph()(crystal_graph(cell, max_neighbors=4, canonical=canonical))
    owner = torch.repeat_interleave(graph.multiplicity)
    literal = expand(graph)
    count = torch.zeros(graph.num_bonds, graph.num_bonds, dtype=torch.int64)
    a, b = owner[literal.line_index]
    count.index_put_((a, b), torch.ones_like(a), accumulate=True)
    sum_weight, norm_weight = line_weights(graph.multiplicity, graph.line_index)
    first, second = graph.line_index
    assert norm_weight.equal(count[first, second])
    assert (sum_weight * graph.multiplicity[second]).equal(norm_weight)
    assert int(norm_weight.sum()) == literal.num_triplets == int(count.sum())


def loop(copies: list[int]) -> CrystalGraph:
    """An atom and bonds to its own images along x."""
    count = len(copies)
    return CrystalGraph(
        z=torch.tensor([3]),
        pos=torch.zeros(1, 3),
        cell=torch.eye(3)[None],
        edge_index=torch.zeros(2, count, dtype=torch.int64),
        edge_vec=torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]])[:count],
        multiplicity=torch.tensor(copies),
        edge_end=torch.tensor([count]),
    )


def test_bond_to_an_own_image() -> None:
    single = LineGraph()(loop([1, 1]))
    assert single.line_index.tolist() == [[1, 0], [0, 1]]
    assert single.line_cos.tolist() == [1.0, 1.0]  # there and back again: no angle
    double = LineGraph()(loop([2, 2]))
    assert double.line_index.tolist() == [[0, 1, 0, 1], [0, 0, 1, 1]]
    assert double.line_cos.tolist() == [-1.0, 1.0, 1.0, -1.0]  # on and on: straight
    sum_weight, norm_weight = line_weights(double.multiplicity, double.line_index)
    assert sum_weight.tolist() == [1, 2, 2, 1]
    assert norm_weight.tolist() == [2, 4, 4, 2]


def test_parallel_bonds_stay_apart() -> None:
    data = Data(
        pos=torch.zeros(2, 3),
        edge_index=torch.tensor([[0, 0, 1], [1, 1, 0]]),
        edge_vec=torch.tensor([[1.0, 0, 0], [0, 2.0, 0], [-1.0, 0, 0]]),
    )
    out = LineGraph()(data)
    assert out.line_index.tolist() == [[2, 2, 0, 1], [0, 1, 2, 2]]
    assert out.line_cos.tolist() == [1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bonds_without_length(dtype: torch.dtype) -> None:
    data = Data(
        pos=torch.zeros(2, 3),
        edge_index=torch.tensor([[0, 1], [1, 0]]),
        edge_vec=torch.tensor([[0.0, 0, 0], [1.0, 0, 0]], dtype=dtype),
    )
    out = LineGraph()(data)
    assert out.line_cos.tolist() == [0.0, 0.0]
    assert out.line_cos.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosine_never_leaves_its_range(dtype: torch.dtype) -> None:
    vectors = torch.randn(500, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    itself = torch.arange(500).expand(2, -1)
    cosine = bond_cosine(torch.cat([vectors, -vectors]), torch.cat([itself, itself + 500], dim=1))
    assert (cosine >= -1).all()
    torch.testing.assert_close(cosine, -torch.ones_like(cosine))
    reverse = torch.stack([itself[0], itself[0] + 500])
    cosine = bond_cosine(torch.cat([vectors, -vectors]), reverse)
    assert (cosine <= 1).all()
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


def test_right_angle_and_sixty_degrees() -> None:
    """The angle is the one at the common atom, not the change of direction."""
    vectors = torch.tensor([[1.0, 0, 0], [-0.5, 3**0.5 / 2, 0], [0, 1.0, 0]], dtype=torch.float64)
    cosine = bond_cosine(vectors, torch.tensor([[0, 0], [1, 2]]))
    assert cosine.tolist() == pytest.approx([0.5, 0.0])


def test_no_bonds() -> None:
    for data in (
        Data(
            pos=torch.zeros(3, 3),
            edge_index=torch.empty(2, 0, dtype=torch.int64),
            edge_vec=torch.empty(0, 3),
        ),
        Data(
            pos=torch.zeros(0, 3),
            edge_index=torch.empty(2, 0, dtype=torch.int64),
            edge_vec=torch.empty(0, 3),
        ),
    ):
        out = LineGraph()(data)
        assert out.line_index.shape == (2, 0)
        assert out.line_index.dtype == torch.int64
        assert out.line_cos.shape == (0,)
        assert out.line_end.shape == (0,)


def test_atoms_without_bonds_change_nothing() -> None:
    edge_index = torch.tensor([[4, 2, 4, 7], [2, 4, 4, 4]])
    vectors = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    out = LineGraph()(Data(pos=torch.zeros(9, 3), edge_index=edge_index, edge_vec=vectors))
    assert pairs_of(out.line_index) == every_pair(edge_index)
    same = line_index(torch.tensor([[1, 0, 1, 2], [0, 1, 1, 1]]), 3)
    assert out.line_index.equal(same)


@pytest.mark.parametrize("device", DEVICES)
def test_order_of_the_bonds_does_not_matter(device: str) -> None:
    graph = LineGraph()(crystal_graph(crystals.random_cell(4, atoms=3)))
    order = torch.randperm(graph.num_bonds, generator=torch.Generator().manual_seed(0))
    shuffled = Data(
        z=graph.z,
        pos=graph.pos,
        edge_index=graph.edge_index[:, order],
        edge_vec=graph.edge_vec[order],
        multiplicity=graph.multiplicity[order],
    ).to(device)
    out = LineGraph()(shuffled).cpu()
    assert (torch.diff(out.line_index[1]) >= 0).all()
    theirs = dict(
        zip(map(tuple, graph.line_index.t().tolist()), graph.line_cos.tolist(), strict=True)
    )
    ours = dict(
        zip(map(tuple, order[out.line_index].t().tolist()), out.line_cos.tolist(), strict=True)
    )
    assert ours == theirs


def test_the_input_is_left_alone() -> None:
    graph = crystal_graph(crystals.fcc())
    out = LineGraph()(graph)
    assert "line_index" not in graph
    assert graph.num_triplets == 0
    assert out.num_triplets == 144


def test_twice_is_once() -> None:
    once = LineGraph()(crystal_graph(crystals.random_cell(2)))
    twice = LineGraph()(once)
    for key in ("line_index", "line_cos", "line_end"):
        assert twice[key].equal(once[key])


def test_number_of_pairs_of_a_large_list() -> None:
    """Sum over atoms of in-degree times out-degree, less the pairs of a bond with itself."""
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.randint(0, 300, (2, 5000), generator=generator)
    index = line_index(edge_index, 300)
    into, out_of = (torch.bincount(ends, minlength=300) for ends in edge_index.flip(0))
    loops = int((edge_index[0] == edge_index[1]).sum())
    assert index.size(1) == int((into * out_of).sum()) - loops
    first, second = index
    assert edge_index[1, first].equal(edge_index[0, second])
    assert len(torch.unique(first * 5000 + second)) == index.size(1)


def test_composes_like_any_transform() -> None:
    from torch_geometric.transforms import Compose, ToUndirected

    data = Data(
        pos=torch.zeros(3, 3),
        edge_index=torch.tensor([[0, 1], [1, 2]]),
        edge_vec=torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]),
    )
    out = Compose([ToUndirected(reduce="mean"), LineGraph()])(data)
    assert pairs_of(out.line_index) == every_pair(out.edge_index)
    assert repr(LineGraph()) == "LineGraph()"

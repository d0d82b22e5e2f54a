"""Stock PyG batches, loaders and files hold our graphs."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from linegraph import CrystalGraph, LineGraph, crystal_graph, expand, views
from linegraph.nn import ALIGNN
from linegraph.structure import Cell

from .. import crystals
from .test_line_graph import DEVICES, assert_pointers, every_pair, pairs_of

SEEDS = range(5)


def a_graph(seed: int, line_graph: bool = True, **settings: Any) -> CrystalGraph:
    graph = crystal_graph(crystals.random_cell(seed), max_neighbors=6, **settings)
    return LineGraph()(graph) if line_graph else graph


def without_bonds() -> CrystalGraph:
    return CrystalGraph(
        z=torch.tensor([3, 8]),
        pos=torch.zeros(2, 3),
        cell=torch.eye(3)[None],
        edge_index=torch.empty(2, 0, dtype=torch.int64),
        edge_vec=torch.empty(0, 3),
        multiplicity=torch.empty(0, dtype=torch.int64),
        edge_end=torch.zeros(2, dtype=torch.int64),
    )


def some_graphs(line_graph: bool = True) -> list[CrystalGraph]:
    """With bonds and without, in the middle and at both ends."""
    empty = without_bonds()
    if line_graph:
        empty = LineGraph()(empty)
    graphs = [a_graph(seed, line_graph) for seed in SEEDS]
    return [empty.clone(), *graphs[:2], empty.clone(), *graphs[2:], empty.clone()]


def plain(graph: CrystalGraph, multiplicity: bool = True) -> Data:
    data = Data(z=graph.z, pos=graph.pos, edge_index=graph.edge_index, edge_vec=graph.edge_vec)
    if multiplicity:
        data.multiplicity = graph.multiplicity
    return data


def assert_same(ours: Any, theirs: Any) -> None:
    assert sorted(ours.keys()) == sorted(theirs.keys())
    for key in theirs.keys():  # noqa: SIM118
        assert ours[key].dtype == theirs[key].dtype, key
        assert ours[key].equal(theirs[key]), key


def test_batch_counts_on() -> None:
    graphs = some_graphs()
    batch = Batch.from_data_list(graphs)
    atoms = np.cumsum([0, *(g.num_nodes for g in graphs)])
    bonds = np.cumsum([0, *(g.num_bonds for g in graphs)])
    for i, graph in enumerate(graphs):
        mine = slice(bonds[i], bonds[i + 1])
        assert batch.edge_index[:, mine].equal(graph.edge_index + atoms[i])
        assert batch.edge_vec[mine].equal(graph.edge_vec)
    wanted = [g.line_index + bonds[i] for i, g in enumerate(graphs)]
    assert batch.line_index.equal(torch.cat(wanted, dim=1))
    assert batch.cell.shape == (len(graphs), 3, 3)
    assert batch.num_bonds == bonds[-1]
    assert_pointers(batch)


def test_pointers_of_graphs_and_batches() -> None:
    for graph in some_graphs():
        assert_pointers(graph)
    no_bonds = LineGraph()(without_bonds())
    assert_pointers(Batch.from_data_list([no_bonds, no_bonds]))
    assert_pointers(Batch.from_data_list([expand(a_graph(s)) for s in SEEDS]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["crystal", "plain", "plain without copies"])
def test_line_graph_of_a_batch(kind: str, device: str) -> None:
    """On the batch and on its members it is the same."""
    graphs: list[Any] = some_graphs(line_graph=False)
    if kind != "crystal":
        graphs = [plain(g, multiplicity=kind == "plain") for g in graphs]
    batch = LineGraph()(Batch.from_data_list(graphs).to(device)).cpu()
    copies = batch.multiplicity if "multiplicity" in batch else None
    assert pairs_of(batch.line_index) == every_pair(batch.edge_index, copies)
    singles = [LineGraph()(g) for g in graphs]
    assert batch.line_cos.equal(torch.cat([g.line_cos for g in singles]))
    if kind == "crystal":
        assert_same(batch, Batch.from_data_list(singles))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["crystal", "plain", "plain without copies"])
def test_a_batch_with_line_graph_comes_apart(kind: str, device: str) -> None:
    graphs: list[Any] = some_graphs(line_graph=False)
    if kind != "crystal":
        graphs = [plain(g, multiplicity=kind == "plain") for g in graphs]
    batch = LineGraph()(Batch.from_data_list(graphs).to(device))
    members = batch.to_data_list()
    assert len(members) == batch.num_graphs == len(graphs)
    for i, (member, graph) in enumerate(zip(members, graphs, strict=True)):
        assert type(member) is type(graph)
        assert_same(member.cpu(), LineGraph()(graph))
        assert_same(batch.get_example(i).cpu(), member.cpu())
    if kind == "crystal":
        assert_same(Batch.from_data_list(members), batch)
    assert [type(g) for g in batch[1:3]] == [type(graphs[0])] * 2


def test_a_batch_of_one_and_the_transform_twice() -> None:
    for graphs in ([a_graph(0, False)], [a_graph(0, False), a_graph(1, False)]):
        batch = LineGraph()(LineGraph()(Batch.from_data_list(graphs)))
        for member, graph in zip(batch.to_data_list(), graphs, strict=True):
            assert_same(member, LineGraph()(graph))


def test_members_come_back_from_a_batch_of_line_graphs() -> None:
    graphs = some_graphs()
    for member, graph in zip(Batch.from_data_list(graphs).to_data_list(), graphs, strict=True):
        assert_same(member, graph)


@pytest.mark.parametrize("workers", [0, 2])
def test_stock_loader(workers: int) -> None:
    graphs = some_graphs()
    seen = []
    for batch in DataLoader(graphs, batch_size=3, num_workers=workers):
        assert_pointers(batch)
        seen += batch.to_data_list()
    for ours, theirs in zip(seen, graphs, strict=True):
        assert_same(ours, theirs)


def a_band(seed: int) -> Cell:
    cell = crystals.random_cell(seed, atoms=9)
    numbers = cell.numbers.copy()
    numbers[:5] = 3
    return Cell(cell.lattice, cell.frac, numbers)


def test_stock_loader_of_views() -> None:
    names = ["initial", "final", "band", "local"]
    items = [views(a_band(seed), names) for seed in SEEDS]
    batches = list(DataLoader(items, batch_size=2))
    assert len(batches) == 3
    for position, batch in enumerate(batches):
        assert sorted(batch) == sorted(names)
        for name in names:
            assert_pointers(batch[name])
            assert batch[name].num_graphs == (1 if position == 2 else 2)
            for member, item in zip(
                batch[name].to_data_list(), items[2 * position : 2 * position + 2], strict=True
            ):
                assert_same(member, item[name])


def test_outputs_do_not_depend_on_company() -> None:
    torch.manual_seed(0)
    model = ALIGNN(hidden=8, alignn_layers=1, conv_layers=1).double().eval()
    graphs = some_graphs()
    with torch.no_grad():
        together = model(Batch.from_data_list(graphs).to("cpu"))
        alone = torch.cat([model(g) for g in graphs])
        later = model(LineGraph()(Batch.from_data_list(some_graphs(line_graph=False))))
        never = model(Batch.from_data_list([plain(g) for g in graphs]))
    for other in (alone, later, never):
        torch.testing.assert_close(together, other, rtol=1e-10, atol=1e-12)


def test_own_fields_travel_along() -> None:
    graphs = [a_graph(seed) for seed in SEEDS]
    for seed, graph in zip(SEEDS, graphs, strict=True):
        graph.y = torch.tensor([float(seed)])
        graph.name = f"record {seed}"
    batch = Batch.from_data_list(graphs)
    assert batch.y.tolist() == list(map(float, SEEDS))
    assert batch.name == [f"record {seed}" for seed in SEEDS]


@pytest.mark.parametrize("batched", [False, True])
def test_copies_are_equal_and_independent(batched: bool) -> None:
    graph = Batch.from_data_list(some_graphs()) if batched else a_graph(0)
    for other in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph), graph.clone()):
        assert type(other).__name__ == type(graph).__name__
        assert_same(other, graph)
        assert_pointers(other)
        other.edge_vec += 1
        other.line_index += 1
        assert not other.edge_vec.equal(graph.edge_vec)
        assert not other.line_index.equal(graph.line_index)


def test_files(tmp_path: Path) -> None:
    graph = a_graph(0)
    torch.save(graph, tmp_path / "graph.pt")
    read = torch.load(tmp_path / "graph.pt", weights_only=False)
    assert isinstance(read, CrystalGraph)
    assert_same(read, graph)
    torch.save(graph.to_dict(), tmp_path / "fields.pt")
    fields = torch.load(tmp_path / "fields.pt", weights_only=True)
    assert_same(CrystalGraph(**fields), graph)


def test_to_another_precision_and_back() -> None:
    graph = a_graph(0, dtype=torch.float64)
    single = graph.clone().apply(lambda x: x.float() if x.is_floating_point() else x)
    assert single.edge_vec.dtype == torch.float32
    assert single.line_index.equal(graph.line_index)
    assert_pointers(single)

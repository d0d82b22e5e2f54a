"""Graphs that do not fit are refused: bonds that a transform changed, angles without a gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric import transforms
from torch_geometric.data import Batch, Data

import linegraph
from linegraph import CrystalGraph, LineGraph, crystal_graph
from linegraph.nn import ALIGNN, graph_input

from .. import crystals
from ..bands import rock_salt_band, sizes_of

SMALL = {"hidden": 8, "alignn_layers": 2, "conv_layers": 1, "embedding": 8, "head": 8}
REFUSED = "line graph does not fit the bonds: .*; apply linegraph.LineGraph after any transform"


def a_graph(seed: int = 0) -> CrystalGraph:
    cell = crystals.random_cell(seed, atoms=4)
    graph: CrystalGraph = LineGraph()(crystal_graph(cell, dtype=torch.float64))
    return graph


def a_trunk() -> ALIGNN:
    torch.manual_seed(0)
    return ALIGNN(hidden=8, alignn_layers=2, conv_layers=1).double()


#: What changes bonds, and leaves the line graph as it was.
CHANGES: dict[str, Callable[[Any], Any]] = {
    "sort": lambda graph: graph.sort(sort_by_row=True),
    "subgraph": lambda graph: graph.subgraph(torch.tensor([0, 1])),
    "edge_subgraph": lambda graph: graph.edge_subgraph(torch.arange(10)),
    "ToUndirected": transforms.ToUndirected(),
    "RandomLinkSplit": lambda graph: transforms.RandomLinkSplit(is_undirected=False)(graph)[0],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("batched", [False, True])
def test_changed_bonds_want_a_new_line_graph(change: str, batched: bool) -> None:
    torch.manual_seed(0)
    graph = a_graph()
    changed = CHANGES[change](Batch.from_data_list([graph, a_graph(1)]) if batched else graph)
    trunk = a_trunk()
    with pytest.raises(ValueError, match=REFUSED):
        trunk(changed)
    again = LineGraph()(changed)
    bare = again.clone()
    for key in ("line_index", "line_cos", "line_end"):
        del bare[key]
    assert trunk(again).isfinite().all()
    torch.testing.assert_close(trunk(again), trunk(bare))


def test_the_same_bonds_in_another_order_are_the_same_crystal() -> None:
    trunk, graph = a_trunk().eval(), a_graph()
    by_source = LineGraph()(graph.sort(sort_by_row=True))
    assert not by_source.edge_index.equal(graph.edge_index)
    torch.testing.assert_close(trunk(by_source), trunk(graph), rtol=1e-12, atol=1e-12)


def changed(**fields: Any) -> CrystalGraph:
    graph = a_graph()
    for key, change in fields.items():
        graph[key] = change(graph[key])
    return graph


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (changed(line_index=lambda pairs: pairs.flip(0)), "joins bonds that do not meet"),
        (changed(line_index=lambda pairs: pairs - 1), "names bond -1"),
        (changed(line_index=lambda pairs: pairs + 1), r"names bond (\d+), there are \1 bonds"),
        (changed(line_cos=lambda cosine: cosine[1:]), r"has (\d+) pairs of bonds, line_cos \d+"),
        (changed(line_end=lambda ends: ends[1:]), r"there are \d+ bonds, line_end has \d+"),
        (changed(line_end=lambda ends: ends.flip(0)), "line_end does not say where"),
    ],
)
def test_what_does_not_fit_is_said(graph: CrystalGraph, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        a_trunk()(graph)


def test_plain_graphs_with_line_graphs_are_not_batched_by_rules_they_do_not_have() -> None:
    graph = LineGraph()(Data(**crystal_graph(crystals.random_cell(0)).to_dict()))
    trunk = a_trunk().float()
    assert trunk(graph).shape == (1, 8)
    with pytest.raises(ValueError, match=REFUSED):
        trunk(Batch.from_data_list([graph, graph]))
    assert trunk(LineGraph()(Batch.from_data_list([graph, graph]))).shape == (2, 8)


def test_a_line_graph_of_ones_own_serves() -> None:
    """Without pairs of a bond and its reverse: other angles, but angles of these bonds."""
    graph = a_graph()
    kept = graph.line_cos < 1 - 1e-9
    assert 0 < kept.sum() < len(kept)
    graph.line_index, graph.line_cos = graph.line_index[:, kept], graph.line_cos[kept]
    del graph.line_end
    trunk = a_trunk().eval()
    assert not torch.allclose(trunk(graph), trunk(a_graph()))


@pytest.mark.parametrize("field", ["edge_vec", "multiplicity"])
@pytest.mark.parametrize("line_graph", [True, False])
def test_fields_are_of_the_same_bonds(field: str, line_graph: bool) -> None:
    graph = crystal_graph(crystals.random_cell(0, atoms=4), dtype=torch.float64)
    if line_graph:
        graph = LineGraph()(graph)
    bonds = graph.num_bonds
    graph[field] = graph[field][1:]
    wanted = f"edge_index has {bonds} bonds but {field} has {bonds - 1}"
    with pytest.raises(ValueError, match=wanted):
        a_trunk()(graph)
    with pytest.raises(ValueError, match=wanted):
        LineGraph()(graph)


def test_angles_have_a_gradient_where_bonds_have_one() -> None:
    trunk, graph = a_trunk(), a_graph()
    graph.edge_vec.requires_grad_()
    with pytest.raises(ValueError, match="edge_vec requires a gradient but line_cos was made"):
        trunk(graph)
    with torch.no_grad():
        trunk(graph)
    again = LineGraph()(graph)
    (slope,) = torch.autograd.grad(trunk(again).sum(), graph.edge_vec)
    assert slope.isfinite().all()
    bare = crystal_graph(crystals.random_cell(0, atoms=4), dtype=torch.float64)
    bare.edge_vec.requires_grad_()
    (made_within,) = torch.autograd.grad(trunk(bare).sum(), bare.edge_vec)
    torch.testing.assert_close(made_within, slope)


def test_what_is_compiled_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    stale = a_graph().sort(sort_by_row=True)
    assert graph_input.line_graph_of(stale)[0].equal(stale.line_index)


def test_derivatives_of_the_page_are_those_of_finite_differences() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "graphs.md").read_text()
    section = page.split("## Derivatives with respect to positions\n")[1]
    example = section.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    exec(compile(example, "docs/graphs.md", "exec"), names)
    step, slope = 1e-4, names["slope"]
    found = torch.zeros_like(slope)
    with torch.no_grad():
        for place in range(slope.numel()):
            moved = torch.zeros_like(slope)
            moved.view(-1)[place] = step
            up, down = (names["output"](names["graph"].pos + sign * moved) for sign in (1, -1))
            found.view(-1)[place] = (up - down) / (2 * step)
    scale = float(found.abs().max())
    torch.testing.assert_close(slope / scale, found / scale, rtol=0, atol=1e-5)
    # More than is let pass above: without angles it is another derivative.
    graph = LineGraph()(names["graph"])
    graph.edge_vec, graph.line_cos = (
        field.clone().requires_grad_() for field in (graph.edge_vec, graph.line_cos)
    )
    (bonds,) = torch.autograd.grad(names["model"](graph).sum(), graph.edge_vec)
    alone = torch.zeros_like(slope).index_add(0, names["target"], bonds)
    alone = alone.index_add(0, names["source"], -bonds)
    assert float((alone - slope).abs().max()) > 1e-4 * scale


def test_a_mapping_is_the_graph_it_holds() -> None:
    trunk = a_trunk().train()
    graphs = [a_graph(seed) for seed in range(3)]
    assert any(len(graph.multiplicity.unique()) > 1 for graph in graphs)
    batch = Batch.from_data_list(graphs)
    assert trunk(batch.to_dict()).equal(trunk(batch))
    assert trunk(graphs[1].to_dict()).equal(trunk(graphs[1]))
    assert trunk.atoms(batch.to_dict()).equal(trunk.atoms(batch))


@pytest.mark.parametrize("name", linegraph.models())
def test_one_graph_is_no_path(name: str) -> None:
    model = linegraph.build_model(name, **sizes_of(name, SMALL)).eval()
    graphs = linegraph.views(rock_salt_band(), model.views)
    one = graphs[model.views[0]]
    if len(model.views) == 1:
        assert model(one).equal(model(graphs))
        return
    first, second = model.views
    for given in (one, Batch.from_data_list([one])):
        with pytest.raises(ValueError, match=f"looks at '{first}' and '{second}', but was given"):
            model(given)


@pytest.mark.parametrize("name", ["MODEL-1-CC", "MODEL-2", "MODEL-3", "MODEL-4"])
def test_atoms_of_one_structure_need_not_lie_together(name: str) -> None:
    torch.manual_seed(0)
    model = linegraph.build_model(name, **SMALL).double().eval()
    bands = [rock_salt_band(), rock_salt_band("Na", "S", 5.1), rock_salt_band("K", "Cl", 6.3)]
    graphs = [linegraph.views(band, model.views, dtype=torch.float64) for band in bands]
    batch = {view: Batch.from_data_list([g[view] for g in graphs]) for view in model.views}
    shuffled = {view: _shuffled(graph) for view, graph in batch.items()}
    for graph in shuffled.values():
        assert not (graph.batch.diff() >= 0).all()
    out = model(batch)
    assert float(out.detach().std()) > 1e-6
    torch.testing.assert_close(model(shuffled), out, rtol=1e-12, atol=1e-12)


def _shuffled(batch: Any) -> Data:
    order = torch.randperm(batch.num_nodes)
    place = torch.argsort(order)
    return LineGraph()(
        Data(
            z=batch.z[order],
            edge_index=place[batch.edge_index],
            edge_vec=batch.edge_vec,
            multiplicity=batch.multiplicity,
            batch=batch.batch[order],
        )
    )


def test_band_1_names_the_view_it_wants() -> None:
    model = linegraph.build_model("BAND-1", **sizes_of("BAND-1", SMALL)).eval()
    graph = linegraph.views(rock_salt_band(), ["band"])["band"]
    with pytest.raises(ValueError, match="view 'path', which have features .* has none"):
        model(graph)

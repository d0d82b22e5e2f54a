"""Choosing kernels: what is there, what is chosen, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch

import linegraph
from linegraph.kernels import Segments, choice
from linegraph.nn import ScalarEmbedding, set_recompute

from ..crystals import random_cell

SMALL = {"hidden": 8, "alignn_layers": 2, "conv_layers": 1, "embedding": 8, "head": 8}
NAMES = [info.name for info in linegraph.backends()]
HERE = [info.name for info in linegraph.backends() if info.available]


@pytest.fixture(autouse=True)
def automatic() -> Iterator[None]:
    yield
    linegraph.set_backend()


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    """Three small crystals; all bonds of the last one go to images of its one atom."""
    structures = [random_cell(seed, atoms=atoms) for seed, atoms in ((1, 3), (2, 2), (3, 1))]
    graphs = [linegraph.crystal_graph(s, max_neighbors=3) for s in structures]
    views = [linegraph.LineGraph()(graph) for graph in graphs]
    return {"band": Batch.from_data_list(views)}


def model() -> Any:
    torch.manual_seed(0)
    return linegraph.build_model("MODEL-3", **SMALL).double()


def step(of: Any, batch: dict[str, Any]) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
    """Outputs, gradients and buffers after one step in training mode."""
    of.train()
    of.zero_grad()
    out = of(batch)
    out.square().sum().backward()
    gradients = [p.grad.clone() for p in of.parameters() if p.grad is not None]
    return out.detach(), gradients, {k: v.clone() for k, v in of.named_buffers()}


def assert_same_step(ours: Any, theirs: Any, tolerance: float) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", [n for n in HERE if n != "reference"])
def test_a_model_computes_the_same_on_every_back_end(name: str, batch: dict[str, Any]) -> None:
    found = {}
    for used in ("reference", name):
        linegraph.set_backend(used)
        found[used] = step(model(), batch)
        with torch.no_grad():
            found[used] += (model().eval()(batch),)
    assert_same_step(found[name], found["reference"], 1e-10)


@pytest.mark.parametrize("name", HERE)
def test_parameters_do_not_depend_on_the_back_end(name: str) -> None:
    usual = model().state_dict()
    with linegraph.use_backend(name):
        other = model().state_dict()
    assert list(other) == list(usual)
    assert all(torch.equal(other[key], usual[key]) for key in usual)


@pytest.mark.parametrize("name", HERE)
def test_two_runs_give_the_same_bits(name: str, batch: dict[str, Any]) -> None:
    with linegraph.use_backend(name):
        first, second = (step(model(), batch) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def test_recomputing_changes_no_number(batch: dict[str, Any]) -> None:
    usual, lean = model(), model()
    set_recompute(lean)
    assert_same_step(step(lean, batch), step(usual, batch), 1e-12)


def test_listed_with_reasons() -> None:
    rows = {info.name: info for info in linegraph.backends()}
    assert {"native", "compiled", "torch_scatter", "reference"} <= set(rows)
    assert rows["native"].available
    assert "cpu" in rows["native"].chosen_for
    assert rows["reference"].chosen_for == ()
    assert all(info.why for info in rows.values())


def test_the_chosen_one_runs_everywhere() -> None:
    linegraph.set_backend("reference")
    (chosen,) = [info for info in linegraph.backends() if info.chosen_for]
    assert chosen.name == "reference"


def test_use_backend_is_over_after_an_error() -> None:
    with pytest.raises(KeyError), linegraph.use_backend("reference"):
        raise KeyError
    assert [info.name for info in linegraph.backends() if "cpu" in info.chosen_for] == ["native"]


def test_unknown_back_end_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown back end 'cuda'; known are auto, native, "):
        linegraph.set_backend("cuda")


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_missing_says_what_to_install(name: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(type(choice.BACKENDS[name]), "missing", lambda self: "install it")
    with pytest.raises(RuntimeError, match=f"back end '{name}' cannot be used here: install it"):
        linegraph.set_backend(name)
    row = {info.name: info for info in linegraph.backends()}[name]
    assert (row.available, row.why) == (False, "install it")


def test_torch_scatter_that_cannot_be_imported(monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch_scatter", None)
    why = choice.BACKENDS["torch_scatter"].missing()
    assert why is not None
    assert "[scatter]" in why


def test_compiling_needs_a_compiler(monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    why = choice.BACKENDS["compiled"].missing()
    assert why is not None
    assert "g++" in why


@pytest.mark.skipif("compiled" not in HERE, reason="no compiler")
def test_other_sizes_compile_nothing_new() -> None:
    from torch._dynamo.utils import counters

    crystals = [linegraph.crystal_graph(random_cell(seed, atoms=3 + seed)) for seed in range(4)]
    graphs = [linegraph.LineGraph()(g) for g in crystals]
    assert len({g.num_triplets for g in graphs}) == len(graphs)
    trunk = model().trunk.float()
    with linegraph.use_backend("compiled"):
        for graph in graphs[:2]:
            trunk(graph).sum().backward()
        before = counters["stats"]["unique_graphs"]
        for graph in graphs[2:]:
            trunk(graph).sum().backward()
    assert counters["stats"]["unique_graphs"] == before
    assert not counters["graph_break"]


@pytest.mark.parametrize(
    "name",
    [
        # Compiling for half precision takes a minute.
        pytest.param(name, marks=pytest.mark.slow if name == "compiled" else ())
        for name in HERE
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_automatic_mixed_precision(name: str, training: bool, batch: dict[str, Any]) -> None:
    """bfloat16 keeps 8 bits: a per cent or so; outputs and gradients are float32."""
    exact, mixed = model().float().train(training), model().float().train(training)
    with linegraph.use_backend(name):
        wanted = exact(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = mixed(batch)
        found.float().square().sum().backward()
    assert not torch.equal(found.float(), wanted)
    torch.testing.assert_close(found.float(), wanted, rtol=0.05, atol=0.05)
    gradients = [p.grad for p in mixed.parameters() if p.grad is not None]
    assert all(g.dtype == torch.float32 and bool(torch.isfinite(g).all()) for g in gradients)


def test_embedding_without_gradients_needs_no_whole_basis(monkeypatch: Any) -> None:
    from linegraph.kernels import blocks

    embedding = ScalarEmbedding(0.0, 8.0, 20, 6, 8).eval()
    value = torch.linspace(0, 8, 100)
    whole = embedding(value)
    monkeypatch.setattr(blocks, "CPU_BLOCK", 8 * 7)
    rows: list[int] = []
    embedding.basis.register_forward_hook(lambda _, args, out: rows.append(len(out)))
    with torch.no_grad():
        torch.testing.assert_close(embedding(value), whole.detach())
        assert embedding(value[:0]).shape == (0, 8)
    assert max(rows) == 7


@pytest.mark.parametrize("ordered", [True, False])
def test_segments_sum_as_they_should(ordered: bool) -> None:
    group = torch.tensor([0, 0, 2, 2, 2, 4] if ordered else [2, 0, 4, 2, 0, 2])
    rows = torch.arange(12.0).reshape(6, 2)
    segments = Segments.of(group, 6)
    assert (segments.order is None) == ordered
    assert segments.sizes.tolist() == [2, 0, 3, 0, 1, 0]
    wanted = torch.zeros(6, 2).index_add(0, group, rows)
    assert segments.sum(rows).equal(wanted)
    assert segments.sum(rows.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("name", ["weights", "counts"])
def test_edges_check_their_weights(name: str) -> None:
    index = torch.tensor([[0, 1, 1], [1, 0, 1]])
    with pytest.raises(ValueError, match=f"3 edges but {name} of shape \\[2\\]"):
        linegraph.kernels.Edges(index, 2, **{name[:-1]: torch.ones(2)})


@pytest.mark.parametrize("index", [[[0, 2], [1, 0]], [[0, 1], [1, -1]]])
def test_edges_stay_within_the_graph(index: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="edges must join nodes 0 to 1"):
        linegraph.kernels.Edges(torch.tensor(index), 2)


def test_weights_within_edges_not_beside_them() -> None:
    from linegraph.nn import EdgeGatedConv

    index = torch.tensor([[0, 1, 1], [1, 0, 1]])
    edges = linegraph.kernels.Edges(index, 2)
    with pytest.raises(ValueError, match="within Edges"):
        EdgeGatedConv(4)(torch.zeros(2, 4), edges, torch.zeros(3, 4), edge_weight=torch.ones(3))

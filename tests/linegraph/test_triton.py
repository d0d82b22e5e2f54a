"""Triton kernels against the operations written out; on a CPU by Triton's interpreter."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from linegraph.kernels import BatchNorm, Edges
from linegraph.kernels import triton as module
from linegraph.kernels.reference import Reference
from linegraph.kernels.triton import Triton

from .flat import Flat
from .test_kernels import close, gate_inputs, norm_inputs
from .test_line_graph import DEVICES

ours: Any = Flat(Triton())
theirs: Any = Flat(Reference())
pytestmark = pytest.mark.skipif(ours.missing() is not None, reason=str(ours.missing()))

DTYPES = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)], ids=["f64", "f32"]
)
HALVES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "f16"])


@pytest.fixture(params=DEVICES)
def device(request: Any) -> str:
    if request.param == "cpu" and torch.cuda.is_available():
        pytest.skip("kernels are compiled for the GPU")
    return str(request.param)


@pytest.fixture(autouse=True)
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs share out nodes and rows, as on large graphs; interpreted ones cost time each."""
    tiles = import_module("linegraph.kernels.triton_tiles")
    monkeypatch.setattr(tiles, "PROGRAMS", 2)


class Case:
    """Inputs of an edge update: y, W, bias, a, b, v, gamma, beta and edges."""

    def __init__(
        self,
        nodes: int = 5,
        edges: int = 22,
        channels: int = 3,
        *,
        ordered: bool = False,
        counted: bool = True,
        given: bool = False,
    ) -> None:
        inputs, self.index, copies = gate_inputs(nodes, edges, channels)
        g = torch.Generator().manual_seed(1)
        affine = torch.randn(2, channels, generator=g, dtype=torch.float64)
        self.inputs = [*inputs, *affine]
        self.num_nodes = nodes
        self.copies = copies if counted else None
        self.count = torch.randint(0, 4, (edges,), generator=g) if counted else None
        self.statistics = (affine[1], 1 + affine[0].square()) if given else None
        if ordered:
            self.index = self.index[:, torch.argsort(self.index[1], stable=True)]

    def run(
        self,
        backend: Any,
        dtype: torch.dtype,
        device: str,
        used: str = "hy",
        normed: bool = True,
        **options: Any,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs, and gradients of a fixed projection of those that are used."""
        xs = [x.to(device, dtype, copy=True).requires_grad_() for x in self.inputs]
        edges = Edges(
            self.index.to(device),
            self.num_nodes,
            *(None if x is None else x.to(device) for x in (self.copies, self.count)),
        )
        norm = None
        if normed:
            given = self.statistics
            norm = BatchNorm(xs[6], xs[7], 1e-3, given and (given[0].to(xs[0]), given[1].to(xs[0])))
        h, y, moments = backend.edge_update(*xs[:6], edges, norm, **options)
        outputs = {"h": h, "y": y} if normed else {"h": h}
        grads = projected([outputs[name] for name in used], xs)
        found = [*outputs.values()] + [*(moments or ())] * (normed and self.statistics is None)
        return [x.detach() for x in found], grads


def projected(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
    """Gradients (0 where there is none) of a fixed projection of outputs."""
    directions = []
    for out in outputs:
        g = torch.Generator().manual_seed(out.numel())
        directions.append(torch.randn(out.shape, generator=g, dtype=torch.float64).to(out))
    grads = torch.autograd.grad(outputs, inputs, directions, allow_unused=True)
    return [
        torch.zeros_like(x) if grad is None else grad for x, grad in zip(inputs, grads, strict=True)
    ]


def compare(
    mine: tuple[list[Tensor], list[Tensor]],
    wanted: tuple[list[Tensor], list[Tensor]],
    tolerance: float,
) -> None:
    for found, expected in zip(mine[0], wanted[0], strict=True):
        close(found.cpu(), expected, tolerance)
    for found, expected in zip(mine[1], wanted[1], strict=True):
        close(found.cpu(), expected, 10 * tolerance)


@DTYPES
@pytest.mark.parametrize(
    ("of", "how"),
    [
        ({}, {}),
        ({"ordered": True, "counted": False}, {}),
        ({"ordered": True}, {"recompute": True}),
        ({"given": True}, {}),
        ({"given": True, "ordered": True, "counted": False}, {"recompute": True}),
        ({}, {"used": "h"}),
        ({}, {"used": "y"}),
        ({}, {"used": "h", "normed": False}),
        ({}, {"used": "h", "normed": False, "recompute": True}),
        ({"channels": 1, "counted": False}, {}),
    ],
    ids=str,
)
def test_edge_update(
    of: dict[str, Any], how: dict[str, Any], dtype: torch.dtype, tolerance: float, device: str
) -> None:
    case = Case(**of)
    mine = case.run(ours, dtype, device, **how)
    how = {name: value for name, value in how.items() if name != "recompute"}
    compare(mine, case.run(theirs, torch.float64, "cpu", **how), tolerance)
    assert all(x.dtype == dtype for x in (*mine[0], *mine[1]))


def test_more_channels_than_a_tile_holds(device: str) -> None:
    case = Case(nodes=3, edges=10, channels=130)
    compare(case.run(ours, torch.float64, device), case.run(theirs, torch.float64, "cpu"), 1e-12)


def test_one_node_that_nearly_all_edges_enter(device: str) -> None:
    """Among nodes without any."""
    edges = 5000 if device == "cuda" else 100
    case = Case(nodes=6, edges=edges)
    case.index[1] = 3
    case.index[1, :2] = torch.tensor([1, 5])
    for index in (case.index, case.index.flip(0)):
        case.index = index
        mine = case.run(ours, torch.float32, device)
        compare(mine, case.run(theirs, torch.float64, "cpu"), 2e-5)


@pytest.mark.parametrize("used", ["hm", "h", "m"])
def test_edge_gate(used: str, device: str) -> None:
    inputs, index, copies = gate_inputs(5, 22, 3)
    results = []
    for backend, where in ((ours, device), (theirs, "cpu")):
        xs = [x.to(where, copy=True).requires_grad_() for x in inputs]
        out = dict(
            zip(
                "hm",
                backend.edge_gate(*xs, Edges(index.to(where), 5, copies.to(where))),
                strict=True,
            )
        )
        results.append(([*out.values()], projected([out[name] for name in used], xs)))
    compare(results[0], results[1], 1e-12)
    assert (results[0][0][0][0] == 0).all(), "a node without incoming edges receives something"


@DTYPES
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_norm_silu(
    weighted: bool, given: bool, dtype: torch.dtype, tolerance: float, device: str
) -> None:
    inputs, residual, weights = norm_inputs(rows=30, channels=5)
    inputs = [*inputs, residual] if weighted else inputs
    results = []
    for backend, where, kind in ((ours, device, dtype), (theirs, "cpu", torch.float64)):
        xs = [x.to(where, kind, copy=True).requires_grad_() for x in inputs]
        x, scale, shift, *rest = xs
        statistics = None
        if given:
            statistics = (x.detach()[0].clone(), x.detach()[1].square())
        out, *moments = backend.norm_silu(
            *(x, scale, shift, 1e-3, weights.to(where) if weighted else None),
            *(rest[0] if rest else None, statistics),
        )
        results.append(([out, *moments], projected([out], xs)))
    compare(results[0], results[1], tolerance)
    assert all(x.dtype == dtype for part in results[0] for x in part)


def test_by_finite_differences(device: str) -> None:
    case = Case(nodes=2, edges=4, channels=2)
    case.count = torch.tensor([0, 1, 3, 2])
    edges = Edges(case.index.to(device), 2, None, case.count.to(device))
    xs = [x.to(device, copy=True).requires_grad_() for x in case.inputs]

    def update(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        norm = BatchNorm(inputs[6], inputs[7], 1e-2)
        out = ours.edge_update(*inputs[:6], edges, norm)
        assert out.edges is not None
        return out.nodes, out.edges

    assert torch.autograd.gradcheck(update, xs, fast_mode=True)
    x, scale, shift = xs[3], xs[6], xs[7]
    assert torch.autograd.gradcheck(
        lambda *ys: ours.norm_silu(*ys, 1e-2)[0], (x, scale, shift), fast_mode=True
    )


@HALVES
def test_half_precision_is_summed_in_float32(dtype: torch.dtype, device: str) -> None:
    """As close to float64 on the same rounded numbers as storage allows."""
    case = Case(nodes=4, edges=40, channels=4)
    case.inputs = [x.to(dtype).double() for x in case.inputs]
    mine = case.run(ours, dtype, device)
    wanted = case.run(theirs, torch.float64, "cpu")
    assert [x.dtype for x in mine[0]] == [dtype] * 2 + [torch.float32] * 3
    assert all(x.dtype == dtype for x in mine[1])
    compare(mine, wanted, torch.finfo(dtype).eps)


def test_statistics_are_those_of_m_as_stored(device: str) -> None:
    """So that the backward pass, which reads m, is that of the function computed."""
    case = Case(edges=40, counted=False)
    xs = [x.to(device, torch.bfloat16) for x in case.inputs]
    edges = Edges(case.index.to(device), 5)
    _, m = ours.edge_gate(*xs[:6], edges)
    _, _, moments = ours.edge_update(*xs[:6], edges, BatchNorm(xs[6], xs[7], 1e-3))
    torch.testing.assert_close(moments[0], m.float().mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(moments[1], m.float().var(0, unbiased=False), rtol=1e-5, atol=0)


def test_float32_sums_of_half_precision(device: str) -> None:
    """Ones added in bfloat16 would stop at 256."""
    edges, channels = 300, 1
    zeros = torch.zeros(edges, channels, dtype=torch.bfloat16, device=device)
    index = torch.stack([torch.arange(edges) % 2, torch.zeros(edges, dtype=torch.int64)])
    linear, bias = zeros[:1], zeros[0]
    nodes = zeros[:2]
    value = torch.tensor([[1.0], [2.0]], dtype=torch.bfloat16, device=device)
    h, _ = ours.edge_gate(zeros, linear, bias, nodes, nodes, value, Edges(index.to(device), 2))
    assert float(h[0, 0]) == 1.5


@pytest.mark.parametrize("recompute", [False, True])
def test_runs_agree_to_the_bit(recompute: bool, device: str) -> None:
    """Also m computed again."""
    case = Case(channels=4)
    first = case.run(ours, torch.float32, device)
    second = case.run(ours, torch.float32, device, recompute=recompute)
    for one, two in zip([*first[0], *first[1]], [*second[0], *second[1]], strict=True):
        assert one.equal(two)


@pytest.mark.parametrize("recompute", [False, True])
def test_backward_leaves_what_it_was_given(recompute: bool, device: str) -> None:
    """A second pass over a retained graph finds everything as it was."""
    case = Case()
    xs = [x.to(device, copy=True).requires_grad_() for x in case.inputs]
    norm = BatchNorm(xs[6], xs[7], 1e-3)
    edges = Edges(case.index.to(device), 5)
    out = ours.edge_update(*xs[:6], edges, norm, recompute=recompute)
    loss = out.nodes.square().sum() + out.edges.square().sum()
    first = torch.autograd.grad(loss, xs, retain_graph=True)
    second = torch.autograd.grad(loss, xs)
    assert all(one.equal(two) for one, two in zip(first, second, strict=True))


def test_sums_hardly_depend_on_who_does_them(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    few = case.run(ours, torch.float64, device)
    monkeypatch.setattr(import_module("linegraph.kernels.triton_tiles"), "PROGRAMS", 4096)
    compare(few, case.run(ours, torch.float64, device), 1e-13)


def test_programs_take_everything_once() -> None:
    tiles = import_module("linegraph.kernels.triton_tiles")
    for units in (0, 1, 2, 3, 4, 5, 17):
        programs, each = tiles.shared_out(units)
        assert programs <= 2
        assert (programs - 1) * each < units <= programs * each or units == programs == 0
    assert [tiles.columns(c) for c in (1, 2, 3, 92, 128, 300)] == [1, 2, 4, 128, 128, 128]
    assert [tiles.tiles(c) for c in (1, 128, 129, 300)] == [1, 1, 2, 3]


@pytest.mark.parametrize("nodes", [0, 3])
def test_no_edges(nodes: int, device: str) -> None:
    case = Case(nodes=1, edges=0)
    case.num_nodes = nodes
    case.inputs[3:6] = [x.expand(nodes, -1).clone() for x in case.inputs[3:6]]
    (h, y, mean, var, count), grads = case.run(ours, torch.float32, device)
    assert h.shape == (nodes, 3) and y.shape == (0, 3)
    assert (h == 0).all()
    assert (mean == 0).all() and (var == 1).all() and float(count) == 0
    assert all((grad == 0).all() for grad in grads)


def test_edges_that_do_not_count(device: str) -> None:
    """Mean 0 and variance 1, which are constants in the backward pass."""
    case = Case()
    case.count = torch.zeros(22, dtype=torch.int64)
    mine = case.run(ours, torch.float64, device)
    compare(mine, case.run(theirs, torch.float64, "cpu"), 1e-12)
    assert (mine[0][2] == 0).all() and (mine[0][3] == 1).all()


def test_statistics_far_from_zero_keep_their_digits(device: str) -> None:
    """The variance is taken about the mean, not as a difference of squares."""
    case = Case(nodes=3, edges=60, counted=False)
    case.inputs[2] = torch.full_like(case.inputs[2], 1e4)
    case.inputs = [x.float().double() for x in case.inputs]
    (_, _, mean, var, _), _ = case.run(ours, torch.float32, device)
    (_, _, expected_mean, expected_var, _), _ = case.run(theirs, torch.float64, "cpu")
    torch.testing.assert_close(mean.cpu().double(), expected_mean, rtol=3e-7, atol=0)
    torch.testing.assert_close(var.cpu().double(), expected_var, rtol=1e-3, atol=0)
    x = 1e4 + torch.randn(100, 3, generator=torch.Generator().manual_seed(0)).to(device)
    _, _, var, _ = ours.norm_silu(x, x.new_ones(3), x.new_zeros(3), 1e-5)
    torch.testing.assert_close(
        var, x.double().var(dim=0, unbiased=False).float(), rtol=1e-3, atol=0
    )


def test_far_out_gates_stay_finite(device: str) -> None:
    case = Case()
    case.inputs[2] = torch.full_like(case.inputs[2], -900.0)  # all gates closed: 0 / 1e-6
    outputs, grads = case.run(ours, torch.float32, device)
    assert all(torch.isfinite(x).all() for x in (*outputs, *grads))
    assert (outputs[0] == 0).all()


@pytest.mark.parametrize("given", [False, True])
def test_without_gradient(given: bool, device: str) -> None:
    """The same numbers, and the old edges stay."""
    case = Case(given=given)
    wanted, _ = case.run(ours, torch.float64, device)
    xs = [x.to(device) for x in case.inputs]
    assert case.copies is not None and case.count is not None
    edges = Edges(case.index.to(device), 5, case.copies.to(device), case.count.to(device))
    statistics = case.statistics and (case.statistics[0].to(device), case.statistics[1].to(device))
    norm = BatchNorm(xs[6], xs[7], 1e-3, statistics)
    before = xs[0].clone()
    h, y, moments = ours.edge_update(*xs[:6], edges, norm)
    assert y is not None
    for one, two in zip((h, y, *(moments or ())), wanted, strict=True):
        close(one, two, 1e-14)
    assert xs[0].equal(before)
    only, none, _ = ours.edge_update(*[before, *xs[1:6]], edges, None)
    close(only, h, 1e-14)
    assert none is None


def test_gradients_only_where_wanted(device: str) -> None:
    case = Case()
    xs = [x.to(device) for x in case.inputs]
    xs[1].requires_grad_()
    h, y, _ = ours.edge_update(
        *xs[:6], Edges(case.index.to(device), 5), BatchNorm(xs[6], xs[7], 1e-3)
    )
    (h.sum() + y.sum()).backward()
    assert [x.grad is None for x in xs] == [True, False, *[True] * 6]


def test_gradient_of_a_sum(device: str) -> None:
    """It is one number seen from everywhere: its memory is no matrix."""
    case = Case()
    found = []
    for backend, where in ((ours, device), (theirs, "cpu")):
        xs = [x.to(where, copy=True).requires_grad_() for x in case.inputs]
        edges, norm = Edges(case.index.to(where), 5), BatchNorm(xs[6], xs[7], 1e-3)
        h, y, _ = backend.edge_update(*xs[:6], edges, norm)
        x = backend.norm_silu(h, xs[6], xs[7], 1e-3)[0]
        found.append(torch.autograd.grad(h.sum() + x.sum() + y.sum(), xs))
    for one, two in zip(*found, strict=True):
        close(one.cpu(), two, 1e-11)


@pytest.mark.parametrize("recompute", [False, True])
def test_what_is_kept(recompute: bool, device: str) -> None:
    """Of all that is as large as the edges: they themselves, and m unless it is recomputed."""
    case = Case()
    xs = [x.to(device, copy=True).requires_grad_() for x in case.inputs]
    edges, norm = Edges(case.index.to(device), 5), BatchNorm(xs[6], xs[7], 1e-3)
    kept: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        ours.edge_update(*xs[:6], edges, norm, recompute=recompute)
    large = [x for x in kept if x.shape == xs[0].shape]
    assert len(large) == 2 - recompute
    assert large[0].data_ptr() == xs[0].data_ptr()


def test_rows_in_any_memory_layout(device: str) -> None:
    case = Case()
    plain = [x.to(device) for x in case.inputs]
    strided = [torch.stack([x, x], dim=-1)[..., 0] for x in plain]
    w = torch.rand(22, 2, generator=torch.Generator().manual_seed(0)).double().to(device)
    index = case.index.to(device)
    graphs = [
        Edges(index, 5, w[:, 0].contiguous(), w[:, 1].contiguous()),
        Edges(index.t().contiguous().t(), 5, w[:, 0], w[:, 1]),
    ]
    found = [
        ours.edge_update(*xs[:6], edges, BatchNorm(xs[6], xs[7], 1e-3))
        for xs, edges in zip((plain, strided), graphs, strict=True)
    ]
    assert found[0].nodes.equal(found[1].nodes)
    assert found[0].edges is not None and found[1].edges is not None
    assert found[0].edges.equal(found[1].edges)
    x = plain[3].t().contiguous().t()
    args = plain[6], plain[7], 1e-3, None, x
    assert ours.norm_silu(x, *args)[0].equal(ours.norm_silu(plain[3], *args)[0])


def test_shapes_are_checked_since_kernels_read_by_address(device: str) -> None:
    case = Case()
    xs = [x.to(device) for x in case.inputs]
    edges = Edges(case.index.to(device), 5)
    for at, name in enumerate(["edges", "weight", "bias", "nodes", "nodes", "nodes"]):
        wrong = [x[..., :-1] if i == at else x for i, x in enumerate(xs[:6])]
        with pytest.raises(ValueError, match=f"{name}: expected shape"):
            ours.edge_gate(*wrong, edges)
    with pytest.raises(ValueError, match="normalisation: expected shape \\[3\\], got \\[2\\]"):
        ours.edge_update(*xs[:6], edges, BatchNorm(xs[6][:2], xs[7], 1e-3))
    with pytest.raises(ValueError, match="edges must join nodes 0 to 3"):
        ours.edge_gate(*xs[:3], *(x[:4] for x in xs[3:6]), Edges(case.index.to(device), 4))
    x, scale, shift = xs[3], xs[6], xs[7]
    for extra in ((shift[:2], None), (None, x[1:])):
        with pytest.raises(ValueError, match="expected shape"):
            ours.norm_silu(x, scale, shift, 1e-3, *extra)


def test_no_second_derivatives(device: str) -> None:
    case = Case(nodes=2, edges=4)
    xs = [x.to(device, copy=True).requires_grad_() for x in case.inputs]
    h, _ = ours.edge_gate(*xs[:6], Edges(case.index.to(device), 2))
    (first,) = torch.autograd.grad(h.square().sum(), xs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()
    out = ours.norm_silu(xs[3], xs[6], xs[7], 1e-3)[0]
    (first,) = torch.autograd.grad(out.square().sum(), xs[3], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()


def test_more_numbers_than_32_bits_count(device: str) -> None:
    """On a GPU with memory for it; elsewhere a small graph goes the same way."""
    nodes, channels = 3, 128
    if device == "cuda":
        if torch.cuda.mem_get_info()[0] < 40 << 30:
            pytest.skip("needs 40 GiB of free GPU memory")
        nodes = (1 << 31) // (8 * channels) + 2
    edges = 8 * nodes
    y = torch.zeros(edges, channels, dtype=torch.bfloat16, device=device)
    g = torch.Generator().manual_seed(0)
    y[-8:] = torch.randn(8, channels, generator=g).to(y)
    target = torch.arange(edges, device=device) // 8
    weight = torch.eye(channels).to(y)
    zeros = y.new_zeros(nodes, channels)
    ones = y.new_ones(channels)
    norm = BatchNorm(ones, ones, 0.0, (0 * ones, ones))
    value = zeros.clone()
    value[-1] = 1
    out = ours.edge_update(
        y, weight, 0 * ones, zeros, zeros, value, Edges(torch.stack([target, target]), nodes), norm
    )
    assert out.edges is not None
    tail = y[-8:].float()
    torch.testing.assert_close(
        out.edges[-8:].float(), tail + F.silu(tail + 1), rtol=1e-2, atol=1e-2
    )
    torch.testing.assert_close(out.nodes[-1].float(), torch.ones_like(tail[0]), rtol=1e-2, atol=0)
    assert (out.nodes[:-1] == 0).all()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_interpreted", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no GPU" in str(ours.missing())
    x = torch.ones(2, 2)
    with pytest.raises(RuntimeError, match="runs on a GPU; the tensors are on a CPU"):
        ours.norm_silu(x, x[0], x[0], 1e-3)
    module._problem.cache_clear()
    monkeypatch.setitem(sys.modules, "triton", None)
    assert "install triton" in str(ours.missing())
    monkeypatch.undo()
    module._problem.cache_clear()

"""Fused operations against the same operations written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from linegraph import kernels
from linegraph.kernels import (
    Edges,
    backends,
    blocks,
    native_forward,
    native_update,
    norm_silu,
    use_backend,
)
from linegraph.kernels.reference import Reference
from linegraph.nn import BatchNormSiLU

from .flat import Flat
from .test_line_graph import DEVICES

DTYPES = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)], ids=["f64", "f32"]
)
ON = pytest.mark.parametrize("device", DEVICES)


#: Ways the back ends can go; on a GPU "native" sums by segments, which a CPU can do as well.
WAYS = [
    "native",
    "native in small blocks",
    "native by segments",
    # Compiles every case anew, minutes in all; test_backends.py has a whole model on it.
    pytest.param("compiled", marks=pytest.mark.slow),
    "torch_scatter",
]
reference = Flat(Reference())


@pytest.fixture(params=WAYS)
def way(request: Any, monkeypatch: Any) -> Iterator[str]:
    """Every operation of a test runs on one back end, in one of its ways."""
    name = request.param.split()[0]
    missing = {info.name: info.why for info in backends() if not info.available}
    if name in missing:
        pytest.skip(missing[name])
    if request.param == "native in small blocks":
        monkeypatch.setattr(blocks, "CPU_BLOCK", 24)
    if request.param == "native by segments":
        monkeypatch.setattr(blocks, "in_blocks", lambda device: False)
        for module in (native_forward, native_update):
            monkeypatch.setattr(module, "in_blocks", lambda device: False)
    with use_backend(name):
        yield request.param


def finite_differences(way: str, function: Any, args: list[Tensor]) -> None:
    """``gradcheck``, but for a compiled backward pass: PyTorch lets that run only once."""
    if way == "compiled":
        pytest.skip("gradcheck walks a graph several times, a compiled one can be walked once")
    assert torch.autograd.gradcheck(function, args)


def edge_gate(*args: Any) -> tuple[Tensor, Tensor]:
    """The operation of the chosen back end, edges given by their index and weights."""
    return kernels.edge_gate(*args[:6], Edges(args[6], args[3].size(0), *args[7:]))


def literal_gate(*args: Any) -> tuple[Tensor, Tensor]:
    return reference.edge_gate(*args[:6], Edges(args[6], args[3].size(0), *args[7:]))


def close(ours: Tensor | None, theirs: Tensor, tolerance: float) -> None:
    assert ours is not None
    ours, theirs = ours.detach(), theirs.detach().to(ours.dtype)
    largest = float(theirs.abs().max()) if theirs.numel() else 0.0
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * max(1.0, largest))


def gate_inputs(
    nodes: int = 7, edges: int = 40, channels: int = 5, seed: int = 0
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Differentiable inputs, edges (node 0 has none coming in) and copies."""
    g = torch.Generator().manual_seed(seed)
    sizes = [(edges, channels), (channels, channels), (channels,), *[(nodes, channels)] * 3]
    inputs = [torch.randn(*size, generator=g, dtype=torch.float64) for size in sizes]
    edge_index = torch.stack(
        [
            torch.randint(0, nodes, (edges,), generator=g),
            torch.randint(min(1, nodes - 1), nodes, (edges,), generator=g),
        ]
    )
    return inputs, edge_index, torch.randint(1, 3, (edges,), generator=g)


def leaves(inputs: Sequence[Tensor], dtype: torch.dtype, device: str) -> list[Tensor]:
    return [x.to(device, dtype).clone().requires_grad_() for x in inputs]


def run(
    operation: Callable[..., tuple[Tensor, ...]], inputs: list[Tensor], extra: list[Any], used: str
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Outputs, and gradients of a fixed projection of those that are used."""
    outputs = operation(*inputs, *extra)
    loss = inputs[0].new_zeros(())
    for name, out in zip("hm", outputs, strict=False):
        if name in used:
            g = torch.Generator().manual_seed(out.numel())
            loss = (
                loss
                + (out * torch.randn(out.shape, generator=g, dtype=torch.float64).to(out)).sum()
            )
    loss.backward()
    return [out.detach() for out in outputs], [x.grad for x in inputs]


@ON
@DTYPES
@pytest.mark.parametrize("used", ["hm", "h", "m"])
@pytest.mark.parametrize("weighted", [False, True])
def test_edge_gate(
    weighted: bool, used: str, dtype: torch.dtype, tolerance: float, device: str, way: str
) -> None:
    inputs, edge_index, copies = gate_inputs()
    extra: list[Any] = [edge_index.to(device), copies.to(device, dtype) if weighted else None]
    out, grads = run(edge_gate, leaves(inputs, dtype, device), extra, used)
    wide = [edge_index, copies.double() if weighted else None]
    expected, wanted = run(literal_gate, leaves(inputs, torch.float64, "cpu"), wide, used)
    for ours, theirs in zip(out, expected, strict=True):
        assert ours.dtype == dtype
        close(ours.cpu(), theirs, tolerance)
    assert (out[0][0] == 0).all(), "a node without incoming edges receives something"
    for ours_, theirs_, like in zip(grads, wanted, inputs, strict=True):
        zero = torch.zeros_like(like)
        close(
            (zero if ours_ is None else ours_).cpu(),
            zero if theirs_ is None else theirs_,
            tolerance,
        )


@pytest.mark.parametrize("weighted", [False, True])
def test_edge_gate_by_finite_differences(weighted: bool, way: str) -> None:
    inputs, edge_index, copies = gate_inputs(nodes=4, edges=9, channels=3)
    weights = copies.double() if weighted else None
    args = leaves(inputs, torch.float64, "cpu")
    finite_differences(way, lambda *xs: edge_gate(*xs, edge_index, weights), args)


def test_edge_gate_is_what_the_equation_says(way: str) -> None:
    """One channel, two edges into one node, worked out by hand."""
    y, c, bias = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5]]), torch.tensor([0.25])
    a, b, v = (
        torch.tensor(x)[:, None] for x in ([1.0, -1.0, 9.0], [9.0, 9.0, 0.5], [3.0, 5.0, 7.0])
    )
    h, m = edge_gate(y, c, bias, a, b, v, torch.tensor([[0, 1], [2, 2]]), torch.tensor([1.0, 2.0]))
    first, second = 0.5 + 0.25 + 1.0 + 0.5, 1.0 + 0.25 - 1.0 + 0.5
    assert m.ravel().tolist() == [first, second]
    gates = 1 / (1 + torch.exp(-torch.tensor([first, second]))) * torch.tensor([1.0, 2.0])
    expected = (gates[0] * 3 + gates[1] * 5) / (gates.sum() + 1e-6)
    assert h.ravel().tolist() == pytest.approx([0.0, 0.0, float(expected)])


def test_edge_weights_are_copies(way: str) -> None:
    """An edge of weight w counts as w edges; its gradients are the sums over the copies."""
    inputs, edge_index, copies = gate_inputs()
    ours = run(edge_gate, leaves(inputs, torch.float64, "cpu"), [edge_index, copies.double()], "h")
    repeated = [inputs[0].repeat_interleave(copies, dim=0), *inputs[1:]]
    literal_index = edge_index.repeat_interleave(copies, dim=1)
    theirs = run(edge_gate, leaves(repeated, torch.float64, "cpu"), [literal_index], "h")
    close(ours[0][0], theirs[0][0], 1e-12)
    owner = torch.repeat_interleave(copies)
    assert theirs[1][0] is not None
    close(ours[1][0], torch.zeros_like(inputs[0]).index_add(0, owner, theirs[1][0]), 1e-12)
    for mine, wanted in zip(ours[1][1:], theirs[1][1:], strict=True):
        assert wanted is not None
        close(mine, wanted, 1e-12)


@ON
@pytest.mark.parametrize("nodes", [0, 3])
def test_edge_gate_without_edges(nodes: int, device: str, way: str) -> None:
    inputs, _, _ = gate_inputs(nodes=max(nodes, 1), edges=0)
    inputs[3:] = [x[:nodes] for x in inputs[3:]]
    args = leaves(inputs, torch.float32, device)
    edge_index = torch.empty(2, 0, dtype=torch.int64, device=device)
    out, grads = run(edge_gate, args, [edge_index], "hm")
    assert out[0].shape == (nodes, 5)
    assert out[1].shape == (0, 5)
    assert (out[0] == 0).all()
    assert all(
        g is not None and g.shape == x.shape and (g == 0).all()
        for g, x in zip(grads, args, strict=True)
    )


def test_edge_gate_gives_no_gradient_where_none_is_wanted(way: str) -> None:
    inputs, edge_index, copies = gate_inputs()
    weights = copies.double().requires_grad_()
    h, m = edge_gate(inputs[0], *leaves(inputs[1:], torch.float64, "cpu"), edge_index, weights)
    (h.sum() + m.sum()).backward()
    assert inputs[0].grad is None
    assert weights.grad is None


def test_edge_gate_keeps_far_out_gates_finite(way: str) -> None:
    inputs, edge_index, _ = gate_inputs()
    inputs[2] = torch.full_like(inputs[2], -900.0)  # all gates closed: 0 / 1e-6
    args = leaves(inputs, torch.float32, "cpu")
    out, grads = run(edge_gate, args, [edge_index], "hm")
    assert all(torch.isfinite(x).all() for x in [*out, *(g for g in grads if g is not None)])
    assert (out[0] == 0).all()


def test_no_second_derivatives() -> None:
    inputs, edge_index, _ = gate_inputs()
    args = leaves(inputs, torch.float64, "cpu")
    h, _ = edge_gate(*args, edge_index)
    (first,) = torch.autograd.grad(h.square().sum(), args[0], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()
    x, scale, shift = norm_inputs()[0]
    x.requires_grad_()
    (first,) = torch.autograd.grad(
        norm_silu(x, scale, shift, 1e-5)[0].square().sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()


def norm_inputs(rows: int = 30, channels: int = 5) -> tuple[list[Tensor], Tensor, Tensor]:
    """x, scale and shift; a residual; weights, some of them 0."""
    g = torch.Generator().manual_seed(rows)
    x = 3 + 2 * torch.randn(rows, channels, generator=g, dtype=torch.float64)
    scale, shift = torch.randn(2, channels, generator=g, dtype=torch.float64)
    residual = torch.randn(rows, channels, generator=g, dtype=torch.float64)
    return [x, scale, shift], residual, torch.randint(0, 4, (rows,), generator=g)


@ON
@DTYPES
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_norm_silu(
    weighted: bool,
    with_residual: bool,
    dtype: torch.dtype,
    tolerance: float,
    device: str,
    way: str,
) -> None:
    inputs, residual, weights = norm_inputs()
    inputs = [*inputs, residual] if with_residual else inputs

    def call(operation: Any, where: str) -> Callable[..., tuple[Tensor, ...]]:
        def called(x: Tensor, scale: Tensor, shift: Tensor, rest: Tensor | None = None) -> Any:
            return operation(x, scale, shift, 1e-5, weights.to(where) if weighted else None, rest)

        return called

    out, grads = run(call(norm_silu, device), leaves(inputs, dtype, device), [], "h")
    expected, wanted = run(
        call(reference.norm_silu, "cpu"), leaves(inputs, torch.float64, "cpu"), [], "h"
    )
    for ours, theirs in zip(out, expected, strict=True):
        assert ours.dtype == dtype
        close(ours.cpu(), theirs, tolerance)
    for ours_, theirs_ in zip(grads, wanted, strict=True):
        assert theirs_ is not None
        close(None if ours_ is None else ours_.cpu(), theirs_, 10 * tolerance)


@pytest.mark.parametrize("weighted", [False, True])
def test_norm_silu_by_finite_differences(weighted: bool, way: str) -> None:
    inputs, residual, weights = norm_inputs(rows=8, channels=3)
    args = leaves([*inputs, residual], torch.float64, "cpu")
    w = weights if weighted else None
    finite_differences(way, lambda x, a, b, r: norm_silu(x, a, b, 1e-5, w, r)[0], args)


def test_norm_silu_by_given_statistics(way: str) -> None:
    inputs, residual, weights = norm_inputs(rows=8, channels=3)
    mean, var = torch.tensor([1.0, 2, 3]).double(), torch.tensor([4.0, 0.5, 0]).double()
    before = mean.clone(), var.clone()
    args = leaves([*inputs, residual], torch.float64, "cpu")

    def ours(x: Tensor, scale: Tensor, shift: Tensor, rest: Tensor) -> Tensor:
        return norm_silu(x, scale, shift, 1e-2, weights, rest, (mean, var))[0]

    def theirs(x: Tensor, scale: Tensor, shift: Tensor, rest: Tensor) -> Tensor:
        return rest + F.silu(F.batch_norm(x, mean, var, scale, shift, eps=1e-2))

    close(ours(*args), theirs(*args), 1e-12)
    assert mean.equal(before[0])
    assert var.equal(before[1])
    finite_differences(way, ours, args)


@pytest.mark.parametrize("rows", [0, 5])
def test_norm_silu_without_weight(rows: int, way: str) -> None:
    """No rows, or none that count: mean 0 and variance 1."""
    (x, scale, shift), _, _ = norm_inputs(rows=rows)
    weights = torch.zeros(rows)
    args = leaves([x, scale, shift], torch.float64, "cpu")
    out, mean, var, count = norm_silu(*args, 1e-5, weights)
    close(out, F.silu(x / (1 + 1e-5) ** 0.5 * scale + shift), 1e-12)
    assert (mean.unique().tolist(), var.unique().tolist(), float(count)) == ([0.0], [1.0], 0.0)
    finite_differences(way, lambda a, b, c: norm_silu(a, b, c, 1e-5, weights)[0], args)


def paired_norms(channels: int = 5) -> tuple[BatchNormSiLU, torch.nn.BatchNorm1d]:
    theirs = torch.nn.BatchNorm1d(channels).double()
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in (theirs.weight, theirs.bias, theirs.running_mean):
            assert tensor is not None
            tensor.copy_(torch.randn(channels, generator=g))
    ours = BatchNormSiLU(channels).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def assert_same_state(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=1e-12, atol=1e-12, msg=name)


@pytest.mark.parametrize("weighted", [False, True])
def test_batch_norm_is_torchs(weighted: bool, way: str) -> None:
    """Over three batches, then in evaluation; weights stand for repeated rows."""
    ours, theirs = paired_norms()
    for rows in (30, 12, 2):
        (x, _, _), residual, weights = norm_inputs(rows=rows)
        weights = weights + 1 if weighted else torch.ones(rows, dtype=torch.int64)
        mine, its = leaves([x, residual], torch.float64, "cpu"), leaves([x], torch.float64, "cpu")
        out = ours(mine[0], weights if weighted else None, residual=mine[1])
        literal = F.silu(theirs(its[0].repeat_interleave(weights, dim=0)))
        close(out - residual, literal[weights.cumsum(0) - 1], 1e-12)
        assert_same_state(ours, theirs)
        # The loss counts every copy too.
        ours.zero_grad()
        theirs.zero_grad()
        (out.square() * weights[:, None]).sum().backward()
        (residual.repeat_interleave(weights, dim=0) + literal).square().sum().backward()
        assert its[0].grad is not None
        close(mine[0].grad, its[0].grad, 1e-10)
        close(ours.weight.grad, theirs.weight.grad, 1e-10)  # type: ignore[arg-type]
        close(ours.bias.grad, theirs.bias.grad, 1e-10)  # type: ignore[arg-type]
    ours.eval()
    theirs.eval()
    close(ours(x, weights), F.silu(theirs(x)), 1e-12)
    assert_same_state(ours, theirs)


def test_batch_norm_of_one_row(way: str) -> None:
    """Torch refuses it in training; here the running variance stays as it was."""
    ours, _ = paired_norms()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    x = torch.randn(1, 5, dtype=torch.float64)
    out = ours(x)
    close(out, F.silu(ours.bias)[None].detach(), 1e-12)
    assert ours.running_var.equal(before["running_var"])
    close(ours.running_mean, 0.9 * before["running_mean"] + 0.1 * x[0], 1e-12)
    assert int(ours.num_batches_tracked) == 1
    # Two copies are two rows: their variance is 0 and counts.
    ours(x, torch.tensor([2]))
    close(ours.running_var, 0.9 * before["running_var"], 1e-12)


@pytest.mark.parametrize("rows", [0, 3])
def test_batch_norm_of_nothing(rows: int, way: str) -> None:
    ours, _ = paired_norms()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    x = torch.randn(rows, 5, dtype=torch.float64, requires_grad=True)
    out = ours(x, torch.zeros(rows))
    out.sum().backward()
    assert out.shape == (rows, 5)
    assert torch.isfinite(out).all()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert ours.running_mean.equal(before["running_mean"])
    assert ours.running_var.equal(before["running_var"])


def test_statistics_far_from_zero_keep_their_digits(way: str) -> None:
    """The variance is taken about the mean, not as a difference of squares."""
    x = 1e4 + torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)).double()
    _, _, var, _ = norm_silu(x.float(), torch.ones(3), torch.zeros(3), 1e-5)
    torch.testing.assert_close(var.double(), x.var(dim=0, unbiased=False), rtol=1e-3, atol=0)


def test_blocks_cover_all_rows(monkeypatch: Any) -> None:
    monkeypatch.setattr(blocks, "CPU_BLOCK", 20)
    for rows, channels in [(0, 3), (1, 3), (6, 3), (7, 3), (100, 50), (5, 1)]:
        x = torch.arange(rows * channels).reshape(rows, channels)
        pieces = [x[rows_] for rows_ in blocks.row_blocks(x, channels)]
        assert torch.cat(pieces).equal(x) if rows else not pieces
        assert all(piece.numel() <= max(20, channels) for piece in pieces)

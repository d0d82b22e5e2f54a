"""Fused operations: the gate with what follows it, and the linear map with what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from linegraph.kernels import (
    BatchNorm,
    Edges,
    backends,
    edge_update,
    linear_norm_silu,
    use_backend,
)
from linegraph.kernels.reference import Reference
from linegraph.nn import EdgeGatedConv, set_recompute

from .flat import Flat
from .test_kernels import (
    DTYPES,
    ON,
    close,
    finite_differences,
    gate_inputs,
    leaves,
    norm_inputs,
    run,
    way,
)

__all__ = ["way"]
oracle = Flat(Reference())


@pytest.fixture(params=["own statistics", "given statistics", "no new edges"])
def norm_of(request: Any) -> Any:
    """Makes the normalisation of a test from its scale and shift."""

    def made(scale: Tensor, shift: Tensor) -> BatchNorm | None:
        if request.param == "no new edges":
            return None
        given = None
        if request.param == "given statistics":
            given = torch.linspace(-1, 1, 5).to(scale), torch.linspace(0.5, 2, 5).to(scale)
        return BatchNorm(scale, shift, 1e-3, given)

    return made


def case(dtype: torch.dtype, device: str) -> tuple[list[Tensor], Tensor, Tensor]:
    inputs, index, copies = gate_inputs()
    scale_and_shift = norm_inputs()[0][1:]
    return leaves([*inputs, *scale_and_shift], dtype, device), index.to(device), copies.to(device)


def edges_of(index: Tensor, copies: Tensor | None) -> Edges:
    count = None if copies is None else copies * (copies + 1)
    return Edges(index, 7, copies, count)


@ON
@DTYPES
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_edge_update(
    weighted: bool,
    recompute: bool,
    norm_of: Any,
    dtype: torch.dtype,
    tolerance: float,
    device: str,
    way: str,
) -> None:
    def call(operation: Any, index: Tensor, copies: Tensor | None, **more: Any) -> Any:
        def called(*inputs: Tensor) -> tuple[Tensor, ...]:
            done = operation(*inputs[:6], edges_of(index, copies), norm_of(*inputs[6:]), **more)
            found.append(done.moments)
            return tuple(x for x in done[:2] if x is not None)

        return called

    found: list[Any] = []
    args, index, copies = case(dtype, device)
    weights = copies if weighted else None
    out, grads = run(call(edge_update, index, weights, recompute=recompute), args, [], "hm")
    wide = case(torch.float64, "cpu")
    literal = call(oracle.edge_update, wide[1], wide[2] if weighted else None)
    expected, wanted = run(literal, wide[0], [], "hm")
    for ours, theirs in zip(out, expected, strict=True):
        assert ours.dtype == dtype
        close(ours.cpu(), theirs, tolerance)
    for ours_, theirs_, like in zip(grads, wanted, wide[0], strict=True):
        zero = torch.zeros_like(like)
        ours_, theirs_ = (zero if x is None else x.cpu() for x in (ours_, theirs_))
        close(ours_, theirs_, 10 * tolerance)
    assert (found[0] is None) == (found[1] is None)
    if found[0] is not None:
        for mine, its in zip(found[0], found[1], strict=True):
            close(mine.cpu(), its, tolerance)


@ON
def test_without_gradients_the_same(norm_of: Any, device: str, way: str) -> None:
    """Evaluation keeps nothing and goes another way."""
    args, index, copies = case(torch.float64, device)
    before = [x.detach().clone() for x in args]
    with_gradient = edge_update(*args[:6], edges_of(index, copies), norm_of(*args[6:]))
    with torch.no_grad():
        without = edge_update(*args[:6], edges_of(index, copies), norm_of(*args[6:]))
    close(without.nodes, with_gradient.nodes, 1e-12)
    assert (without.edges is None) == (with_gradient.edges is None)
    if without.edges is not None and with_gradient.edges is not None:
        close(without.edges, with_gradient.edges, 1e-12)
    assert all(x.detach().equal(y) for x, y in zip(args, before, strict=True))


def test_edge_update_by_finite_differences(norm_of: Any, way: str) -> None:
    args, index, copies = case(torch.float64, "cpu")

    def outputs(*inputs: Tensor) -> tuple[Tensor, ...]:
        done = edge_update(*inputs[:6], edges_of(index, copies), norm_of(*inputs[6:]))
        return tuple(x for x in done[:2] if x is not None)

    finite_differences(way, outputs, args)


@pytest.mark.parametrize("used", ["nodes", "edges"])
def test_where_only_one_output_is_used(used: str, way: str) -> None:
    args, index, copies = case(torch.float64, "cpu")
    wide, *_ = case(torch.float64, "cpu")
    norms = BatchNorm(args[6], args[7], 1e-3), BatchNorm(wide[6], wide[7], 1e-3)
    ours = edge_update(*args[:6], edges_of(index, copies), norms[0])
    theirs = oracle.edge_update(*wide[:6], edges_of(index, copies), norms[1])
    getattr(ours, used).square().sum().backward()
    getattr(theirs, used).square().sum().backward()
    for mine, its in zip(args, wide, strict=True):
        zero = torch.zeros_like(mine)
        close(
            zero if mine.grad is None else mine.grad, zero if its.grad is None else its.grad, 1e-10
        )


def test_edges_without_weight(way: str) -> None:
    """All edges count nothing in the statistics: mean 0, variance 1, and finite gradients."""
    args, index, _ = case(torch.float64, "cpu")
    none = torch.zeros(index.size(1))
    done = edge_update(*args[:6], Edges(index, 7, None, none), BatchNorm(args[6], args[7], 1e-3))
    assert done.edges is not None
    assert done.moments is not None
    assert [float(done.moments[2]), *done.moments[0].tolist()] == [0.0] * 6
    done.edges.sum().backward()
    assert all(x.grad is None or bool(torch.isfinite(x.grad).all()) for x in args)


@ON
@DTYPES
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_linear_norm_silu(
    weighted: bool, given: bool, dtype: torch.dtype, tolerance: float, device: str, way: str
) -> None:
    (x, scale, shift), _, copies = norm_inputs()
    g = torch.Generator().manual_seed(3)
    weight = torch.randn(5, 5, generator=g, dtype=torch.float64)
    inputs = [x, weight, shift * 2, scale, shift]

    def call(operation: Any, where: str, kind: torch.dtype) -> Any:
        fixed = (torch.zeros(5), torch.linspace(1, 2, 5))
        statistics = tuple(s.to(where, kind) for s in fixed) if given else None
        copies_ = copies.to(where) if weighted else None
        return lambda *xs: operation(*xs, 1e-5, copies_, statistics)[:2]

    out, grads = run(call(linear_norm_silu, device, dtype), leaves(inputs, dtype, device), [], "h")
    literal = call(oracle.linear_norm_silu, "cpu", torch.float64)
    expected, wanted = run(literal, leaves(inputs, torch.float64, "cpu"), [], "h")
    for ours, theirs in zip(out, expected, strict=True):
        close(ours.cpu(), theirs, tolerance)
    for ours_, theirs_ in zip(grads, wanted, strict=True):
        assert theirs_ is not None
        close(None if ours_ is None else ours_.cpu(), theirs_, 20 * tolerance)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("name", ["reference", "torch_scatter"])
def test_second_derivatives(name: str, ordered: bool) -> None:
    if name not in [info.name for info in backends() if info.available]:
        pytest.skip(f"{name} is not installed")
    conv = EdgeGatedConv(3).double().eval()
    inputs, index, _ = gate_inputs(nodes=4, edges=9, channels=3)
    index = index[:, index[1].argsort()] if ordered else index
    x, y = (t.clone().requires_grad_() for t in (inputs[3], inputs[0]))
    with use_backend(name):
        assert torch.autograd.gradgradcheck(lambda a, b: conv(a, index, b), (x, y))


def test_no_second_derivatives_elsewhere() -> None:
    conv = EdgeGatedConv(3).double().eval()
    inputs, index, _ = gate_inputs(nodes=4, edges=9, channels=3)
    x, y = (t.clone().requires_grad_() for t in (inputs[3], inputs[0]))
    loss = conv(x, index, y)[0].square().sum()
    (first,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()


@pytest.fixture
def saved() -> Iterator[list[int]]:
    """Sizes of all tensors that autograd keeps, each counted once."""
    seen: dict[int, int] = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: (seen.update({x.data_ptr(): x.numel()}), x)[1], lambda x: x
    ):
        yield _Sizes(seen)


class _Sizes(list[int]):
    def __init__(self, seen: dict[int, int]) -> None:
        self.seen = seen

    def largest(self, at_least: int) -> int:
        return sum(size >= at_least for size in self.seen.values())


@pytest.mark.parametrize("recompute", [False, True])
def test_what_a_convolution_keeps(recompute: bool, saved: Any) -> None:
    """Edges and m; only the edges when told to recompute. Gates and messages never."""
    inputs, index, _ = gate_inputs(nodes=7, edges=400, channels=5)
    conv = EdgeGatedConv(5).double()
    set_recompute(conv, recompute)
    x, y = inputs[3].clone().requires_grad_(), inputs[0].clone().requires_grad_()
    nodes, edges = conv(x, index, y)
    assert saved.largest(y.numel()) == (1 if recompute else 2)
    (nodes.sum() + edges.square().sum()).backward()

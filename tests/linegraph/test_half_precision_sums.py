"""Half precision is how rows are stored on a CPU; sums of them are carried in float32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from linegraph import use_backend
from linegraph.kernels import (
    BatchNorm,
    Edges,
    edge_gate,
    edge_update,
    linear_norm_silu,
    norm_silu,
)

#: Above what bfloat16 (256) and float16 (2,048) count to by ones, and not among their numbers.
MANY = 4001

HALVES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "f16"])


def gate(edges: int, value: Tensor) -> tuple[Tensor, ...]:
    """Operands of edges that let one half through."""
    zero = torch.zeros(edges, 1, dtype=value.dtype)
    nodes = torch.zeros_like(value)
    return zero, zero[:1], zero[0], nodes, nodes, value


@HALVES
@pytest.mark.parametrize("gradients", [False, True])
def test_many_neighbors(gradients: bool, dtype: torch.dtype) -> None:
    """Two thousand say 1 and as many say 2: their mean."""
    index = torch.stack([torch.arange(MANY) % 2, torch.zeros(MANY, dtype=torch.int64)])
    value = torch.tensor([[1.0], [2.0]], dtype=dtype, requires_grad=gradients)
    one = torch.ones(1)
    with use_backend("native"):
        h, _ = edge_gate(*gate(MANY, value), Edges(index, 2))
        whole = edge_update(*gate(MANY, value), Edges(index, 2), BatchNorm(one, one, 1e-3))
    assert (h.dtype, whole.nodes.dtype) == (dtype, dtype)
    assert h.tolist()[0] == whole.nodes.tolist()[0] == [1.5]


def test_many_neighbors_under_autocast() -> None:
    index = torch.stack([torch.arange(MANY) % 2, torch.zeros(MANY, dtype=torch.int64)])
    with use_backend("native"), torch.autocast("cpu", torch.bfloat16):
        h, m = edge_gate(*gate(MANY, torch.tensor([[1.0], [2.0]])), Edges(index, 2))
    assert (m.dtype, float(h[0])) == (torch.bfloat16, 1.5)


@HALVES
def test_gradient_of_a_node_with_many_neighbors(dtype: torch.dtype) -> None:
    """Each of 4,000 nodes hears the first one alone, and so says what that one says."""
    index = torch.stack([torch.zeros(MANY - 1, dtype=torch.int64), torch.arange(1, MANY)])
    value = torch.ones(MANY, 1, dtype=dtype, requires_grad=True)
    with use_backend("native"):
        h, _ = edge_gate(*gate(MANY - 1, value), Edges(index, MANY))
    h.backward(torch.ones_like(h))
    assert value.grad is not None
    assert float(value.grad[0]) == pytest.approx(MANY - 1, rel=4e-3)


@HALVES
def test_statistics_of_many_rows(dtype: torch.dtype) -> None:
    x = torch.cat([torch.ones(2000, 1), torch.full((2001, 1), 3.0)]).to(dtype)
    one = torch.ones(1, dtype=dtype)
    weight = torch.ones(MANY)
    with use_backend("native"):
        found = [
            norm_silu(x, one, one, 1e-3, weight)[1:],
            linear_norm_silu(x, one[:, None], 0 * one, one, one, 1e-3, weight)[1:],
            edge_update(
                *(x, one[:, None], 0 * one, *3 * [torch.zeros(1, 1, dtype=dtype)]),
                *(Edges(torch.zeros(2, MANY, dtype=torch.int64), 1), BatchNorm(one, one, 1e-3)),
            ).moments,
        ]
    for mean, var, count in found:
        assert (mean.dtype, var.dtype, float(count)) == (torch.float32, torch.float32, MANY)
        share = 2001 / MANY
        assert float(mean[0]) == pytest.approx(1 + 2 * share, rel=1e-5)
        assert float(var[0]) == pytest.approx(4 * share * (1 - share), rel=1e-4)

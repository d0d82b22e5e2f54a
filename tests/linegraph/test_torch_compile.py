"""Layers under torch.compile and torch.export: without C++, which would take long."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import linegraph
from linegraph.nn import EdgeGatedConv

INDEX = torch.tensor([[0, 1, 2, 2, 3], [1, 2, 0, 1, 3]])
CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    x, y = torch.randn(4, 6, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    return x, INDEX, y


def conv() -> EdgeGatedConv:
    torch.manual_seed(0)
    return EdgeGatedConv(6).double()


def assert_same(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


@pytest.mark.parametrize("name", ["reference", "compiled"])
def test_formulas_are_one_graph(name: str) -> None:
    if name not in [info.name for info in linegraph.backends() if info.available]:
        pytest.skip("no compiler")
    layer = conv()
    wanted = copy.deepcopy(layer)(*inputs())
    torch._dynamo.reset()
    with linegraph.use_backend(name):
        assert_same(torch.compile(layer, fullgraph=True, backend="eager")(*inputs()), wanted)


def test_formulas_can_be_exported() -> None:
    layer = conv().eval()
    with linegraph.use_backend("reference"):
        program = torch.export.export(layer, inputs())
    assert_same(program.module()(*inputs()), layer(*inputs()))


@pytest.mark.parametrize("name", ["native", "triton"])
def test_kernels_are_left_as_they_are(name: str) -> None:
    if name not in [info.name for info in linegraph.backends() if info.available]:
        pytest.skip("no Triton")
    torch._dynamo.reset()
    with linegraph.use_backend(name):
        told = torch._dynamo.explain(conv())(*inputs())  # type: ignore[no-untyped-call]
    assert told.graph_break_count > 0
    for found in told.break_reasons:
        assert "torch.compiler.disable" in found.reason

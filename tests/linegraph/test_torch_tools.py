"""Layers under torch's own tools: adapters, pruning, hooks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import linegraph
from linegraph.kernels import Edges
from linegraph.nn import BatchNormSiLU, EdgeGatedConv, MLPLayer, ScalarEmbedding
from linegraph.nn import edge_gated_conv as conv_module
from linegraph.nn.fusible import fusible

# Layers make the same calls of every back end, and each is tested in test_kernels.py.
HERE = ["native", "reference"]
CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}
INDEX = torch.tensor([[0, 1, 2, 2, 3], [1, 2, 0, 1, 3]])
COPIES = torch.tensor([1, 2, 1, 3, 1])


class Adapter(nn.Module):
    """A linear map with an addition of low rank, as LoRA makes them; no ``weight`` of its own."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(2, base.in_features, dtype=base.weight.dtype))
        self.up = nn.Parameter(torch.randn(base.out_features, 2, dtype=base.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x) + x @ self.down.t() @ self.up.t()
        return out

    def merged(self) -> nn.Linear:
        """The same map as one matrix."""
        linear = copy.deepcopy(self.base)
        with torch.no_grad():
            linear.weight += self.up @ self.down
        return linear


def conv() -> EdgeGatedConv:
    torch.manual_seed(0)
    return EdgeGatedConv(6).double()


def features() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(4, 6, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)


def step(layer: Any, update_edges: bool = True) -> list[Tensor]:
    """What a convolution gives, and the gradients of its inputs."""
    x, y = (part.requires_grad_() for part in features())
    edges = Edges(INDEX, 4, COPIES, COPIES)
    outs = [out for out in layer(x, edges, y, update_edges=update_edges) if out is not None]
    sum(out.square().sum() for out in outs).backward()  # type: ignore[union-attr]
    assert x.grad is not None and y.grad is not None
    return [*(out.detach() for out in outs), x.grad, y.grad]


@pytest.fixture(params=HERE)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    with linegraph.use_backend(request.param):
        yield request.param


@pytest.mark.parametrize("update_edges", [True, False])
def test_an_adapter_acts_and_trains(way: str, update_edges: bool) -> None:
    layer = conv()
    before = step(copy.deepcopy(layer), update_edges)
    adapter = Adapter(layer.gate_edge)
    layer.gate_edge = adapter  # type: ignore[assignment]
    merged = copy.deepcopy(layer)
    merged.gate_edge = adapter.merged()
    found, wanted = step(layer, update_edges), step(merged, update_edges)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)
    assert not torch.allclose(found[0], before[0])
    # d(up down x) by the chain rule, out of the gradient of the one matrix.
    whole = merged.gate_edge.weight.grad
    assert whole is not None and adapter.up.grad is not None and adapter.down.grad is not None
    torch.testing.assert_close(adapter.up.grad, whole @ adapter.down.t(), **CLOSE)
    torch.testing.assert_close(adapter.down.grad, adapter.up.t() @ whole, **CLOSE)
    for name, buffer in merged.named_buffers():
        torch.testing.assert_close(layer.get_buffer(name), buffer, **CLOSE)


def test_an_adapter_of_an_embedding_acts_and_trains(way: str) -> None:
    torch.manual_seed(0)
    embedding = ScalarEmbedding(0.0, 8.0, 10, 5, 6).double()
    adapters = [Adapter(part.linear) for part in (embedding.inner, embedding.outer)]
    embedding.inner.linear, embedding.outer.linear = adapters  # type: ignore[assignment]
    merged = copy.deepcopy(embedding)
    merged.inner.linear, merged.outer.linear = (adapter.merged() for adapter in adapters)
    value = torch.rand(7, dtype=torch.float64) * 8
    weight = torch.arange(7) % 3 + 1
    for one in (embedding, merged):
        one(value, weight).square().sum().backward()
    torch.testing.assert_close(embedding(value, weight), merged(value, weight), **CLOSE)
    for adapter, part in zip(adapters, (merged.inner, merged.outer), strict=True):
        whole = part.linear.weight.grad
        assert whole is not None
        torch.testing.assert_close(adapter.up.grad, whole @ adapter.down.t(), **CLOSE)
    with torch.no_grad():
        torch.testing.assert_close(embedding.eval()(value), merged.eval()(value), **CLOSE)


@pytest.mark.parametrize("of", [conv, lambda: MLPLayer(6, 6).double()], ids=["conv", "mlp"])
def test_a_pruned_layer_trains(of: Callable[[], Any]) -> None:
    layer = of()
    linear = layer.gate_edge if isinstance(layer, EdgeGatedConv) else layer.linear
    prune.l1_unstructured(linear, "weight", 0.5)  # type: ignore[no-untyped-call]
    x, y = features()
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        out = layer(x, INDEX, y)[1] if isinstance(layer, EdgeGatedConv) else layer(x)
        out.square().sum().backward()
        optimizer.step()
        seen.append(linear.weight.detach().clone())
        assert int((linear.weight == 0).sum()) == 18
    # The weight that is used follows the one that is trained.
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


HOOKS: dict[str, Callable[[nn.Module, Callable[..., None]], Any]] = {
    "forward": lambda part, saw: part.register_forward_hook(saw),
    "before": lambda part, saw: part.register_forward_pre_hook(saw),
    "backward": lambda part, saw: part.register_full_backward_hook(saw),
    "before backward": lambda part, saw: part.register_full_backward_pre_hook(saw),
}


@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_of_every_part_fire_and_change_nothing(kind: str, way: str) -> None:
    layer = conv()
    wanted = step(copy.deepcopy(layer))
    seen: list[str] = []
    for name, part in layer.named_children():
        HOOKS[kind](part, lambda *_, name=name: seen.append(name))
    for ours, theirs in zip(step(layer), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)
    assert sorted(seen) == sorted(name for name, _ in layer.named_children())


@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize("part", ["linear", "norm"])
def test_hooks_of_an_embedding_fire(kind: str, part: str) -> None:
    layer, seen = MLPLayer(6, 3).double(), []
    x, _ = features()
    wanted = copy.deepcopy(layer)(x)
    HOOKS[kind](layer.get_submodule(part), lambda *_: seen.append(part))
    out = layer(x.requires_grad_())
    out.sum().backward()
    assert seen == [part]
    torch.testing.assert_close(out, wanted, **CLOSE)


def test_what_a_hook_returns_is_used() -> None:
    layer = conv()
    layer.gate_edge.register_forward_hook(lambda _, __, out: 0 * out)
    without = conv()
    nn.init.zeros_(without.gate_edge.weight)
    nn.init.zeros_(without.gate_edge.bias)
    torch.testing.assert_close(step(layer)[:2], step(without)[:2], **CLOSE)


def test_plain_layers_are_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a parameter is parametrised; a handle that is removed leaves nothing behind."""
    calls: list[bool] = []
    real = conv_module.edge_update

    def counted(*args: Any, **how: Any) -> Any:
        calls.append(args[7] is not None)
        return real(*args, **how)

    monkeypatch.setattr(conv_module, "edge_update", counted)
    layer = conv()
    step(layer)
    assert calls == [True]
    handle = layer.gate_edge.register_forward_hook(lambda *_: None)
    step(layer)
    assert calls == [True]
    handle.remove()
    parametrizations.weight_norm(layer.gate_edge)
    step(layer)
    assert calls == [True, True]
    assert all(p.grad is not None for p in layer.gate_edge.parameters())


def test_hooks_of_all_modules_do_not_see_what_is_read() -> None:
    layer, seen = conv(), []
    wanted = step(copy.deepcopy(layer))
    handle = nn.modules.module.register_module_forward_hook(lambda part, *_: seen.append(part))
    try:
        found = step(layer)
    finally:
        handle.remove()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, wanted, strict=True))
    assert layer.root in seen
    assert layer.gate_edge not in seen


def test_what_is_fusible() -> None:
    class Own(nn.Linear):
        """May compute anything."""

    assert fusible(nn.Linear(2, 2), nn.Linear)
    assert not fusible(nn.Linear(2, 2, bias=False), nn.Linear)
    assert not fusible(Own(2, 2), nn.Linear)
    patched = nn.Linear(2, 2)
    patched.forward = nn.ReLU().forward  # type: ignore[method-assign]
    assert not fusible(patched, nn.Linear)


def test_a_linear_map_without_a_bias() -> None:
    layer, zero = conv(), conv()
    nn.init.zeros_(zero.gate_edge.bias)
    layer.gate_edge = nn.Linear(6, 6, bias=False).double()
    layer.gate_edge.weight = copy.deepcopy(zero.gate_edge.weight)
    for ours, theirs in zip(step(layer), step(zero), strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def test_averaged_statistics(way: str) -> None:
    """``momentum=None`` is the mean over batches, as in torch; a batch of no rows is none."""
    ours, theirs = BatchNormSiLU(6, momentum=None).double(), nn.BatchNorm1d(6, momentum=None)
    x = torch.randn(20, 6, dtype=torch.float64)
    ours(x[:0])
    for rows in (x[:3], x[3:8], x[8:]):
        ours(rows)
        theirs.double()(rows)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, **CLOSE)


@pytest.mark.parametrize("option", ["affine", "track_running_stats", "device"])
def test_options_that_it_has_not(option: str) -> None:
    with pytest.raises(TypeError, match=option):
        BatchNormSiLU(4, **{option: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("layer", [conv(), MLPLayer(6, 6)], ids=["conv", "mlp"])
def test_converted_statistics_are_told(layer: nn.Module) -> None:
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(  # type: ignore[no-untyped-call]
        copy.deepcopy(layer)
    )
    x, y = features()
    inputs = (x, INDEX, y) if isinstance(layer, EdgeGatedConv) else (x,)
    with pytest.raises(TypeError, match=r"linegraph\.nn\.set_synchronised"):
        converted(*inputs)


def test_reset_parameters() -> None:
    layer, new = conv(), conv()
    step(layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(1)
    torch.manual_seed(0)
    layer.float().reset_parameters()
    for name, value in new.state_dict().items():
        torch.testing.assert_close(layer.state_dict()[name].to(value.dtype), value, rtol=0, atol=0)


def test_sizes_that_do_not_fit() -> None:
    layer = conv()
    x, y = features()
    with pytest.raises(ValueError, match="edges join 5 nodes but there are 4"):
        layer(x, Edges(INDEX, 5), y)
    with pytest.raises(ValueError, match=r"4 nodes but counts of shape \[5\]"):
        layer(x, INDEX, y, node_count=torch.ones(5))

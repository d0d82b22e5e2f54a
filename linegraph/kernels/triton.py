"""Back end of fused kernels for a GPU."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from .backend import Backend, BatchNorm, EdgeUpdate, Gate
from .edges import Edges
from .plan import Plan


class Triton(Backend):
    """Matrix products by PyTorch; everything between them in a few passes over the edges.

    Sums run over sorted segments in a fixed order: two runs give the same bits. Half precision is
    summed in float32. With ``TRITON_INTERPRET=1`` in the environment before the first use it also
    runs on a CPU, slowly, for tests.
    """

    name = "triton"
    about = "fused kernels for a GPU: few passes over the edges, no atomics"

    def missing(self) -> str | None:
        problem = _problem()
        if problem is None and not _interpreted() and not torch.cuda.is_available():
            problem = "there is no GPU (on a CPU set TRITON_INTERPRET=1 first: slow, for tests)"
        return problem

    @torch.compiler.disable
    def edge_gate(self, gate: Gate, edges: Edges) -> tuple[Tensor, Tensor]:
        library = _for(gate.edge_attr)
        inputs = _checked(gate, edges)
        plan = Plan(edges, return_m=True, keep_m=True)
        with _device_of(gate.edge_attr):
            h, m, *_ = library.GatedEdges.apply(  # type: ignore[no-untyped-call]
                plan, None, None, *inputs
            )
        return h, m

    @torch.compiler.disable
    def norm_silu(
        self,
        x: Tensor,
        norm: BatchNorm,
        row_weight: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        library = _for(x)
        scale, shift, eps, statistics = norm
        _check_columns(x.size(1), scale, shift, *(statistics or ()))
        if row_weight is not None:
            _check("row weights", row_weight, x.size(0))
        if residual is not None:
            _check("residual", residual, *x.shape)
        with _device_of(x):
            out, *moments = library.NormSiLU.apply(  # type: ignore[no-untyped-call]
                x.contiguous(),
                scale,
                shift,
                eps,
                None if row_weight is None else row_weight.contiguous(),
                None if residual is None else residual.contiguous(),
                statistics,
            )
        if statistics is None:
            mean, var, count = moments
            return out, mean, var, count
        dtype = library.wide(x)
        if row_weight is None:
            return out, *statistics, x.new_full((), x.size(0), dtype=dtype)
        return out, *statistics, row_weight.detach().to(dtype).sum()

    @torch.compiler.disable
    def edge_update(
        self,
        gate: Gate,
        edges: Edges,
        norm: BatchNorm | None,
        *,
        recompute: bool = False,
    ) -> EdgeUpdate:
        library = _for(gate.edge_attr)
        inputs = _checked(gate, edges)
        affine: tuple[Tensor | None, ...] = (None, None)
        if norm is not None:
            affine = norm.scale, norm.shift
            _check_columns(gate.edge_attr.size(1), *affine, *(norm.statistics or ()))
        differentiated = any(x is not None and x.requires_grad for x in (*inputs, *affine))
        with _device_of(gate.edge_attr):
            if torch.is_grad_enabled() and differentiated:
                plan = Plan(edges, norm, keep_m=not recompute)
                h, out, *found = library.GatedEdges.apply(  # type: ignore[no-untyped-call]
                    plan, *affine, *inputs
                )
                moments = None if found[0] is None else (found[0], found[1], found[2])
                return EdgeUpdate(h, out, moments)
            plan = Plan(edges, norm)
            done = library.forward(plan, inputs[0], library.Terms(*inputs[1:5]), inputs[5])
            return EdgeUpdate(done.sums.h.to(gate.value.dtype), done.out, done.moments)


@cache
def _problem() -> str | None:
    try:
        import triton  # noqa: F401
    except (ImportError, OSError) as error:
        # OSError: a library of the system that it needs is missing.
        return f"install triton ({error})"
    return None


@cache
def _library() -> ModuleType:
    from . import triton_autograd

    return triton_autograd


def _checked(inputs: Gate, edges: Edges) -> tuple[Tensor, ...]:
    """Inputs of an edge update as kernels read them: by address, so shapes must be right."""
    channels = inputs[1].size(0)
    _check("edges", inputs[0], edges.index.size(1), channels)
    _check("weight", inputs[1], channels, channels)
    _check("bias", inputs[2], channels)
    for nodes in inputs[3:]:
        _check("nodes", nodes, edges.num_nodes, channels)
    return tuple(x.contiguous() for x in inputs)


def _check_columns(channels: int, *vectors: Tensor | None) -> None:
    for vector in vectors:
        if vector is not None:
            _check("parameters of the normalisation", vector, channels)


def _check(name: str, x: Tensor, *shape: int) -> None:
    if x.shape != shape:
        raise ValueError(f"{name}: expected shape {[*shape]}, got {[*x.shape]}")


def _device_of(like: Tensor) -> AbstractContextManager[None]:
    """Kernels start on the current GPU: let it be that of a tensor. Nothing on a CPU."""
    return torch.cuda.device_of(like)  # type: ignore[no-any-return, no-untyped-call]


def _interpreted() -> bool:
    from .triton_tiles import interpreted

    return interpreted()


def _for(like: Tensor) -> ModuleType:
    """Kernels that can work on a tensor."""
    library = _library()
    if not (like.is_cuda or _interpreted()):
        raise RuntimeError(
            "back end 'triton' runs on a GPU; the tensors are on a CPU "
            "(for tests: set TRITON_INTERPRET=1 before its first use)"
        )
    return library

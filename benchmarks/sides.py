"""Sides that the benchmarks of kernels and models have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

import linegraph

from .compare import Options, Side
from .published import PUBLISHED, Published, PublishedDGL, needs_dgl_library, register_published

OURS, LITERAL, DGL = "ours", "ref-literal", "dgl"

#: Sides that work on the graph with every copy of a bond.
ON_LITERAL = (LITERAL, DGL)

#: Rows of full width for every triplet that exist at the peak, by side (others: the last one);
#: measured on a CPU and rounded up. Of one layer and of a model of the published depth, without
#: and with a backward pass.
OTHER = "other"
ROWS_OF_LAYER = {
    False: {OURS: 3.0, "native": 3.0, "triton": 3.0, "compiled": 6.0, OTHER: 9.0},
    True: {OURS: 6.0, "native": 6.0, "triton": 6.0, "compiled": 9.0, OTHER: 16.0},
}
ROWS_OF_MODEL = {
    False: {OURS: 4.0, "native": 4.0, "triton": 4.0, "compiled": 8.0, OTHER: 10.0},
    True: {OURS: 16.0, "native": 16.0, "triton": 16.0, "compiled": 32.0, OTHER: 48.0},
}


def backend_sides() -> tuple[Side, ...]:
    """Every back end of linegraph by name, on our graph."""
    return tuple(
        Side(info.name, f"back end {info.name}, on our graph", _missing(info.name))
        for info in linegraph.backends()
        if info.name not in PUBLISHED
    )


def our_side() -> Side:
    """Linegraph as it comes."""
    return Side(OURS, "the back end chosen here, on the graph of distinct bonds")


def dgl_side() -> Side:
    """The reference's own library for graphs."""
    return Side(DGL, "the same by DGL's message passing, as published", needs_dgl_library)


def literal_side() -> Side:
    """The reference's algorithm on the reference's graph."""
    return Side(
        LITERAL,
        "the published algorithm on the published graph: every copy of a bond, unfused gathers, "
        "scatter-adds and batch norms of PyTorch",
    )


def backend_of(side: str) -> str:
    """Name of the back end that a side runs on, for :func:`linegraph.use_backend`."""
    register_published()
    return {OURS: "auto", "alignn": "auto", LITERAL: Published.name, DGL: PublishedDGL.name}.get(
        side, side
    )


def our_backend(device: str) -> str:
    """The back end that runs where none is chosen."""
    kind = device.partition(":")[0]
    return next(i.name for i in linegraph.backends() if kind in i.chosen_for)


def doubles(options: Options) -> dict[str, str]:
    """Back ends that are no side of their own here, and why, for ``Case.left_out``."""
    found = {our_backend(options.device): "is ours"}
    if options.device == "cpu":
        # Its interpreter is for tests.
        found["triton"] = "GPU only"
    return found


def too_large(
    triplets: Mapping[str, int], hidden: int, options: Options, wide: Mapping[str, float]
) -> dict[str, str]:
    """Sides whose work would not fit into what memory is free, for ``Case.left_out``.

    Args:
        triplets: that each side has to work on at once.
        hidden: width.
        options: for the device.
        wide: one of :data:`ROWS_OF_LAYER` and :data:`ROWS_OF_MODEL`.
    """
    room = available_memory(options.device)
    found = {}
    for side, rows in triplets.items():
        needed = 4.0 * rows * hidden * (wide[side] if side in wide else wide[OTHER])
        if needed > room:
            found[side] = f"needs {needed / 2**30:.0f} GiB"
    return found


def available_memory(device: str) -> float:
    """Bytes that a benchmark may take: four fifths of what is free."""
    if device.startswith("cuda"):
        return 0.8 * torch.cuda.mem_get_info()[0]
    info = Path("/proc/meminfo")
    if not info.exists():
        return 8.0 * 2**30
    lines = dict(line.split(":") for line in info.read_text().splitlines())
    return 0.8 * 1024 * float(lines["MemAvailable"].split()[0])


def relative_difference(ours: Iterable[Tensor], other: Iterable[Tensor]) -> float:
    """Largest difference of any number, over the largest one of its tensor.

    Tensors of a hundredth of the largest tensor or less are compared with that: the gradient of a
    bias before a normalisation is zero but for rounding.
    """
    pairs = [(a.double(), b.double()) for a, b in zip(ours, other, strict=True)]
    if any(a.shape != b.shape for a, b in pairs):
        return float("inf")
    sizes = [float(a.abs().max()) if a.numel() else 0.0 for a, _ in pairs]
    least = max(0.01 * max(sizes, default=0.0), 1e-30)
    found = [
        float((a - b).abs().max()) / max(size, least)
        for (a, b), size in zip(pairs, sizes, strict=True)
        if a.numel()
    ]
    # NaN must not hide behind max().
    return float("nan") if any(f != f for f in found) else max(found, default=0.0)


def _missing(name: str) -> Callable[[Options], str]:
    def missing(options: Options) -> str:
        info = next(info for info in linegraph.backends() if info.name == name)
        return "" if info.available else info.why

    return missing

"""Workload ``roofline``: how near a convolution comes to what the machine can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from .compare import Case, Measured, Options, Side, Workload
from .conv import BOTH, FORWARD
from .counting import Work, forward_work, training_work
from .graphs import bands, with_triplets
from .layer import Run, distinct_problem, new_layer, same
from .sides import OURS, ROWS_OF_LAYER, our_side, too_large

#: Distinct triplets, about, and width.
SIZES, QUICK = (100_000, 1_000_000, 10_000_000), (1_000,)
WIDTHS = (64, 256)

COPY, PRODUCTS = "copy", "products"

BYTES, OPERATIONS = "GB", "Gflop"


class Copying:
    """Copies so many bytes, from and to tensors of the size of the job's.

    A byte that is copied is read and written, and counts as two.
    """

    def __init__(self, amount: float, rows: int, channels: int, device: str) -> None:
        self.source = torch.ones(rows, channels, device=device)
        self.target = torch.zeros_like(self.source)
        self.rows = round(amount / (2 * channels * self.source.element_size()))

    def __call__(self) -> None:
        for rows in _parts(self.rows, len(self.source)):
            self.target[:rows].copy_(self.source[:rows])


class Multiplying:
    """Matrix products of so many operations, ``[rows, channels]`` with ``[channels, channels]``."""

    def __init__(self, amount: float, rows: int, channels: int, device: str) -> None:
        self.left = torch.ones(rows, channels, device=device)
        self.right = torch.ones(channels, channels, device=device)
        self.out = torch.empty_like(self.left)
        self.rows = round(amount / (2 * channels**2))

    def __call__(self) -> None:
        for rows in _parts(self.rows, len(self.left)):
            torch.mm(self.left[:rows], self.right, out=self.out[:rows])


def cases(options: Options) -> Iterator[Case]:
    """Forward, and forward and backward, of every size and width that fits into memory."""
    some = bands(options, 1 if options.quick else 64)
    for size in QUICK if options.quick else SIZES:
        graph = with_triplets(some, size)
        nodes, edges = graph.num_bonds, graph.num_triplets
        for width in options.widths(WIDTHS):
            # Beside ours, four tensors are copied and multiplied.
            wide = {OURS: ROWS_OF_LAYER[True][OURS] + 5}
            if too_large({OURS: edges}, width, options, wide):
                continue
            layer = new_layer(width, options.device)
            problem = distinct_problem(graph, width, options.device)
            for name, count in ((FORWARD, forward_work), (BOTH, training_work)):
                work = count(nodes, edges, width)
                shape = (edges, width, options.device)
                yield Case(
                    name=f"{name}, T = {size:.0e}, width {width}",
                    sizes={"triplets": edges, "bonds": nodes},
                    runs={
                        OURS: Run(
                            partial(same, layer), partial(same, problem), "auto", name == BOTH
                        ),
                        COPY: Copying(work.bytes, *shape),
                        PRODUCTS: Multiplying(work.operations, *shape),
                    },
                    figures=partial(_figures, work),
                )


def _figures(work: Work, results: object) -> dict[str, float]:
    return {BYTES: work.bytes / 1e9, OPERATIONS: work.operations / 1e9}


def _parts(rows: int, most: int) -> Iterator[int]:
    while rows > 0:
        yield min(rows, most)
        rows -= most


def conclude(rows: Sequence[Measured]) -> list[str]:
    """Bandwidth, rate and the share of the limit that is reached."""
    found = []
    for row in rows:
        ours, copy, products = (row.times[name].wall for name in (OURS, COPY, PRODUCTS))
        which = "memory" if copy > products else "matrix products"
        found.append(
            f"{row.case.name}: copies {row.figures[BYTES] / copy * 1e3:.1f} GB/s, products "
            f"{row.figures[OPERATIONS] / products * 1e3:.0f} Gflop/s; at least "
            f"{max(copy, products):.3g} ms ({which}), takes {ours:.3g} ms: "
            f"{100 * max(copy, products) / ours:.0f} % of the limit."
        )
    return found


WORKLOAD = Workload(
    name="roofline",
    summary="one convolution against copying and multiplying as much as it must at least",
    sides=(
        our_side(),
        Side(
            COPY,
            "copying as many bytes as the layer must move",
            same=False,
            note="which only copies as many bytes as the layer must move at least",
        ),
        Side(
            PRODUCTS,
            "matrix products of as many operations as it must do",
            same=False,
            note="which only multiplies as much as the layer must at least",
        ),
    ),
    cases=cases,
    rates=("triplets",),
    devices=("cpu", "cuda"),
    conclude=conclude,
)

"""Workload ``mpt``: forward and backward of MPT on pre-training records."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from .compare import Case, Options, Side, Workload
from .graphs import crystals
from .model import TOLERANCE, WIDTHS, difference
from .passes import Batches, Pass, new_model
from .published import needs_dgl_library
from .sides import (
    DGL,
    LITERAL,
    OURS,
    ROWS_OF_MODEL,
    backend_of,
    backend_sides,
    doubles,
    literal_side,
    too_large,
)

#: Records, and how many make a batch.
RECORDS, TOGETHER = 256, 32

SIDES = (
    Side(OURS, "the back end chosen here, on the graph of distinct bonds"),
    *backend_sides(),
    literal_side(),
    Side(DGL, "the same by DGL's message passing, as published", needs_dgl_library),
)


def cases(options: Options) -> Iterator[Case]:
    """One of every width."""
    some = crystals(options, 4 if options.quick else RECORDS)
    batches = Batches(some, TOGETHER, options.device)
    for hidden in (options.hidden,) if options.hidden else ((8,) if options.quick else WIDTHS):
        yield _case(hidden, batches, options)


def _case(hidden: int, batches: Batches, options: Options) -> Case:
    model = cache(lambda: new_model("MPT", hidden, options.device))
    runs = {
        side.name: Pass(
            model,
            batches.literal if side.name in (LITERAL, DGL) else batches.ours,
            backend_of(side.name),
            backward=True,
        )
        for side in SIDES
    }
    distinct, literal = batches.largest
    triplets = {s.name: literal if s.name in (LITERAL, DGL) else distinct for s in SIDES}
    return Case(
        name=f"forward+backward, width {hidden}",
        sizes=batches.sizes,
        runs=runs,
        difference=difference,
        tolerance=TOLERANCE,
        left_out=too_large(triplets, hidden, options, ROWS_OF_MODEL[True]) | doubles(options),
    )


WORKLOAD = Workload(
    name="mpt",
    summary=f"MPT, seven properties, on {RECORDS} pre-training records, {TOGETHER} at a time",
    sides=SIDES,
    cases=cases,
    rates=("structures", "triplets"),
    devices=("cpu", "cuda"),
)

"""Workload ``mpt``: forward and backward of MPT on pre-training records."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from .compare import Case, Options, Workload
from .graphs import crystals
from .model import TOLERANCE, WIDTHS, difference
from .passes import Batches, Pass, new_model
from .sides import (
    ROWS_OF_MODEL,
    backend_of,
    backend_sides,
    dgl_side,
    doubles,
    literal_side,
    our_side,
    too_large,
)

#: Records, and how many make a batch.
RECORDS, TOGETHER = 256, 32

SIDES = (
    our_side(),
    *backend_sides(),
    literal_side(),
    dgl_side(),
)


def cases(options: Options) -> Iterator[Case]:
    """One of every width."""
    some = crystals(options, 4 if options.quick else RECORDS)
    batches = Batches(some, TOGETHER, options.device)
    for hidden in options.widths(WIDTHS):
        yield _case(hidden, batches, options)


def _case(hidden: int, batches: Batches, options: Options) -> Case:
    model = cache(lambda: new_model("MPT", hidden, options.device))
    runs = {
        side.name: Pass(
            model,
            batches.of(side.name),
            backend_of(side.name),
            backward=True,
        )
        for side in SIDES
    }
    triplets = batches.triplets(SIDES)
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

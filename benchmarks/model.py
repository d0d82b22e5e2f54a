"""Workload ``model``: MODEL-3 on the first test bands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from . import bars
from .compare import Case, Measured, Options, Side, Workload
from .graphs import bands
from .passes import Batches, Found, Pass, new_model
from .peer_layers import needs_layers, peer_model
from .sides import (
    DGL,
    LITERAL,
    ROWS_OF_MODEL,
    backend_of,
    backend_sides,
    dgl_side,
    doubles,
    literal_side,
    our_side,
    relative_difference,
    too_large,
)

MODEL = "MODEL-3"

#: Bands; the literal graph of all of them at once would need some 40 GB at the published width.
#: All sides pass them in batches of :data:`TOGETHER`, whose gradients add up.
BANDS, TOGETHER = 16, 2

WIDTHS = (64, 256)

#: Single precision through eight layers, gradients summed over all triplets.
TOLERANCE = 5e-3

#: How many times ours the published algorithm must take, by device and what is done.
TRAINING, INFERENCE = "forward+backward", "inference"
BARS = {
    "cpu": {TRAINING: 6.0, INFERENCE: 8.0},
    "cuda": {TRAINING: 10.0},
}

#: The column of the bar.
BAR = "bar (x)"

SIDES = (
    our_side(),
    *backend_sides(),
    literal_side(),
    dgl_side(),
    Side(
        "alignn",
        "the peer's model, on our graph",
        needs_layers,
        same=False,
        note="which has layer norms in its layers, no multiplicities and a linear head",
    ),
)


def cases(options: Options) -> Iterator[Case]:
    """Forward and backward, and inference, of every width."""
    some = bands(options, 3 if options.quick else BANDS)
    batches = Batches(some, TOGETHER, options.device)
    for hidden in options.widths(WIDTHS):
        for name in (TRAINING, INFERENCE):
            yield _case(name, hidden, batches, options)


def _case(name: str, hidden: int, batches: Batches, options: Options) -> Case:
    backward = name == TRAINING
    ours = cache(lambda: new_model(MODEL, hidden, options.device, batches.ours()[0]))
    peer = cache(lambda: peer_model(hidden).to(options.device))
    runs = {
        side.name: Pass(
            peer if side.name == "alignn" else ours,
            batches.of(side.name),
            backend_of(side.name),
            backward,
        )
        for side in SIDES
    }
    triplets = batches.triplets(SIDES)
    bar = BARS[options.device].get(name)
    return Case(
        name=f"{name}, width {hidden}",
        sizes=batches.sizes,
        runs=runs,
        difference=difference,
        tolerance=TOLERANCE,
        figures=lambda results: {} if bar is None or options.quick else {BAR: bar},
        left_out=too_large(triplets, hidden, options, ROWS_OF_MODEL[backward]) | doubles(options),
    )


def difference(ours: Found, other: Found) -> float:
    """Of any output or gradient, over the largest one of its tensor; see :mod:`benchmarks.sides`.

    All sides share the parameters. NaN if there is no gradient where there should be one.
    """
    parts = [
        relative_difference(one, two) for one, two in zip(ours, other, strict=True) if one or two
    ]
    return float("nan") if any(part != part for part in parts) else max(parts)


def conclude(rows: Sequence[Measured]) -> list[str]:
    """The bars against the published algorithm, in PyTorch and in DGL."""
    return [
        bars.at_least(f"{row.case.name}, against {side}", row.figures[BAR], found)
        for row in rows
        if BAR in row.figures
        for side in (LITERAL, DGL)
        if (found := bars.faster(row, side)) is not None
    ]


WORKLOAD = Workload(
    name="model",
    summary=f"{MODEL} on the first {BANDS} test bands, {TOGETHER} at a time",
    sides=SIDES,
    cases=cases,
    rates=("structures", "triplets"),
    devices=("cpu", "cuda"),
    conclude=conclude,
)

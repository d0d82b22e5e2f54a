"""Workload ``memory``: what MODEL-3 takes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from linegraph.nn import set_recompute

from . import bars
from .compare import Case, Measured, Options, Side, Workload
from .graphs import bands, garnet
from .layer import same
from .model import INFERENCE, MODEL, TOLERANCE, TRAINING, difference
from .passes import Batches, Pass, new_model
from .sides import (
    LITERAL,
    OURS,
    ROWS_OF_MODEL,
    backend_of,
    backend_sides,
    literal_side,
    our_side,
    too_large,
)

#: Bands at once, and the published width.
BANDS, WIDTH = 4, 256

RECOMPUTE, COMPILED = "recompute", "compiled"

#: How many times ours the published algorithm must take, and what the large cell may take (GiB).
BAR, LARGE_BAR = 8.0, 8.0

#: Where a case's only side is ours.
ALONE = "ours only"

SIDES = (
    our_side(),
    Side(RECOMPUTE, "ours after linegraph.nn.set_recompute(model)"),
    *(side for side in backend_sides() if side.name == COMPILED),
    literal_side(),
)


def cases(options: Options) -> Iterator[Case]:
    """A few bands at once, with and without backward, and inference of one large cell."""
    hidden = options.hidden or (8 if options.quick else WIDTH)
    batches = Batches(bands(options, 1 if options.quick else BANDS), BANDS, options.device)
    for name in (TRAINING, INFERENCE):
        yield _case(f"{name}, {len(batches.graphs)} bands", name, hidden, batches, options)
    if not options.quick:
        large = Batches([garnet(options)], 1, options.device)
        atoms = large.graphs[0].num_nodes
        yield _case(f"{INFERENCE}, {atoms:,} atoms", INFERENCE, hidden, large, options, ALONE)


def _case(
    name: str, task: str, hidden: int, batches: Batches, options: Options, others: str = ""
) -> Case:
    backward = task == TRAINING

    # All that a run works on is there before memory is looked at.
    model, sparing = (new_model(MODEL, hidden, options.device) for _ in range(2))
    set_recompute(sparing)
    graphs = batches.ours()
    copies = graphs if others else batches.literal()
    runs = {
        side.name: Pass(
            partial(same, sparing if side.name == RECOMPUTE else model),
            partial(same, copies if side.name == LITERAL else graphs),
            "auto" if side.name == RECOMPUTE else backend_of(side.name),
            backward,
        )
        for side in SIDES
    }
    triplets = batches.triplets(SIDES) | {RECOMPUTE: 0}
    left_out = {side.name: others for side in SIDES[1:] if others}
    if not backward:
        left_out[RECOMPUTE] = "is ours"
    return Case(
        name=name,
        sizes={**batches.sizes, "width": hidden},
        runs=runs,
        difference=difference,
        tolerance=TOLERANCE,
        left_out=too_large(triplets, hidden, options, ROWS_OF_MODEL[backward]) | left_out,
    )


def conclude(rows: Sequence[Measured]) -> list[str]:
    """The bars."""
    found = []
    for row in rows:
        ours = row.memory.get(OURS)
        if row.case.left_out.get(LITERAL) == ALONE:
            gib = None if ours is None else ours / 1024
            found.append(bars.at_most(row.case.name, LARGE_BAR, gib, "GiB"))
        elif row.case.name.startswith(TRAINING):
            less = bars.smaller(row, LITERAL)
            found.append(bars.at_least(f"{row.case.name}, memory of {LITERAL}", BAR, less))
    return found


WORKLOAD = Workload(
    name="memory",
    summary=f"peak memory of {MODEL}, {BANDS} test bands at once, and of one large cell",
    sides=SIDES,
    cases=cases,
    devices=("cpu", "cuda"),
    memory=True,
    conclude=conclude,
)

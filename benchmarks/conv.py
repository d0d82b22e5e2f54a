"""Workload ``conv``: one edge-gated convolution on the line graph of real bands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial

from linegraph import CrystalGraph

from . import bars
from .compare import Case, Measured, Options, Side, Workload
from .graphs import bands, with_triplets
from .layer import Run, distinct_problem, literal_problem, new_layer, same
from .passes import literal_triplets
from .peer_layers import PeerConv, check_conv, needs_layers
from .sides import (
    LITERAL,
    OURS,
    ROWS_OF_LAYER,
    backend_of,
    backend_sides,
    doubles,
    literal_side,
    our_side,
    relative_difference,
    too_large,
)

#: Distinct triplets, about.
SIZES, QUICK = (10_000, 100_000, 1_000_000, 10_000_000), (1_000,)

#: Width of bands, bonds and angles.
WIDTHS = (64, 256)

#: Single precision. Ours stays within 1e-6 of double precision; PyTorch's batch norm, which the
#: published layer has, sums up to a million rows less exactly.
TOLERANCE = 1e-2

#: How many times ours the peer's layer must take, at :data:`BAR_SIZE` triplets and more.
BARS = {"cpu": 2.0, "cuda": 3.0}
BAR_SIZE = 1_000_000

#: Most triplets on which the peer's layer is compared with ours.
CHECKED = 100_000

FORWARD, BOTH = "forward", "forward+backward"

SIDES = (
    our_side(),
    *backend_sides(),
    literal_side(),
    Side(
        "alignn",
        "the layer of the peer package, on our graph",
        needs_layers,
        same=False,
        note="which has layer norms where the published layer has batch norms, and no "
        "multiplicities",
    ),
)


def cases(options: Options) -> Iterator[Case]:
    """Forward, and forward and backward, of every size and width that fits into memory."""
    some = bands(options, 1 if options.quick else 64)
    for size in QUICK if options.quick else SIZES:
        graph = with_triplets(some, size)
        for width in options.widths(WIDTHS):
            yield from _cases(graph, size, width, options)


def _cases(graph: CrystalGraph, size: int, width: int, options: Options) -> Iterator[Case]:
    literal = literal_triplets(graph)
    triplets = {side.name: graph.num_triplets for side in SIDES} | {LITERAL: literal}
    if OURS in too_large({OURS: graph.num_triplets}, width, options, ROWS_OF_LAYER[True]):
        return
    layer = new_layer(width, options.device)
    ours = distinct_problem(graph, width, options.device)
    about = f"T = {size:.0e}, width {width}"
    notes = []
    if not needs_layers(options) and graph.num_triplets <= CHECKED:
        found = check_conv(layer, ours.x, ours.edges, ours.z)
        notes.append(
            f"{about}: with normalisations taken out and all weights 1, linear maps, gates, sums, "
            f"SiLU and residuals of alignn are ours, largest difference {found:.1e}."
        )
    problems = {LITERAL: cache(lambda: literal_problem(graph, ours))}
    layers = {"alignn": cache(lambda: PeerConv(layer))}
    for name in (FORWARD, BOTH):
        runs = {
            side.name: Run(
                layers.get(side.name, partial(same, layer)),
                problems.get(side.name, partial(same, ours)),
                backend_of(side.name),
                backward=name == BOTH,
            )
            for side in SIDES
        }
        yield Case(
            name=f"{name}, {about}",
            sizes={"triplets": graph.num_triplets, "literal": literal, "bonds": graph.num_bonds},
            runs=runs,
            difference=relative_difference,
            tolerance=TOLERANCE,
            figures=partial(_bar, size, options),
            left_out=too_large(triplets, width, options, ROWS_OF_LAYER[name == BOTH])
            | doubles(options),
            notes=notes if name == FORWARD else [],
        )


def _bar(size: int, options: Options, results: object) -> dict[str, float]:
    return {"bar, alignn / ours": BARS[options.device]} if size >= BAR_SIZE else {}


def conclude(rows: Sequence[Measured]) -> list[str]:
    """The bar against the peer's layer."""
    return [
        bars.at_least(f"{row.case.name}, against alignn", bar, bars.faster(row, "alignn"))
        for row in rows
        for bar in row.figures.values()
    ]


WORKLOAD = Workload(
    name="conv",
    summary="one edge-gated convolution on the line graph of bands (forward: evaluation mode)",
    sides=SIDES,
    cases=cases,
    rates=("triplets",),
    devices=("cpu", "cuda"),
    conclude=conclude,
)

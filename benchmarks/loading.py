"""Workload ``loading``: the batches of an epoch, from the cache and built anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from linegraph import LineGraph
from training.batches import EpochBatches, Part, loader, triplet_budget
from training.graphs import GraphSet, build_graphs, load_graphs
from training.read import BandSet
from training.recipe import Recipe, load_recipe

from .compare import Case, Options, Side, Workload
from .shapes import PUBLISHED_TEST, some_bands

VIEWS = ("band",)


def batches(graphs: GraphSet, recipe: Recipe) -> Iterator[list[Part]]:
    """The batches of one epoch, in the parts that training passes through the model."""
    order = EpochBatches(
        range(len(graphs.graphs)),
        graphs.triplets,
        recipe.batch_size,
        triplet_budget(recipe),
        shuffle=True,
        seed=recipe.seed,
    )
    yield from loader(graphs, [0.0] * len(graphs.graphs), order)


def cases(options: Options) -> Iterator[Case]:
    """Batches alone, then with the line graphs that the model makes of each."""
    found = some_bands(options.data, PUBLISHED_TEST)
    bands = BandSet(
        found.bands[: 4 if options.quick else None], found.skipped, found.path, found.fingerprint
    )
    recipe = load_recipe("model-3")
    with TemporaryDirectory() as folder:
        cache = Path(folder)

        def cached() -> GraphSet:
            return load_graphs(
                bands.bands,
                bands.fingerprint,
                VIEWS,
                recipe.graph_settings,
                cache=cache,
                workers=0,
                progress=False,
            )

        def anew() -> GraphSet:
            return build_graphs(bands.bands, VIEWS, recipe.graph_settings)

        sizes = {"structures": len(bands.bands), "triplets": sum(cached().triplets)}
        for name, with_lines in (("batches", False), ("batches and line graphs", True)):
            yield Case(
                name=name,
                sizes=sizes,
                runs={
                    "cached": _epoch(cached, recipe, with_lines),
                    "built anew": _epoch(anew, recipe, with_lines),
                },
                difference=largest_difference,
            )


def _epoch(
    graphs: Callable[[], GraphSet], recipe: Recipe, with_lines: bool
) -> Callable[[], list[list[Part]]]:
    add_lines = LineGraph()

    def run() -> list[list[Part]]:
        epoch = list(batches(graphs(), recipe))
        if with_lines:
            for batch in epoch:
                for part in batch:
                    for view in VIEWS:
                        part[view] = add_lines(part[view])
        return epoch

    return run


def largest_difference(ours: list[list[Part]], other: list[list[Part]]) -> float:
    """Of any number in any tensor; infinite where shapes or counts differ."""
    if [len(batch) for batch in ours] != [len(batch) for batch in other]:
        return float("inf")
    largest = 0.0
    for batch, theirs in zip(ours, other, strict=True):
        for part, their in zip(batch, theirs, strict=True):
            for one, two in zip(_tensors(part), _tensors(their), strict=True):
                if one.shape != two.shape:
                    return float("inf")
                if one.numel():
                    largest = max(largest, float((one.double() - two.double()).abs().max()))
    return largest


def _tensors(part: Part) -> list[Tensor]:
    fields: dict[str, Any] = {"target": part["target"], "position": part["position"]}
    for view in VIEWS:
        fields |= {name: part[view][name] for name in sorted(part[view].keys())}
    return [value for value in fields.values() if isinstance(value, Tensor)]


WORKLOAD = Workload(
    name="loading",
    summary="data loading alone: the budgeted batches of one epoch of MODEL-3",
    sides=(
        Side("cached", "graphs from the cache on disk"),
        Side("built anew", "graphs built from the structures"),
    ),
    cases=cases,
    rates=("structures", "triplets"),
)

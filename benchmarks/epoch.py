"""Workload ``epoch``: whole training epochs, and the share of them that is data loading."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from training.callbacks import read_history
from training.data import load_bands
from training.fit import Machine
from training.graphs import load_graphs
from training.recipe import Recipe, load_recipe
from training.records import write_bands
from training.train import train

from .compare import Case, Options, Side, Workload
from .loading import VIEWS, batches
from .shapes import PUBLISHED, some_bands

#: Records of an epoch, and epochs of a run: the first one also warms up.
RECORDS, EPOCHS = 16, 3

#: All records are trained on, none held out.
EVERYTHING = {"split": "random", "val": 0.0, "test": 0.0, "epochs": EPOCHS, "keep": "last"}

#: Sizes under which an epoch takes a fraction of a second.
TINY = {"hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 8, "head": 8}


def cases(options: Options) -> Iterator[Case]:
    """The recipes ``small`` and ``model-3`` as they are, on the same records."""
    bands = [b for b in some_bands(options.data, PUBLISHED).bands if b.target is not None]
    with TemporaryDirectory() as folder, _cache(Path(folder) / "cache"):
        data = Path(folder) / "bands.json"
        write_bands(data, bands[: 4 if options.quick else RECORDS])
        for name in ("small",) if options.quick else ("small", "model-3"):
            changes: dict[str, Any] = dict(EVERYTHING)
            if options.quick:
                changes |= TINY
            if options.hidden is not None:
                changes["hidden"] = options.hidden
            yield _case(name, load_recipe(name).changed(changes), data, options.device)


def _case(name: str, recipe: Recipe, data: Path, device: str) -> Case:
    bands = load_bands(data)
    graphs = load_graphs(bands.bands, bands.fingerprint, VIEWS, recipe.graph_settings, workers=0)

    def run() -> list[dict[str, Any]]:
        with TemporaryDirectory() as folder:
            machine = Machine(device, workers=0, progress=False)
            train(Path(folder) / "run", recipe, data=data, machine=machine)
            return read_history(Path(folder) / "run" / "history.csv")

    def figures(results: Mapping[str, Any]) -> dict[str, float]:
        seconds = median(row["seconds"] for row in results["ours"][1:])
        start = time.perf_counter()
        for _ in range(EPOCHS):
            for _ in batches(graphs, recipe):
                pass
        loading = (time.perf_counter() - start) / EPOCHS
        return {
            "s / epoch": seconds,
            "triplets/s": sum(graphs.triplets) / seconds,
            "% loading": 100 * loading / seconds,
        }

    return Case(
        name=f"{name}, hidden {recipe.hidden}",
        sizes={"structures": len(bands.bands), "triplets": sum(graphs.triplets)},
        runs={"ours": run},
        figures=figures,
    )


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Graphs are cached there, and nothing in the user's own cache."""
    before = os.environ.get("LINEGRAPH_CACHE")
    os.environ["LINEGRAPH_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["LINEGRAPH_CACHE"]
        else:
            os.environ["LINEGRAPH_CACHE"] = before


WORKLOAD = Workload(
    name="epoch",
    summary=f"a training of {EPOCHS} epochs on {RECORDS} bands, start, loading and report included",
    sides=(Side("ours", "training.train.train, what `linegraph train` runs"),),
    cases=cases,
    devices=("cpu", "cuda"),
)

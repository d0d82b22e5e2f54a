"""What tests have several processes do: ``torchrun`` starts this file, or one process calls it.

Arguments: a folder to write, the cases, and data of bands and of crystals.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from linegraph.models import PUBLISHED
from tests.bands import TINY, some_bands
from tests.property_data import TINY_MPT
from training import recipe as recipes
from training.fit import Machine
from training.graphs import load_graphs
from training.pretrain import pretrain
from training.protocols import Protocol
from training.ranks import here, joined, one_a_machine_first, wait
from training.recipe import Recipe, load_recipe
from training.shards import Joined, Shard
from training.train import train

#: In double precision Adam has no rounding noise to divide by its own size: a bias before a
#: normalisation has no gradient, and in single precision wanders.
DOUBLE = "64-true"

BAND = {"model": "BAND-1", "loss": "root", "trees": 4, "leaves": 8, "supports": 8}

BANDS: dict[str, dict[str, Any]] = {
    # Several passes a step, computed again in the backward pass, clipped, best weights kept.
    "parts": {"hidden": 64, "memory_gib": 0.05, "batch_size": 6, "recompute": True, "clip": 0.1},
    # One process has no share in any step.
    "alone": {"batch_size": 1, "epochs": 1, "val": 0.1},
    "folds": {"batch_size": 5, "epochs": 1},
    **{name: {"model": name} for name in PUBLISHED if name not in ("MPT", "MODEL-4")},
    # Trees and a kernel machine, which every process makes by itself; one has no share in a step.
    "BAND-1": {**BAND, "batch_size": 1, "epochs": 1, "val": 0.1},
    "frozen": {"freeze": ["embeddings"], "unfreeze_at": 1},
}
CRYSTALS: dict[str, dict[str, Any]] = {
    name: {"balance": name} for name in ("none", "count", "uncertainty")
}
QUIET = Machine("cpu", workers=0, progress=False)


def run(out: Path, cases: list[str], bands: Path, crystals: Path) -> None:
    """Train once a case, each into a folder of its name."""
    choices = recipes.CHOICES["precision"]
    recipes.CHOICES["precision"] = (*choices, DOUBLE)
    try:
        for name in cases:
            if name in CRYSTALS:
                recipe = load_recipe("mpt-small").changed({**TINY_MPT, **CRYSTALS[name]})
                recipe = recipe.changed({"precision": DOUBLE})
                pretrain(out / name, recipe, crystals, machine=QUIET)
                continue
            values = {**TINY, "lr": 0.01, **BANDS[name], "precision": DOUBLE}
            recipe = Recipe("").changed(values)
            protocol = Protocol(folds=2) if name == "folds" else None
            # Processes draw for records of their own, so that dropout would make them differ.
            with patch.object(nn.Dropout, "forward", lambda _, x: x):
                train(out / name, recipe, data=bands, protocol=protocol, machine=QUIET)
    finally:
        recipes.CHOICES["precision"] = choices


def kept(cache: Path) -> dict[str, Any]:
    """How this process holds the graphs of bands that another one may have built."""
    settings = Recipe("").graph_settings
    graphs = one_a_machine_first(
        lambda: load_graphs(some_bands(), "f", ("band",), settings, cache=cache, progress=False)
    )
    for record in range(len(graphs.graphs)):
        assert int(graphs.graphs[record]["band"]["z"].sum()) > 0
    wait()
    maps = Path("/proc/self/smaps")
    text = maps.read_text(encoding="utf-8") if maps.is_file() else ""
    sizes: dict[str, int] = {}
    for block in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text):
        if str(cache) in block:
            for name, kilobytes in re.findall(r"(?m)^(\w+): +(\d+) kB", block):
                sizes[name] = sizes.get(name, 0) + int(kilobytes)
    wait()
    assert isinstance(graphs.graphs, Joined)
    return {"shards": all(isinstance(part, Shard) for part, _ in graphs.graphs.where), **sizes}


def main() -> None:
    out, cases, bands, crystals = sys.argv[1:]
    torch.set_num_threads(1)
    folder = Path(out)
    with joined():
        run(folder, cases.split(","), Path(bands), Path(crystals))
        rank = here()
        (folder / f"{rank.rank}.json").write_text(
            json.dumps({"count": rank.count, "graphs": kept(folder / "cache")})
        )


if __name__ == "__main__":
    main()

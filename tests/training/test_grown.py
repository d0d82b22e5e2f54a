"""Trees and kernel machine of BAND-1 learn from training records, and from no others."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import linegraph
from linegraph.models import BandModel
from linegraph.reversal import reversed_features
from linegraph.roots import signed_square
from tests.bands import TINY, some_bands
from tests.tuning import QUIET, TARGETS, differing, graphs_of, state_of
from training.copies import features_of_copies
from training.graphs import GraphSet
from training.grown import grow_parts
from training.predict import predict
from training.recipe import Recipe
from training.records import write_bands
from training.train import train

RECIPE = Recipe(summary="").changed(
    {
        **TINY,
        "model": "BAND-1", "loss": "root", "trees": 20, "leaves": 32, "supports": 32, "epochs": 1,
        "keep": "last",
    }
)  # fmt: skip
TRAINING = [7, 0, 1, 2, 3, 4, 5, 6]
GRAPHS = graphs_of(BandModel.views)


def grown(
    graphs: GraphSet = GRAPHS,
    targets: Tensor = TARGETS,
    seed: int = 3,
    copies: Tensor | None = None,
    **config: Any,
) -> BandModel:
    torch.manual_seed(0)
    model = linegraph.build_model("BAND-1", **{**RECIPE.model_config, **config})
    assert isinstance(model, BandModel)
    grow_parts(model, graphs, targets, TRAINING, seed, copies)
    return model


COPIES = features_of_copies(some_bands(), 2)


def shifted(shift: float) -> GraphSet:
    """Graphs of which the held-out records have other features."""
    records = []
    for position, record in enumerate(GRAPHS.graphs):
        path = record["path"].clone()
        if position not in TRAINING:
            path["features"] = path["features"] + shift
        records.append({"path": path})
    return GraphSet(("path",), records, [0] * len(records))


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0)])
def test_they_know_their_training_records(shares: tuple[float, float]) -> None:
    model = grown(tree_share=shares[0], machine_share=shares[1])
    found = torch.tensor(predict(model, GRAPHS, TRAINING))
    expected = TARGETS[TRAINING]
    assert (found - expected).abs().mean() < 0.1
    assert (found - expected).abs().mean() < 0.3 * (expected - expected.mean()).abs().mean()


def test_both_ways_of_every_hop_were_learned() -> None:
    """Trees with room for all records tell each of them by heart, there and back."""
    model = grown()
    features = torch.cat([GRAPHS.graphs[p]["path"]["features"] for p in TRAINING])
    for way in (features, reversed_features(features)):
        barrier = signed_square(model.forest(way).mean(1))
        # Two records a leaf at least: the two ways, and of this compound not much more.
        torch.testing.assert_close(barrier, TARGETS[TRAINING], rtol=0, atol=0.03)


def test_negative_barriers() -> None:
    model = grown(targets=-TARGETS, tree_share=1.0, machine_share=0.0)
    found = torch.tensor(predict(model, GRAPHS, TRAINING))
    torch.testing.assert_close(found, -TARGETS[TRAINING], rtol=0, atol=0.1)


def test_seeds() -> None:
    first, again, other = grown(), grown(), grown(seed=4)
    assert not differing(first.state_dict(), again.state_dict())
    assert "forest.threshold" in differing(first.state_dict(), other.state_dict())


def test_nothing_of_held_out_records_enters() -> None:
    targets = TARGETS.clone()
    held_out = [p for p in range(12) if p not in TRAINING]
    targets[held_out] = 100.0
    ours = grown().state_dict()
    assert not differing(ours, grown(shifted(5.0), targets).state_dict())
    targets[TRAINING[0]] += 0.5
    changed = differing(ours, grown(targets=targets).state_dict())
    assert {"forest.value", "machine.weight"} <= changed


def test_copies_are_learned_from() -> None:
    """By the trees all of them, by a machine the first; ranks are those among all."""
    ours, with_copies = grown(supports=64), grown(supports=64, copies=COPIES)
    changed = differing(ours.state_dict(), with_copies.state_dict())
    assert {"forest.threshold", "machine.quantile", "machine.weight"} <= changed
    second = COPIES.clone()
    second[:, 1] += 0.5
    other = grown(supports=64, copies=second)
    changed = differing(with_copies.state_dict(), other.state_dict())
    assert {"forest.threshold", "machine.quantile"} <= changed
    # Those of the records and of the first copy, there and back.
    held = [int(model.machine.weight.any(0).sum()) for model in (ours, with_copies, other)]
    assert held[0] <= 2 * len(TRAINING) < held[1] <= 4 * len(TRAINING) and held[2] <= held[1] + 2


def test_ranks_do_not_jump() -> None:
    """Also where many records and copies have the same number, as an element's class is."""
    machine = grown(copies=COPIES).machine
    features = torch.cat([GRAPHS.graphs[p]["path"]["features"] for p in TRAINING])
    off = (machine.scores(features + 1e-5) - machine.scores(features)).abs()
    assert 0 < off.max() < 0.02


def test_copies_of_held_out_records_do_not_enter() -> None:
    others = COPIES.clone()
    others[[p for p in range(12) if p not in TRAINING]] += 5.0
    ours, theirs = (grown(copies=copies).state_dict() for copies in (COPIES, others))
    assert not differing(ours, theirs)


def test_records_outweigh_their_copies() -> None:
    """Copies that lie where another record does are told from it by what they weigh."""
    swapped = torch.stack([GRAPHS.graphs[p]["path"]["features"] for p in range(12)]).flip(0)
    targets = TARGETS.clone()
    model = grown(copies=swapped, tree_share=1.0, machine_share=0.0)
    found = torch.tensor(predict(model, GRAPHS, TRAINING))
    mirrored = targets.flip(0)[TRAINING]
    assert (found - targets[TRAINING]).abs().mean() < 0.5 * (found - mirrored).abs().mean()


def test_a_run_learns_nothing_from_held_out_targets(tmp_path: Path) -> None:
    bands = some_bands()
    write_bands(tmp_path / "a.json", bands)
    train(tmp_path / "a", RECIPE, data=tmp_path / "a.json", machine=QUIET)
    with (tmp_path / "a" / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        held_out = {row["sys_name"] for row in csv.DictReader(stream) if row["split"] == "test"}
    assert len(held_out) >= 2
    others = [replace(b, target=9.0) if b.name in held_out else b for b in bands]
    write_bands(tmp_path / "b.json", others)
    train(tmp_path / "b", RECIPE, data=tmp_path / "b.json", machine=QUIET)
    assert not differing(state_of(tmp_path / "a"), state_of(tmp_path / "b"))

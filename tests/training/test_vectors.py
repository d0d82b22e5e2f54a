"""What a frozen trunk says, computed once."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import linegraph
from linegraph.models import BandModel
from linegraph.weights import load_weights
from tests.bands import TINY, data_file, some_bands
from tests.tuning import QUIET, differing, graphs_of, state_of
from training import train as training
from training.callbacks import History
from training.graphs import build_graphs
from training.predict import predict
from training.protocols import Protocol
from training.recipe import Recipe, load_recipe
from training.train import evaluate, train
from training.transfer import apply_start, read_start
from training.vectors import never_learns, with_vectors

RECIPE = Recipe(summary="").changed(
    {
        **TINY,
        "model": "BAND-1", "loss": "root", "trees": 4, "leaves": 8, "supports": 8,
        "pretrained": True, "freeze": "trunk", "keep": "last",
    }
)  # fmt: skip
GRAPHS = graphs_of(BandModel.views)


@pytest.fixture(scope="module")
def model(mpt: Path) -> BandModel:
    """With the trunk of the pre-training."""
    start = read_start(mpt, RECIPE)
    assert start is not None
    torch.manual_seed(0)
    model = linegraph.build_model("BAND-1", **RECIPE.model_config)
    apply_start(model, start, RECIPE)
    assert isinstance(model, BandModel)
    return model


def said(model: BandModel, position: int) -> Tensor:
    """By the trunk, of a record by itself."""
    with torch.no_grad():
        return model.eval().vectors(GRAPHS.graphs[position])


def test_vectors_are_what_the_trunk_says(model: BandModel) -> None:
    model.train()  # normalised by running statistics all the same
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = with_vectors(GRAPHS, model, RECIPE, QUIET)
    assert found.views == ("path",)
    assert found.triplets == [0] * 12
    assert len(found.graphs) == 12
    for position in (7, 0, 11):
        path = found.graphs[position]["path"]
        torch.testing.assert_close(path["vectors"], said(model, position), rtol=1e-4, atol=1e-5)
        assert torch.equal(path["edge_vec"], GRAPHS.graphs[position]["path"]["edge_vec"])
        assert not path["vectors"].is_inference()
        assert "vectors" not in GRAPHS.graphs[position]["path"]
    assert not differing(model.state_dict(), before)
    assert predict(model, found) == pytest.approx(predict(model, GRAPHS), abs=1e-5)


def test_in_whatever_company(model: BandModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = with_vectors(GRAPHS, model, RECIPE, QUIET)
    monkeypatch.setattr("training.predict.BUDGET", 1)
    alone = with_vectors(GRAPHS, model, RECIPE, QUIET)
    for one, other in zip(whole.graphs, alone.graphs, strict=True):
        torch.testing.assert_close(one["path"]["vectors"], other["path"]["vectors"])


@pytest.mark.parametrize(
    "changes",
    [
        {"freeze": []},
        {"freeze": ["embeddings", "alignn_layers"]},
        {"freeze": ["head"]},
        {"freeze": ["trunk"], "unfreeze_at": 1},
    ],
)
def test_a_trunk_that_will_learn(changes: dict[str, Any], model: BandModel) -> None:
    recipe = RECIPE.changed(changes)
    assert not never_learns(recipe)
    assert with_vectors(GRAPHS, model, recipe, QUIET) is GRAPHS


def test_other_models_are_given_their_graphs() -> None:
    other = linegraph.build_model("MODEL-3", **{k: TINY[k] for k in ("hidden", "head")})  # type: ignore[arg-type]
    assert never_learns(RECIPE)
    assert with_vectors(GRAPHS, other, RECIPE, QUIET) is GRAPHS


def test_our_recipe_computes_them_once() -> None:
    recipe = load_recipe("band-1")
    assert recipe.model == "BAND-1" and recipe.pretrained
    assert never_learns(recipe)


def test_resumed_run_gives_the_same_bytes(
    mpt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout and displaced atoms; the file says of structures what the run said."""
    data = data_file(tmp_path / "bands.json")
    recipe = RECIPE.changed({"jitter": 0.02})

    def press(self: History, trainer: Any, *args: Any) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    def run(name: str, **more: Any) -> dict[str, Any]:
        return train(tmp_path / name, recipe, data=data, init=mpt, machine=QUIET, **more)

    whole = run("whole")
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_end", press)
        with pytest.raises(KeyboardInterrupt):
            run("run")
    assert run("run", resume=True) == whole
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run")]
    assert files[0] == files[1]
    # The trunk is that of the start; scales, trees and machine are in the file.
    theirs, ours = state_of(mpt), state_of(tmp_path / "run")
    trunk = {name: tensor for name, tensor in ours.items() if name.startswith("trunk.")}
    assert not differing(trunk, {name: theirs[name] for name in trunk})
    assert (ours["width"] != 1).all() and (ours["forest.feature"] >= 0).any()
    assert (ours["machine.weight"] != 0).any()
    found = evaluate(tmp_path / "run", data, tmp_path / "e", machine=QUIET)
    means = [whole[part]["mae"] * whole[part]["n"] for part in ("train", "val", "test")]
    assert found["all"]["mae"] == pytest.approx(sum(means) / 12, abs=1e-5)


def test_without_a_start_the_trunk_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model of a run then has a trunk of its own, which other vectors would not fit."""
    monkeypatch.setattr(training, "with_vectors", lambda *_: pytest.fail("no start"))
    data = data_file(tmp_path / "bands.json")
    recipe = RECIPE.changed({"pretrained": False, "epochs": 1})
    whole = train(tmp_path / "run", recipe, data=data, machine=QUIET)
    found = evaluate(tmp_path / "run", data, tmp_path / "e", machine=QUIET)
    means = [whole[part]["mae"] * whole[part]["n"] for part in ("train", "val", "test")]
    assert found["all"]["mae"] == pytest.approx(sum(means) / 12, abs=1e-5)


def test_folds_say_of_structures_what_they_said_of_vectors(mpt: Path, tmp_path: Path) -> None:
    data = data_file(tmp_path / "bands.json")
    recipe = RECIPE.changed({"epochs": 1})
    train(tmp_path / "run", recipe, data=data, init=mpt, protocol=Protocol(folds=2), machine=QUIET)
    with (tmp_path / "run" / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        told = {row["sys_name"]: row for row in csv.DictReader(stream)}
    assert len(told) == 12
    checked: set[str] = set()
    for fold in (1, 2):
        weights = load_weights(tmp_path / "run" / f"fold-{fold}")
        graphs = build_graphs(some_bands(), weights.model.views, weights.graph_settings)
        for band, value in zip(some_bands(), predict(weights.model, graphs), strict=True):
            if told[band.name]["fold"] == str(fold):
                assert float(told[band.name]["prediction_eV"]) == pytest.approx(value, abs=1e-4)
                checked.add(band.name)
    assert checked == set(told)
    assert (tmp_path / "run" / "model.safetensors").is_file()

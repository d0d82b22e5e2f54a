"""Starting from the weights of another run."""

from __future__ import annotations

import hashlib
import inspect
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import linegraph
from linegraph.weights import load_weights, save_weights
from tests.errors import message_of
from tests.tuning import (
    QUIET,
    RECIPE,
    STILL,
    TARGETS,
    TRUNK,
    differing,
    graphs_of,
    state_of,
    tune,
    weights,
)
from training.fit import barrier_task
from training.predict import predict
from training.protocols import Protocol
from training.recipe import Recipe, load_recipe, recipe_names
from training.settings import parse_settings
from training.train import train
from training.transfer import apply_start, read_start

TUNED = [name for name in linegraph.models() if name not in ("MPT", "ALIGNN", "BAND-1")]


# --- reading --------------------------------------------------------------------------------------


def test_no_weights() -> None:
    assert read_start(None, RECIPE) is None
    message = message_of(lambda: read_start(None, RECIPE.changed({"pretrained": True})))
    assert "--init" in message
    assert "--set pretrained=false" in message


@pytest.mark.parametrize("pretrained", [False, True])
def test_file_or_folder(pretrained: bool, mpt: Path) -> None:
    recipe = RECIPE.changed({"pretrained": pretrained})
    for path in (mpt, mpt.parent, str(mpt)):
        start = read_start(path, recipe)
        assert start is not None
        assert start.path == mpt
        assert start.fingerprint == hashlib.sha256(mpt.read_bytes()).hexdigest()
        assert start.weights.name == "MPT"


DIFFERENT: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {"hidden": 16, "embedding": 4}),
    ({}, {}, {"alignn_layers": 2, "conv_layers": 0}),  # 1 there, which is not true
    ({"alignn_layers": 0, "conv_layers": 2}, {}, {}),  # 0 there, which is not false
    ({}, {}, {"max_neighbors": 8, "canonical": True, "shell_tol": 1e-8}),
    ({}, {"canonical": True, "max_neighbors": 1}, {}),
    ({}, {"lattice_decimals": 5, "shell_tol": 1e-8}, {}),
    ({}, {"lattice_decimals": 0, "shell_tol": 1}, {"lattice_decimals": 1}),
    ({}, {}, {"lattice_decimals": 5}),
    ({"head": 4}, {}, {"new_head": False}),
]


@pytest.mark.parametrize(("config", "settings", "changes"), DIFFERENT)
def test_differences_are_listed_with_what_undoes_them(
    config: dict[str, Any], settings: dict[str, Any], changes: dict[str, Any], tmp_path: Path
) -> None:
    name = "MPT" if changes.get("new_head", True) else "MODEL-3"
    file = weights(tmp_path / "model.safetensors", name, config, settings)
    recipe = RECIPE.changed(changes)
    ours = {**recipe.model_config, **recipe.graph_settings}
    theirs = {**RECIPE.model_config, **RECIPE.graph_settings, **config, **settings}
    different = {key for key in ours if ours[key] != theirs[key]}
    assert different

    message = message_of(lambda: read_start(tmp_path, recipe))
    assert message.startswith(f"{file}: ")
    for key in ours:
        listed = f"{key} is {theirs[key]!r} there, {ours[key]!r} here" in message
        assert listed == (key in different)
    words = shlex.split(message.partition("To follow it: ")[2])
    assert words[::2] == ["--set"] * len(different)
    followed = recipe.changed(parse_settings(words[1::2]))
    start = read_start(tmp_path, followed)
    assert start is not None
    model = linegraph.build_model(followed.model, **followed.model_config)
    apply_start(model, start, followed)


def test_other_heads_do_not_matter_to_a_new_head(tmp_path: Path) -> None:
    file = weights(tmp_path / "model.safetensors", config={"head": 3, "properties": 2})
    assert read_start(file, RECIPE) is not None


@pytest.mark.parametrize("more", [{"bond_bins": 40}, {"bond_cutoff": 6.0}, {"angle_bins": 20}])
def test_sizes_that_no_recipe_has(more: dict[str, Any], tmp_path: Path) -> None:
    """Of a converted checkpoint, say: its Gaussians are not those of the model to be."""
    file = weights(tmp_path / "model.safetensors", config=more)
    message = message_of(lambda: read_start(file, RECIPE))
    assert f"{file}: " in message
    for key, value in more.items():
        assert f"{key} is {value!r}" in message
        assert "--set" not in message


def test_attention_that_no_recipe_has(tmp_path: Path) -> None:
    file = weights(tmp_path / "model.safetensors", "MODEL-4", {"heads": 2})
    recipe = RECIPE.changed({"model": "MODEL-4"})
    assert read_start(file, recipe) is not None
    message = message_of(lambda: read_start(file, recipe.changed({"new_head": False})))
    assert "heads is 2 there, which no recipe can set" in message


def test_sizes_that_say_the_default_are_fine(tmp_path: Path) -> None:
    more = {"bond_bins": 80, "angle_bins": 40, "bond_cutoff": 8.0}
    assert read_start(weights(tmp_path / "m.safetensors", config=more), RECIPE) is not None


def test_what_a_file_does_not_say_is_the_default(tmp_path: Path) -> None:
    """Defaults of recipes, models and graphs are the same ones, so that this cannot be wrong."""
    plain = Recipe(summary="")
    trunk = inspect.signature(linegraph.nn.ALIGNN).parameters
    model = inspect.signature(linegraph.build_model).parameters
    for key, value in plain.model_config.items():
        assert (trunk if key in trunk else model)[key].default == value
    band: Any = linegraph.build_model("BAND-1")
    own = Recipe(summary="", model="BAND-1")
    assert (own.hidden, own.head) == (
        band.networks[0].conv.hidden,
        band.head.inner[0].out_features,
    )
    assert own.networks == len(band.networks)
    assert (own.trees, own.leaves) == (band.forest.trees, band.forest.leaves)
    assert (own.supports, own.machines) == (band.machine.supports, band.machine.machines)
    assert (own.tree_share, own.machine_share) == (band.tree_share, band.machine_share)
    graph = inspect.signature(linegraph.views).parameters
    for key, value in plain.graph_settings.items():
        assert graph[key].default == value
    config = {key: value for key, value in RECIPE.model_config.items() if key != "embedding"}
    path = tmp_path / "model.safetensors"
    save_weights(path, linegraph.build_model("MPT", **config), "MPT", config, {})
    assert read_start(path, RECIPE.changed({"embedding": 64})) is not None
    message = message_of(lambda: read_start(path, RECIPE.changed({"shell_tol": 0.5})))
    assert "embedding is 64 there, 8 here; shell_tol is 0.001 there, 0.5 here" in message


@pytest.mark.parametrize("name", ["MPT", "MODEL-1-ADD", "SCRATCH-MODEL-3"])
def test_head_of_another_model_cannot_be_kept(name: str, tmp_path: Path) -> None:
    file = weights(tmp_path / "model.safetensors", name)
    message = message_of(lambda: read_start(file, RECIPE.changed({"new_head": False})))
    assert str(file) in message
    assert f"is a {name}, the recipe's model is MODEL-3" in message
    assert read_start(file, RECIPE) is not None


def test_a_model_without_a_trunk(mpt: Path, tmp_path: Path) -> None:
    """It takes nothing from a pre-training, but goes on where another of its kind stands."""
    own = {"model": "BAND-1", "trees": 4, "leaves": 8, "supports": 8, "epochs": 1}
    recipe = RECIPE.changed(own)
    message = message_of(lambda: read_start(mpt, recipe))
    assert message.startswith("field init: BAND-1 has no trunk that could come from other weights")
    first = tune(tmp_path / "first", recipe, None).state_dict()
    kept = RECIPE.changed({**own, "new_head": False})
    start = read_start(tmp_path / "first", kept)
    assert start is not None
    assert not differing(barrier_task(kept, TARGETS, start, 10).model.state_dict(), first)
    assert "is a MPT, the recipe's model is BAND-1" in message_of(lambda: read_start(mpt, kept))


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("scratch-")])
def test_scratch_models_have_other_graphs(name: str, mpt: Path) -> None:
    recipe = load_recipe(name).changed(
        {**RECIPE.model_config, "shell_tol": 1e-3, "lattice_decimals": None}
    )
    assert not recipe.pretrained
    message = message_of(lambda: read_start(mpt, recipe))
    assert "canonical is False there, True here" in message
    assert message.endswith("To follow it: --set canonical=false")


# --- copying --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", TUNED)
def test_every_model_takes_the_trunk_and_trains(model: str, mpt: Path, tmp_path: Path) -> None:
    recipe = RECIPE.changed({"model": model, "epochs": 1})
    start = read_start(mpt, recipe)
    assert start is not None
    theirs = state_of(mpt)
    torch.manual_seed(1)
    ours = linegraph.build_model(model, **recipe.model_config)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    apply_start(ours, start, recipe)
    after = ours.state_dict()
    trunk = {name for name in after if name.startswith("trunk.")}
    assert trunk == {name for name in theirs if name.startswith("trunk.")}
    for name, tensor in after.items():
        assert torch.equal(tensor, theirs[name] if name in trunk else before[name]), name
    assert differing(before, after) <= trunk
    # What a task starts from is that, and a head centred on the targets.
    task = barrier_task(recipe, TARGETS, start, 10)
    of_task = task.model.state_dict()
    assert all(torch.equal(of_task[name], theirs[name]) for name in trunk)
    torch.testing.assert_close(of_task["head.output.bias"], TARGETS.median()[None])

    found = tune(tmp_path / "run", recipe, mpt)
    assert all(torch.isfinite(tensor).all() for tensor in found.state_dict().values())
    assert load_weights(tmp_path / "run").name == model
    # The start itself is left as it was, for the next fold.
    assert not differing(start.weights.model.state_dict(), theirs)


def test_fine_tuning_starts_where_the_weights_are(mpt: Path, tmp_path: Path) -> None:
    after = tune(tmp_path / "run", RECIPE.changed({**STILL, "epochs": 1}), mpt).state_dict()
    theirs = state_of(mpt)
    for name in theirs:
        follows_data = name.rpartition(".")[2].startswith(("running_", "num_batches"))
        if name.startswith("trunk.") and not follows_data:
            torch.testing.assert_close(after[name], theirs[name], rtol=0, atol=1e-9)


def test_reset_norms(mpt: Path) -> None:
    recipe = RECIPE.changed({"norms": "reset"})
    start = read_start(mpt, recipe)
    assert start is not None
    model = linegraph.build_model(recipe.model, **recipe.model_config)
    apply_start(model, start, recipe)
    theirs = state_of(mpt)
    plain = {"running_mean": 0.0, "running_var": 1.0, "num_batches_tracked": 0}
    norms = 0
    for name, tensor in model.state_dict().items():
        if (last := name.rpartition(".")[2]) in plain:
            assert (tensor == plain[last]).all(), name
            norms += 1
        elif name.startswith("trunk."):
            assert torch.equal(tensor, theirs[name]), name
    assert norms == 3 * sum(isinstance(m, nn.BatchNorm1d) for m in model.modules()) > 0


def test_fine_tuning_of_a_fine_tuning(mpt: Path, tmp_path: Path) -> None:
    tune(tmp_path / "first", RECIPE.changed({"epochs": 1}), mpt)
    first = state_of(tmp_path / "first")

    other = RECIPE.changed({"model": "MODEL-4"})
    start = read_start(tmp_path / "first", other)
    assert start is not None
    of_task = barrier_task(other, TARGETS, start, 10).model.state_dict()
    for name, tensor in of_task.items():
        if name.startswith("trunk."):
            assert torch.equal(tensor, first[name]), name
    assert not torch.equal(of_task["head.lin1.weight"], first["head.lin1.weight"])

    again = RECIPE.changed({"new_head": False})
    start = read_start(tmp_path / "first", again)
    assert start is not None
    assert not differing(barrier_task(again, TARGETS + 5, start, 10).model.state_dict(), first)


def test_kept_model_on_a_frozen_trunk_says_what_it_said(mpt: Path, tmp_path: Path) -> None:
    before = tune(tmp_path / "first", RECIPE.changed({"epochs": 1, "lr": 0.05}), mpt)
    graphs = graphs_of(("band",))
    said = predict(before, graphs)
    kept = RECIPE.changed({**STILL, "new_head": False, "freeze": TRUNK})
    assert predict(tune(tmp_path / "kept", kept, tmp_path / "first"), graphs) == pytest.approx(
        said, abs=1e-6
    )
    new = replace(kept, new_head=True)
    assert predict(tune(tmp_path / "new", new, tmp_path / "first"), graphs) != pytest.approx(
        said, abs=1e-3
    )


# --- the command as a function --------------------------------------------------------------------


def test_resuming_needs_the_same_start(mpt: Path, data: Path, tmp_path: Path) -> None:
    recipe = RECIPE.changed({"epochs": 1})
    run = tmp_path / "run"
    file = tmp_path / "start.safetensors"
    file.write_bytes(mpt.read_bytes())
    found = train(run, recipe, data=data, init=file, machine=QUIET)
    before = (run / "model.safetensors").read_bytes()
    again = partial(train, run, recipe, data=data, machine=QUIET, resume=True)
    # It is the contents that count.
    assert again(init=mpt) == found
    assert (run / "model.safetensors").read_bytes() == before
    weights(file, seed=6)
    for init in (file, None):
        message = message_of(partial(again, init=init))
        assert str(run / "config.yaml") in message
        assert "init was '" in message
    assert (run / "model.safetensors").read_bytes() == before

    train(tmp_path / "scratch", recipe, data=data, machine=QUIET)
    resumed = partial(train, tmp_path / "scratch", recipe, data=data, machine=QUIET, resume=True)
    assert "init was None, now '" in message_of(partial(resumed, init=mpt))


def test_every_fold_starts_from_the_weights(mpt: Path, data: Path, tmp_path: Path) -> None:
    recipe = RECIPE.changed({"epochs": 1, "freeze": TRUNK, "lr": 0.05})
    train(tmp_path / "run", recipe, data=data, init=mpt, protocol=Protocol(folds=2), machine=QUIET)
    theirs = {k: v for k, v in state_of(mpt).items() if k.startswith("trunk.")}
    heads = []
    for fold in (1, 2):
        state = state_of(tmp_path / "run" / f"fold-{fold}")
        assert not differing({k: v for k, v in state.items() if k in theirs}, theirs)
        heads.append(state["head.lin1.weight"])
    assert not torch.equal(*heads)


@pytest.mark.parametrize("kind", ["truncated", "text", "missing"])
def test_unreadable_weights(kind: str, mpt: Path, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "start.safetensors"
    if kind == "truncated":
        file.write_bytes(mpt.read_bytes()[:-50])
    elif kind == "text":
        file.write_text("weights")
    run = partial(train, tmp_path / "run", RECIPE, data=data, init=file, machine=QUIET)
    assert message_of(run).startswith(f"{file}: ")
    assert not (tmp_path / "run").exists()

"""Which parts of a model learn, from when on and how fast."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

import linegraph
from tests.errors import message_of
from tests.interrupts import interrupted
from tests.tuning import RECIPE, SPLIT, STILL, TARGETS, TRUNK, differing, graphs_of, state_of, tune
from training.callbacks import History, read_history
from training.fit import barrier_task
from training.parts import PARTS, in_part
from training.predict import predict
from training.recipe import load_recipe
from training.task import BarrierTask
from training.train import train
from training.transfer import Freeze, learning_rate_factor, read_start

#: In all trunks of one and one layer: bonds after the last convolution and angles after the last
#: ALIGNN layer are read by nothing.
UNUSED = ("alignn_layers.0.bond_conv.norm_edges.", "conv_layers.0.norm_edges.")


@pytest.mark.parametrize("part", PARTS)
def test_frozen_parts_stay_as_they_are(part: str, mpt: Path, tmp_path: Path) -> None:
    """To the bit, running statistics and all, whatever the weight decay; others change."""
    recipe = RECIPE.changed(
        {"freeze": [part], "lr": 0.05, "weight_decay": 1.0, "clip": 1.0, "center": False}
    )
    start = read_start(mpt, recipe)
    torch.manual_seed(recipe.seed)
    before = barrier_task(recipe, TARGETS, start, 10).model.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    after = tune(tmp_path / "run", recipe, mpt).state_dict()
    changed = differing(before, after)
    for name in before:
        still = (
            in_part(name, part)
            or name.removeprefix("trunk.").startswith(UNUSED)
            or name.endswith("centers")
        )
        assert (name in changed) != still, name


def test_frozen_layers_normalise_by_running_statistics(mpt: Path, tmp_path: Path) -> None:
    """While training too, in every epoch: what is said there is what is said afterwards."""
    rows = {}
    said = {}
    for name, frozen in (("frozen", TRUNK), ("free", ())):
        recipe = RECIPE.changed({**STILL, "epochs": 3, "freeze": frozen})
        model = tune(tmp_path / name, recipe, mpt)
        rows[name] = [row["train_mae"] for row in read_history(tmp_path / name / "history.csv")]
        out = torch.tensor(predict(model, graphs_of(("band",)), SPLIT.train))
        said[name] = float((out - TARGETS[SPLIT.train]).abs().mean())
    assert rows["frozen"] == pytest.approx([said["frozen"]] * 3, abs=1e-6)
    assert rows["free"] != pytest.approx([said["free"]] * 3, abs=1e-3)


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """Weights at the end of every epoch of the runs of a test."""
    found: list[dict[str, Tensor]] = []
    write = History.on_train_epoch_end

    def keep(self: History, trainer: Any, module: Any) -> None:
        found.append({k: v.clone() for k, v in module.model.state_dict().items()})
        write(self, trainer, module)

    monkeypatch.setattr(History, "on_train_epoch_end", keep)
    return found


GRADUAL = {"freeze": TRUNK, "unfreeze_at": 2, "epochs": 4, "lr": 0.05}


def test_parts_that_thaw(mpt: Path, tmp_path: Path, epochs: list[dict[str, Tensor]]) -> None:
    tune(tmp_path / "run", RECIPE.changed(GRADUAL), mpt)
    theirs = state_of(mpt)
    steady = {
        name
        for name in theirs
        if name.startswith("trunk.")
        and not name.removeprefix("trunk.").startswith(UNUSED)
        and not name.endswith("centers")
    }
    assert len(epochs) == 4
    for state in epochs[:2]:
        assert all(torch.equal(state[name], theirs[name]) for name in steady)
    for one, next_ in ((epochs[1], epochs[2]), (epochs[2], epochs[3])):
        assert steady <= differing(one, next_)
    for one, next_ in pairwise(epochs):
        assert "head.lin1.weight" in differing(one, next_)


@pytest.mark.parametrize("model", ["MODEL-3", "MODEL-4"])
def test_resumed_before_and_after_thawing(model: str, mpt: Path, tmp_path: Path) -> None:
    recipe = RECIPE.changed(
        {**GRADUAL, "model": model, "freeze": (*TRUNK[:2], "head"), "lr_parts": {"two_body": 0.3}}
    )
    tune(tmp_path / "whole", recipe, mpt)
    for epoch in (1, 2, 3):
        run = tmp_path / f"run-{epoch}"
        with interrupted(epoch), pytest.raises(KeyboardInterrupt):
            tune(run, recipe, mpt)
        assert len(read_history(run / "history.csv")) == epoch
        tune(run, recipe, mpt, resume=True)
        name = "model.safetensors"
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("until", [None, 1])
@pytest.mark.parametrize("frozen", [(*TRUNK, "head"), ("embeddings", "two_body", "three_body")])
def test_something_must_learn(
    frozen: tuple[str, ...], until: int | None, mpt: Path, tmp_path: Path
) -> None:
    """In every epoch, so also before others thaw."""
    recipe = RECIPE.changed({"freeze": frozen, "unfreeze_at": until, "epochs": 2})
    if "head" in frozen:
        message = message_of(lambda: tune(tmp_path / "run", recipe, mpt))
        assert message.startswith("field freeze: ")
    else:
        tune(tmp_path / "run", recipe, mpt)


def test_a_run_that_cannot_learn_leaves_no_folder(tmp_path: Path) -> None:
    recipe = RECIPE.changed({"freeze": (*TRUNK, "head")})
    assert message_of(lambda: train(tmp_path / "run", recipe)).startswith("field freeze: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"freeze": []}, "is 2, but no part is frozen"),
        ({"epochs": 2}, "after 2 epochs, but the run has 2; null keeps them frozen"),
        ({"epochs": 1}, "after 2 epochs, but the run has 1"),
    ],
)
def test_a_run_in_which_nothing_thaws_leaves_no_folder(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    recipe = RECIPE.changed({**GRADUAL, **changes})
    message = message_of(lambda: train(tmp_path / "run", recipe))
    assert message.startswith("field unfreeze_at: ") and said in message
    assert not (tmp_path / "run").exists()


def test_freeze_looks_at_the_number_of_the_epoch_alone() -> None:
    model = linegraph.build_model("MODEL-4", **RECIPE.model_config)
    freeze = Freeze(model, ("three_body", "head"), 3)
    for epoch in (0, 2, 3, 7, 1):
        model.train()
        freeze.on_train_epoch_start(cast(Any, _At(epoch)), cast(Any, None))
        for name, parameter in model.named_parameters():
            chosen = in_part(name, "three_body") or in_part(name, "head")
            assert parameter.requires_grad == (epoch >= 3 or not chosen), name
        for name, module in model.named_modules():
            if next(module.children(), None) is None:
                chosen = any(in_part(f"{name}.", part) for part in ("three_body", "head"))
                assert module.training == (epoch >= 3 or not chosen), name
    freeze.on_train_end(cast(Any, None), cast(Any, None))
    assert all(parameter.requires_grad for parameter in model.parameters())


class _At:
    def __init__(self, epoch: int) -> None:
        self.current_epoch = epoch


# --- how fast it learns ---------------------------------------------------------------------------


def test_later_parts_count() -> None:
    recipe = RECIPE.changed({"lr_parts": {"embeddings": 0.5, "bond_embedding": 0.1, "head": 3}})
    factors = {
        "trunk.atom_embedding.mlp.linear.weight": 0.5,
        "trunk.bond_embedding.inner.linear.weight": 0.1,
        "trunk.conv_layers.0.root.bias": 1.0,
        "head.output.bias": 3.0,
    }
    assert {name: learning_rate_factor(name, recipe) for name in factors} == factors
    other = RECIPE.changed({"lr_parts": {"bond_embedding": 0.1, "embeddings": 0.5}})
    assert learning_rate_factor("trunk.bond_embedding.inner.linear.weight", other) == 0.5


@pytest.mark.parametrize("schedule", ["onecycle", "constant"])
def test_factors_reach_the_optimizer(schedule: str) -> None:
    recipe = RECIPE.changed(
        {"lr": 0.01, "schedule": schedule, "weight_decay": 0.1,
         "lr_parts": {"embeddings": 0.3, "three_body": 0.0, "head": 4.0}}
    )  # fmt: skip
    model = linegraph.build_model(recipe.model, **recipe.model_config)
    found = BarrierTask(model, recipe, steps=100).configure_optimizers()
    optimizer = found["optimizer"] if isinstance(found, dict) else found
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert len(groups) == len(list(model.parameters()))
    # The first group, whose rate the history tells, is one without a factor.
    assert optimizer.param_groups[0] is groups[id(dict(model.named_parameters())[
        "trunk.conv_layers.0.root.weight"])]  # fmt: skip
    peaks = dict.fromkeys(groups, 0.0)
    for _ in range(100):
        for key, group in groups.items():
            peaks[key] = max(peaks[key], group["lr"])
        optimizer.step()
        if isinstance(found, dict):
            found["lr_scheduler"].step()
    for name, parameter in model.named_parameters():
        factor = {"embedding": 0.3, "bond_conv": 0.0, "head": 4.0}
        expected = next((value for key, value in factor.items() if key in name), 1.0)
        assert peaks[id(parameter)] == pytest.approx(0.01 * expected), name
        decay = 0.1 if parameter.ndim > 1 else 0.0
        assert groups[id(parameter)]["weight_decay"] == decay, name


def test_a_rate_of_zero_moves_nothing(mpt: Path, tmp_path: Path) -> None:
    """Not frozen: running statistics follow the data."""
    recipe = RECIPE.changed(
        {"lr": 0.05, "weight_decay": 1.0, "lr_parts": dict.fromkeys(TRUNK, 0.0)}
    )
    after = tune(tmp_path / "run", recipe, mpt).state_dict()
    theirs = state_of(mpt)
    trunk = {name for name in theirs if name.startswith("trunk.")}
    changed = {name for name in trunk if not torch.equal(after[name], theirs[name])}
    assert changed
    assert all(name.rpartition(".")[2].startswith(("running", "num_batches")) for name in changed)


def test_recipes_of_transfer() -> None:
    """The strategies of Devi et al. freeze so many of five parts of the trunk."""
    five = ("atom_embedding", "bond_embedding", "angle_embedding", "alignn_layers", "conv_layers")
    model = linegraph.build_model("MODEL-3", **RECIPE.model_config)
    names = [name for name, _ in model.named_parameters()]
    frozen = {"all": 0, "new-head-1": 1, "new-head-3": 3, "new-head-4": 4, "last-layer": 5,
              "gradual": 5}  # fmt: skip
    for name, count in frozen.items():
        recipe = load_recipe(f"transfer-{name}")
        assert recipe.pretrained and recipe.new_head
        still = {n for n in names if any(in_part(n, part) for part in recipe.freeze)}
        expected = {n for n in names if any(in_part(n, part) for part in five[:count])}
        assert still == expected, name
        assert (recipe.unfreeze_at is not None) == (name == "gradual")

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import linegraph
from linegraph import InputError
from linegraph.weights import load_weights
from tests.bands import TINY, data_file, some_bands
from training.batches import Part
from training.callbacks import History, read_history
from training.data import load_bands
from training.fit import Machine, barrier_task, fit
from training.graphs import GraphSet, build_graphs, load_graphs
from training.predict import outputs, predict
from training.recipe import Recipe
from training.splits import Split
from training.task import BarrierTask, Task
from training.train import evaluate, train
from training.transfer import read_start

QUIET = Machine("cpu", workers=0, progress=False)
RECIPE = Recipe(summary="").changed(TINY)
SPLIT = Split(train=[0, 1, 2, 3, 4, 5, 6, 7], val=[8, 9], test=[10, 11])
TARGETS: Sequence[float | None] = [band.target for band in some_bands()]


@pytest.fixture(scope="module")
def graphs() -> GraphSet:
    return build_graphs(some_bands(), ("band",), RECIPE.graph_settings)


def folder_of(path: Path) -> Path:
    path.mkdir()
    return path


def test_fit_returns_what_it_writes(tmp_path: Path, graphs: GraphSet) -> None:
    model = fit(tmp_path, RECIPE, graphs, TARGETS, SPLIT, QUIET)
    assert not model.training
    loaded = load_weights(tmp_path)
    assert loaded.graph_settings == RECIPE.graph_settings
    assert loaded.config == RECIPE.model_config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[name])
    assert predict(model, graphs, [3, 1]) == predict(loaded.model, graphs, [3, 1])


def test_records_of_other_splits_are_never_seen(tmp_path: Path, graphs: GraphSet) -> None:
    """Other targets and other structures there give the same weights."""
    changed = [-5.0 if i in SPLIT.test else target for i, target in enumerate(TARGETS)]
    swapped = [*graphs.graphs[:10], *graphs.graphs[:2]]
    others = GraphSet(graphs.views, swapped, graphs.triplets[:10] + graphs.triplets[:2])
    ours = fit(folder_of(tmp_path / "a"), RECIPE, graphs, TARGETS, SPLIT, QUIET)
    theirs = fit(folder_of(tmp_path / "b"), RECIPE, others, changed, SPLIT, QUIET)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name])


def test_training_changes_every_parameter(tmp_path: Path, graphs: GraphSet) -> None:
    torch.manual_seed(RECIPE.seed)
    before = linegraph.build_model(RECIPE.model, **RECIPE.model_config)
    after = fit(tmp_path, RECIPE.changed({"center": False}), graphs, TARGETS, SPLIT, QUIET)
    same = [
        name
        for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True)
        if torch.equal(old, new)
    ]
    # Nothing reads the bonds after the last convolution, nor the angles after the last ALIGNN
    # layer; the reference has these parameters, too.
    assert {name.removeprefix("trunk.").rpartition(".norm_edges.")[0] for name in same} == {
        "alignn_layers.0.bond_conv",
        "conv_layers.0",
    }
    assert len(same) == 4


def test_seeded_weights_are_those_of_the_seed(tmp_path: Path, graphs: GraphSet) -> None:
    recipe = RECIPE.changed({"lr": 1e-12, "weight_decay": 0.0, "center": False, "epochs": 1})
    torch.manual_seed(RECIPE.seed)
    before = linegraph.build_model(RECIPE.model, **RECIPE.model_config)
    after = fit(tmp_path, recipe, graphs, TARGETS, SPLIT, QUIET)
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-9)


def test_centred_model_starts_at_the_median(tmp_path: Path, graphs: GraphSet) -> None:
    recipe = RECIPE.changed({"lr": 1e-12, "epochs": 1})
    model: Any = fit(tmp_path, recipe, graphs, TARGETS, SPLIT, QUIET)
    expected = torch.tensor([TARGETS[i] for i in SPLIT.train]).median()
    torch.testing.assert_close(model.head.output.bias.detach(), expected[None])


def test_small_memory_changes_parts_not_steps(tmp_path: Path, graphs: GraphSet) -> None:
    small = RECIPE.changed({"memory_gib": 0.05, "hidden": 256})
    fit(tmp_path, small, graphs, TARGETS, SPLIT, QUIET)
    rows = read_history(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == [0, 1]
    assert all(row["loss"] > 0 for row in rows)


def test_history_has_no_validation_without_records(tmp_path: Path, graphs: GraphSet) -> None:
    fit(tmp_path, RECIPE, graphs, TARGETS, Split(list(range(12)), [], []), QUIET)
    rows = read_history(tmp_path / "history.csv")
    assert [row["val_mae"] for row in rows] == [None, None]
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    ("split", "targets", "problem"),
    [
        (Split([], [0], [1]), TARGETS, "training split is empty"),
        (SPLIT, [None, *TARGETS[1:]], "record 0, field target"),
        (SPLIT, [*TARGETS[:9], None, *TARGETS[10:]], "record 9, field target"),
    ],
)
def test_what_cannot_be_fitted(
    split: Split, targets: Sequence[float | None], problem: str, tmp_path: Path, graphs: GraphSet
) -> None:
    with pytest.raises(InputError, match=problem):
        fit(tmp_path, RECIPE, graphs, targets, split, QUIET)


class TwoProperties(Task):
    """Two outputs by name, as squared errors of the known ones."""

    outputs = ("a", "b")

    def loss_of(self, out: Tensor, part: Part) -> Tensor:
        known = part["target"].isfinite()
        loss: Tensor = ((out - part["target"].nan_to_num()) ** 2 * known).sum()
        return loss

    def report(self, stage: str) -> None:
        self.log(f"{stage}_mae", 1.0, on_step=False, on_epoch=True, batch_size=1)

    @property
    def model_config(self) -> dict[str, int]:
        return {**super().model_config, "properties": 2}


def two_properties(steps: int) -> Task:
    model = linegraph.build_model("MPT", **RECIPE.model_config, properties=2)
    model.register_forward_pre_hook(lambda _, given: ({"crystal": given[0]["band"]},))
    return TwoProperties(model, RECIPE, steps)


def test_rows_of_targets_need_one_value(tmp_path: Path, graphs: GraphSet) -> None:
    targets = torch.full((12, 2), float("nan"))
    targets[range(12), [i % 2 for i in range(12)]] = 1.0
    fit(folder_of(tmp_path / "a"), RECIPE, graphs, targets, SPLIT, QUIET, make=two_properties)
    targets[9] = float("nan")
    with pytest.raises(InputError, match="record 9, field target"):
        fit(folder_of(tmp_path / "b"), RECIPE, graphs, targets, SPLIT, QUIET, make=two_properties)
    # Nobody looks at records that are held out.
    targets[9], targets[11] = 1.0, float("nan")
    fit(folder_of(tmp_path / "c"), RECIPE, graphs, targets, SPLIT, QUIET, make=two_properties)


def test_another_task_is_what_is_fitted(tmp_path: Path, graphs: GraphSet) -> None:
    """Weights say what it is, sizes and names of outputs included."""
    recipe = RECIPE.changed({"model": "MPT", "keep": "last"})
    seen: list[int] = []

    def make(steps: int) -> Task:
        seen.append(steps)
        return two_properties(steps)

    targets = torch.tensor([[float(i % 3), 1.0] for i in range(12)])
    model = fit(tmp_path, recipe, graphs, targets, SPLIT, QUIET, make=make)
    # Two epochs of three batches.
    assert seen == [6]
    found = load_weights(tmp_path)
    assert (found.name, found.outputs) == ("MPT", ("a", "b"))
    assert found.config == {**RECIPE.model_config, "properties": 2}
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, found.model.state_dict()[name])
    crystals = GraphSet(("crystal",), [{"crystal": g["band"]} for g in graphs.graphs], [1] * 12)
    assert outputs(found.model, crystals, [4, 2]).shape == (2, 2)
    # Nothing but what the task reports.
    assert [row["val_mae"] for row in read_history(tmp_path / "history.csv")] == [1.0, 1.0]


def test_the_task_is_that_of_barriers_unless_told(tmp_path: Path, graphs: GraphSet) -> None:
    targets = torch.tensor([float(t or 0) for t in TARGETS])
    ours = fit(folder_of(tmp_path / "a"), RECIPE, graphs, TARGETS, SPLIT, QUIET)
    theirs = fit(
        folder_of(tmp_path / "b"), RECIPE, graphs, targets, SPLIT, QUIET,
        make=lambda steps: barrier_task(RECIPE, targets[SPLIT.train], None, steps),
    )  # fmt: skip
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name])


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("start", ["none", "trunk", "all"])
def test_task_of_barriers(start: str, center: bool, tmp_path: Path, graphs: GraphSet) -> None:
    """Centred on the training targets, unless the head is one that was trained."""
    before = fit(tmp_path, RECIPE, graphs, TARGETS, SPLIT, QUIET)
    recipe = RECIPE.changed({"center": center, "new_head": start != "all", "seed": 9})
    begin = None if start == "none" else read_start(tmp_path, recipe)
    task = barrier_task(recipe, torch.tensor([7.0, 8.0, 100.0]), begin, 50)
    assert isinstance(task, BarrierTask)
    assert (task.recipe, task.steps, task.outputs) == (recipe, 50, ())
    model: Any = task.model
    theirs = before.state_dict()
    same = {
        name for name, tensor in model.state_dict().items() if torch.equal(tensor, theirs[name])
    }
    bias = model.head.output.bias.item()
    if start == "all":
        assert same == set(theirs)
        return
    assert (bias == 8.0) == center
    weights = {"trunk.conv_layers.0.root.weight", "head.output.weight"}
    assert same & weights == ({"trunk.conv_layers.0.root.weight"} if start == "trunk" else set())


@pytest.mark.filterwarnings("ignore:.*will create .* worker processes")
@pytest.mark.parametrize("workers", [0, 2])
def test_graphs_on_disk_give_the_same_weights(
    workers: int, tmp_path: Path, graphs: GraphSet
) -> None:
    cached = load_graphs(
        some_bands(), "f", ("band",), RECIPE.graph_settings,
        cache=tmp_path / "cache", workers=1, progress=False,
    )  # fmt: skip
    machine = Machine("cpu", workers=workers, progress=False)
    ours = fit(folder_of(tmp_path / "a"), RECIPE, graphs, TARGETS, SPLIT, QUIET)
    theirs = fit(folder_of(tmp_path / "b"), RECIPE, cached, TARGETS, SPLIT, machine)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name])
    assert predict(ours, graphs) == predict(theirs, cached)


@pytest.mark.parametrize("model", [name for name in linegraph.models() if name != "MPT"])
def test_every_model_trains_resumes_and_evaluates(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MODEL-4 draws at random while it trains: a resumed run has to draw the same."""
    data = data_file(tmp_path / "bands.json")
    recipe = RECIPE.changed({"model": model})

    def press(self: History, trainer: Any, *args: Any) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    whole = train(tmp_path / "whole", recipe, data=data, machine=QUIET)
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_end", press)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", recipe, data=data, machine=QUIET)
    assert train(tmp_path / "run", recipe, data=data, machine=QUIET, resume=True) == whole
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "run")]
    assert weights[0] == weights[1]
    found = evaluate(tmp_path / "run", data, tmp_path / "e", machine=QUIET)
    means = [whole[part]["mae"] * whole[part]["n"] for part in ("train", "val", "test")]
    assert found["all"]["mae"] == pytest.approx(sum(means) / 12, abs=1e-5)


def test_predictions_do_not_depend_on_company(graphs: GraphSet) -> None:
    torch.manual_seed(1)
    model = linegraph.build_model(RECIPE.model, **RECIPE.model_config)
    together = predict(model, graphs)
    alone = [predict(model, graphs, [i])[0] for i in range(12)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert predict(model, graphs, [5, 2, 5]) == pytest.approx([alone[5], alone[2], alone[5]])
    assert predict(model, graphs, []) == []
    assert torch.equal(outputs(model, graphs, [5, 2]), torch.tensor(predict(model, graphs, [5, 2])))


def test_prediction_that_is_no_number_is_refused(graphs: GraphSet) -> None:
    model: Any = linegraph.build_model(RECIPE.model, **RECIPE.model_config)
    torch.nn.init.constant_(model.head.output.bias, float("nan"))
    with pytest.raises(InputError, match="prediction is nan"):
        predict(model, graphs, [4])


def test_config_is_enough_to_repeat_a_run(tmp_path: Path) -> None:
    data = data_file(tmp_path / "bands.json")
    train(tmp_path / "a", RECIPE, data=data, machine=QUIET)
    config = yaml.safe_load((tmp_path / "a" / "config.yaml").read_text())
    assert load_bands(config["data"]["path"]).fingerprint == config["data"]["fingerprint"]
    train(tmp_path / "b", Recipe(**config["settings"]), data=config["data"]["path"], machine=QUIET)
    for file in ("model.safetensors", "config.yaml", "metrics.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_devices(device: str) -> None:
    assert Machine(device).trainer_arguments() == {"accelerator": device, "devices": 1}


@pytest.mark.parametrize(
    "device", ["", "gpu", "cpu:0", "auto:1", "cuda:", "cuda:-1", "cuda:²", "CPU"]
)
def test_unknown_devices(device: str) -> None:
    with pytest.raises(InputError, match="unknown device"):
        Machine(device).trainer_arguments()

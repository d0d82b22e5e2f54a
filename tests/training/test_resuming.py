"""Checkpoints that are no good to go on from: one clear line, and nothing is changed by them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch

from linegraph.errors import InputError
from tests.interrupts import interrupted
from tests.tuning import RECIPE, tune
from training.callbacks import read_history

RUN = RECIPE.changed({"epochs": 2, "keep": "best"})
FIRST = "model.trunk.alignn_layers.0.atom_conv.root.weight"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which the second epoch is missing."""
    run = tmp_path_factory.mktemp("begun") / "run"
    with interrupted(1), pytest.raises(KeyboardInterrupt):
        tune(run, RUN, None)
    return run


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    return Path(copytree(begun, tmp_path / "run"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def best_of(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(v for k, v in state["callbacks"].items() if "val_mae" in k)
    return found


def loop_of(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = state["loops"]["fit_loop"]
    return found


def adam_of(state: dict[str, Any], index: int) -> dict[str, Any]:
    found: dict[str, Any] = state["optimizer_states"][0]["state"][index]
    return found


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no weights": (lambda s: s.pop("state_dict"), "field state_dict: .* is missing"),
    "no loops": (lambda s: s.pop("loops"), "field loops: .* is missing"),
    "no callbacks": (lambda s: s.update(callbacks={}), "is missing"),
    "no optimiser": (lambda s: s.pop("optimizer_states"), "not the state of one optimiser"),
    "no schedule": (lambda s: s.update(lr_schedulers=[]), "field lr_schedulers: .* no list of 1"),
    "no version": (lambda s: s.pop("pytorch-lightning_version"), "is None, not one of release"),
    "a layer less": (lambda s: s["state_dict"].pop(FIRST), f"field state_dict.{FIRST}: .* missing"),
    "a layer more": (lambda s: s["state_dict"].update(x=torch.zeros(1)), "x: .* is unknown here"),
    "another width": (
        lambda s: s["state_dict"].update({FIRST: torch.zeros(9, 8)}),
        r"is torch.float32 of shape \(9, 8\), not torch.float32 of shape \(8, 8\)",
    ),
    "double precision": (
        lambda s: s["state_dict"].update({FIRST: torch.zeros(8, 8, dtype=torch.float64)}),
        "is torch.float64 of shape",
    ),
    "NaN": (lambda s: s["state_dict"][FIRST].fill_(float("nan")), "holds NaN or infinite"),
    "momentum of another shape": (
        lambda s: adam_of(s, 3).update(exp_avg=torch.zeros(2)),
        r"field optimizer_states\.0\.state\.3\.exp_avg: ",
    ),
    "a parameter too many": (
        lambda s: s["optimizer_states"][0]["state"].update({10**6: adam_of(s, 0)}),
        "there is no parameter 1000000",
    ),
    "an attribute": (lambda s: s["lr_schedulers"][0].update(optimizer=1), "is unknown here"),
    "another schedule": (
        lambda s: s["lr_schedulers"][0].update(total_steps=5),
        "total_steps: .* is of another schedule",
    ),
    "beyond the end": (
        lambda s: s["lr_schedulers"][0].update(last_epoch=99),
        "is beyond the last step",
    ),
    "more epochs": (
        lambda s: loop_of(s)["epoch_progress"]["current"].update(processed=9),
        "is 9, but the whole run has 2",
    ),
    "steps below none": (lambda s: s.update(global_step=-1), "is -1, which no number here"),
    "text for a count": (
        lambda s: loop_of(s)["epoch_progress"]["total"].update(ready="1"),
        "is '1', no number",
    ),
    # Once there is a better one, Lightning removes what is called so, folders as a whole.
    "the folder above": (
        lambda s: best_of(s).update(best_k_models={"..": torch.tensor(9.0)}),
        r"names '\.\.' as its own",
    ),
    "the last one": (
        lambda s: best_of(s).update(best_model_path="checkpoints/last.ckpt"),
        "names 'checkpoints/last.ckpt' as its own",
    ),
    "a word for a score": (lambda s: best_of(s).update(kth_value="x"), "a score that is no number"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_not_of_this_run(case: str, run: Path) -> None:
    path = run / "checkpoints" / "last.ckpt"
    state = torch.load(path, weights_only=True)
    change, problem = CHANGES[case]
    change(state)
    torch.save(state, path)
    before = content(run)
    with pytest.raises(InputError, match=problem) as caught:
        tune(run, RUN, None, resume=True)
    assert caught.value.file == path
    assert str(caught.value).isprintable()
    assert content(run) == before


def test_a_checkpoint_as_it_was_written_goes_on(run: Path) -> None:
    """What the cases above differ from."""
    path = run / "checkpoints" / "last.ckpt"
    torch.save(torch.load(path, weights_only=True), path)
    tune(run, RUN, None, resume=True)
    assert [row["epoch"] for row in read_history(run / "history.csv")] == [0, 1]


def test_bits_that_changed(run: Path) -> None:
    """In the weights, of which torch itself does not look at the checksums."""
    path = run / "checkpoints" / "last.ckpt"
    data = bytearray(path.read_bytes())
    weights = torch.load(path, weights_only=True)["state_dict"][FIRST]
    data[data.index(weights.numpy().tobytes())] ^= 1
    path.write_bytes(data)
    assert not torch.equal(torch.load(path, weights_only=True)["state_dict"][FIRST], weights)
    with pytest.raises(InputError, match=r"last\.ckpt: is damaged in '"):
        tune(run, RUN, None, resume=True)


def test_compressed(run: Path) -> None:
    path = run / "checkpoints" / "last.ckpt"
    with zipfile.ZipFile(path) as whole:
        entries = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match=r"last\.ckpt: .* its content is compressed"):
        tune(run, RUN, None, resume=True)


def test_the_best_one_is_damaged(run: Path) -> None:
    path = run / "checkpoints" / "last.ckpt"
    state = torch.load(path, weights_only=True)
    score = torch.tensor(0.0)  # which no epoch to come will reach
    best_of(state)["best_k_models"] = dict.fromkeys(best_of(state)["best_k_models"], score)
    best_of(state).update(best_model_score=score, kth_value=score)
    torch.save(state, path)
    best = path.with_name("best.ckpt")
    best.write_bytes(best.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"best\.ckpt: checkpoint cannot be read"):
        tune(run, RUN, None, resume=True)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"\n0,", b"\nfirst,", r"line 2, field epoch: expected a number, got 'first'"),
        (b"\n0,", b"\n0.5,", r"line 2, field epoch: expected a whole number, got '0\.5'"),
        (b"\n0,", b"\n0,1,", r"line 2: 7 cells, but there are 6 columns"),
        (b"loss", b"epoch", r"field epoch: several columns are called so"),
        (b"epoch", b"\xff", r"no valid CSV in UTF-8"),
    ],
)
def test_a_history_that_is_none(old: bytes, new: bytes, problem: str, run: Path) -> None:
    path = run / "history.csv"
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    before = content(run)
    with pytest.raises(InputError, match=rf"history\.csv.*{problem}"):
        tune(run, RUN, None, resume=True)
    assert content(run) == before


def test_figures_of_a_history_may_be_missing_or_nan(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,val_mae\n0,nan,\n")
    (row,) = read_history(path)
    assert (row["epoch"], row["val_mae"]) == (0, None)
    assert row["loss"] != row["loss"]

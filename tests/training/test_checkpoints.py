"""Checkpoints that are written whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from linegraph.errors import InputError
from tests.interrupts import interrupted
from tests.tuning import RECIPE, differing, state_of, tune
from training.checkpoints import WholeCheckpoints


def test_a_checkpoint_is_made_beside_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "checkpoints" / "last.ckpt", list[list[str]]()
    replace = os.replace

    def noted(source: Path, target: Path) -> None:
        seen.append(sorted(os.listdir(path.parent)))
        assert torch.load(source, weights_only=True)["epoch"] == len(seen)
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    for epoch in (1, 2):
        WholeCheckpoints().save_checkpoint({"epoch": epoch, "w": torch.ones(3)}, str(path))
    assert [name.startswith(".partial-") for names in seen for name in names] == [True, True, False]
    assert torch.load(path, weights_only=True)["epoch"] == 2


def test_without_room_the_last_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device") as caught:
        WholeCheckpoints().save_checkpoint({"epoch": 2}, path)
    assert caught.value.file == path
    assert os.listdir(tmp_path) == ["last.ckpt"]
    assert torch.load(path, weights_only=True) == {"epoch": 1}


def test_the_last_checkpoint_is_of_the_last_epoch(tmp_path: Path) -> None:
    """Also where validation has long stopped to improve: what came since would be lost."""
    tune(tmp_path / "run", RECIPE.changed({"epochs": 4, "lr": 0.5}), None)
    run = tmp_path / "run"
    assert _step(run, "best") < _step(run, "last") == 4 * 3
    assert sorted(os.listdir(run / "checkpoints")) == ["best.ckpt", "last.ckpt"]


def test_a_run_that_was_moved_still_knows_its_best_epoch(tmp_path: Path) -> None:
    # With steps so long an early epoch stays the best one.
    recipe = RECIPE.changed({"epochs": 4, "lr": 0.5, "keep": "best"})
    tune(tmp_path / "whole", recipe, None)
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "before", recipe, None)
    (tmp_path / "before").rename(tmp_path / "after")
    tune(tmp_path / "after", recipe, None, resume=True)
    whole, after = tmp_path / "whole", tmp_path / "after"
    name = "model.safetensors"
    assert (after / name).read_bytes() == (whole / name).read_bytes()
    assert _step(after, "best") == _step(whole, "best") <= 3 * 3
    assert not (tmp_path / "before").exists()


def _step(run: Path, name: str) -> int:
    """How many steps a checkpoint has seen, three an epoch."""
    path = run / "checkpoints" / f"{name}.ckpt"
    step: int = torch.load(path, weights_only=True)["global_step"]
    return step


def test_a_queueing_system_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning would take its variables for orders, and checkpoints that lie about for its own."""
    tune(tmp_path / "here", RECIPE, None)
    job = {"JOB_ID": "7", "JOB_NAME": "train", "NTASKS": "4", "PROCID": "3", "LOCALID": "3",
           "NODEID": "0", "NODELIST": "n1", "NTASKS_PER_NODE": "4"}  # fmt: skip
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_1.ckpt").write_bytes(b"of somebody else")
    tune(tmp_path / "there", RECIPE, None)
    assert differing(state_of(tmp_path / "here"), state_of(tmp_path / "there")) == set()

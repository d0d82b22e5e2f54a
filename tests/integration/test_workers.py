"""Who builds graphs and collates batches changes nothing: pre-training, and a single worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bands import settings
from tests.integration.command import linegraph
from tests.property_data import TINY_MPT
from training.callbacks import read_history

NAMES = ("model.safetensors", "predictions.csv", "metrics.json")
pytestmark = pytest.mark.filterwarnings("ignore:.*will create .* worker processes")


def assert_same(run: Path, other: Path) -> None:
    for name in NAMES:
        assert (run / name).read_bytes() == (other / name).read_bytes()
    rows, others = (read_history(folder / "history.csv") for folder in (run, other))
    for row, theirs in zip(rows, others, strict=True):
        assert {**row, "seconds": 0} == {**theirs, "seconds": 0}


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_pretraining(
    workers: int, mpt_run: Path, crystals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEGRAPH_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    words = ["pretrain", "--data", crystals, "--out", run, *settings(**TINY_MPT)]
    linegraph(*words, "--workers", workers)
    assert_same(run, mpt_run)


def test_one_worker_trains_as_none(data: Path, tmp_path: Path) -> None:
    for workers in (0, 1):
        run = tmp_path / str(workers)
        words = ["train", "--data", data, "--out", run, *settings(), "--workers", workers]
        linegraph(*words)
    assert_same(tmp_path / "0", tmp_path / "1")

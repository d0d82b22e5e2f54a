"""What the parts of BAND-1 say, and how long all of it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import prediction, voices
from linegraph import InputError
from linegraph.weights import load_weights
from tests.tuning import QUIET
from training.data import load_bands
from training.judging.predictions import read_run
from training.protocols import Protocol
from training.recipe import load_recipe
from training.records import write_bands
from training.train import train

TINY = {
    "hidden": 8, "alignn_layers": 0, "conv_layers": 1, "embedding": 8, "head": 8, "epochs": 1,
    "pretrained": False, "freeze": [], "trees": 3, "tree_share": 0.5, "machine_share": 0.25,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "bands.json"
    write_bands(path, load_bands(None).bands[:12])
    return path


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    folder = data.with_name("run")
    recipe = load_recipe("band-1").changed(TINY)
    train(folder, recipe, data=data, protocol=Protocol(folds=2), machine=QUIET)
    return folder


def test_voices_add_up(run: Path, data: Path) -> None:
    table = read_run(run).of("test")
    said = voices.spoken(table, load_bands(data))
    assert said["all"].prediction == pytest.approx(table.prediction, abs=1e-4)
    parts = [said[voice].prediction for voice in ("trees", "machine", "network")]
    assert len({tuple(part.round(3)) for part in parts}) == 3
    mixed = 0.5 * parts[0] + 0.25 * parts[1] + 0.25 * parts[2]
    assert mixed == pytest.approx(table.prediction, abs=1e-4)


def test_table_of_voices(run: Path, data: Path) -> None:
    words = [str(run), "--data", str(data), "--against", str(run)]
    shown = CliRunner().invoke(voices.main, words)
    assert shown.exit_code == 0, shown.output
    rows = {line.split("|")[1].strip(): line for line in shown.output.splitlines()}
    assert {"trees", "machine", "network", "all"} < set(rows)
    assert "+0.000 (+0.000 to +0.000)" in rows["all"].replace("-0.000", "+0.000")
    assert rows["trees"].split("|")[2] != rows["network"].split("|")[2]


def test_voices_of_another_model(tmp_path: Path, data: Path) -> None:
    small = load_recipe("small").changed({**TINY, "freeze": [], "epochs": 1})
    folder = tmp_path / "small"
    train(folder, small, data=data, protocol=Protocol(folds=2), machine=QUIET)
    assert load_weights(folder / "fold-1").name == "MODEL-3"
    with pytest.raises(InputError, match="holds MODEL-3, which has no voices"):
        voices.spoken(read_run(folder).of("test"), load_bands(data))


def test_times_of_predictions(run: Path, data: Path) -> None:
    shown = CliRunner().invoke(prediction.main, [str(data), "--weights", str(run)])
    assert shown.exit_code == 0, shown.output
    assert "BAND-1, 12 bands of " in shown.output
    times = [float(cell) for cell in shown.output.splitlines()[-1].split("|")[2:5]]
    assert 0 < times[0] <= times[1] <= times[2] < 60

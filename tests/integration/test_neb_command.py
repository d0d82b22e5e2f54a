"""The command `neb` as a user runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.bands import rock_salt_band
from tests.integration.command import linegraph, start
from tests.integration.test_cli import PNG, table
from tests.integration.test_judging_commands import (
    CALCULATOR,
    Interruption,
    config,
    said,
    without_plots,
)
from tests.training.neb_calculators import Wave, WaveCalculator, wave_band
from training.bands import Band
from training.records import write_bands
from training.stopping import INTERRUPTED


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    """Three records of barriers known in closed form; the calculator fails at one of them."""
    path = tmp_path / "waves.json"
    hosts = {"one": "O", "bad": "Ar", "two": "S"}
    write_bands(path, [wave_band(name, host) for name, host in hosts.items()])
    return path


def test_neb_with_a_calculator_by_import_path(waves: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["--calculator", CALCULATOR, "--calculator-option", "height=0.8", "--climb"]
    words += ["--record", "one", "--record", "bad", "--fmax", "0.01"]
    shown = linegraph("neb", "--data", waves, "--out", run, *words)
    (row,) = table(run / "barriers.csv")
    wave = Wave(height=0.8)
    assert row["sys_name"] == "one"
    assert float(row["barrier_eV"]) == pytest.approx(wave.forward, abs=2e-3)
    assert float(row["backward_eV"]) == pytest.approx(wave.backward, abs=2e-3)
    (failed,) = table(run / "failures.csv")
    assert (failed["sys_name"], failed["error"]) == ("bad", "ValueError: no parameters for Ar")
    assert said(run, split="test") == {"one": pytest.approx(float(row["barrier_eV"]))}
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["mae"] == pytest.approx(abs(float(row["barrier_eV"]) - 0.5), abs=2e-6)
    assert config(run)["protocol"] == {"name": "no training"}
    settings = config(run)["settings"]
    assert settings["options"] == {"height": 0.8}
    assert (settings["climb"], settings["relax"], settings["fmax"]) == (True, True, 0.01)
    assert (run / "parity.png").read_bytes().startswith(PNG)
    assert f"run folder   {run}" in shown.stdout
    assert re.search(rf"one +│ {float(row['barrier_eV']):.3f} ", shown.stdout)
    assert re.search(r"bad +│ failed ", shown.stdout)
    assert "2/2 bad: failed: ValueError: no parameters for Ar" in shown.stderr


def test_neb_is_interrupted_and_goes_on(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    words = ["neb", "--data", waves, "--calculator", CALCULATOR, "--record", "one"]
    words += ["--record", "two", "--out"]
    calculate = Interruption(WaveCalculator.calculate, 0)
    monkeypatch.setattr(WaveCalculator, "calculate", lambda *args: calculate(*args))
    without_plots(*words, whole)
    evaluations = [int(row["evaluations"]) for row in table(whole / "barriers.csv")]
    assert calculate.calls == sum(evaluations)
    calculate.calls, calculate.at = 0, evaluations[0] + 3
    shown = without_plots(*words, run, code=INTERRUPTED)
    assert f"the same command with --resume --out {run} goes on" in shown.stderr
    assert [row["sys_name"] for row in table(run / "barriers.csv")] == ["one"]
    calculate.calls, calculate.at = 0, 0
    without_plots(*words, run, "--resume")
    assert calculate.calls == evaluations[1]
    for name in ("predictions.csv", "metrics.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_debug_shows_where_a_record_went_wrong(waves: Path, tmp_path: Path) -> None:
    """And with several at a time, too, each in a process of its own."""
    words = ["neb", "--data", waves, "--calculator", CALCULATOR, "--out", tmp_path / "run"]
    words += ["--steps", 1, "--workers", 2, "--debug"]
    process = start(*words)
    _, said = process.communicate()
    assert process.returncode == 0
    assert "bad: Traceback (most recent call last):\n" in said
    assert "ValueError: no parameters\nfor Ar\n" in said


def test_neb_with_chgnet_is_the_default(tmp_path: Path) -> None:
    pytest.importorskip("chgnet", reason="optional: pip install 'linegraph[neb]'")
    data = tmp_path / "data.json"
    write_bands(data, [Band("LiCl", rock_salt_band("Li", "Cl", 5.1), None)])
    words = ["--no-relax", "--steps", 0, "--device", "cpu"]
    shown = linegraph("neb", "--data", data, "--out", tmp_path / "run", *words).stdout
    (row,) = table(tmp_path / "run" / "barriers.csv")
    assert (row["sys_name"], row["evaluations"], row["converged"]) == ("LiCl", "5", "False")
    assert row["version"].startswith("chgnet 0.")
    along = [float(word) for word in row["energies_eV"].split()]
    # Symmetric about the middle, past whose neighbours the ion has to climb.
    assert max(along) == along[2] == pytest.approx(float(row["barrier_eV"]), abs=2e-6)
    assert 0.1 < along[2] < 10 and along[1] == pytest.approx(along[3], abs=1e-5)
    # No target: there is nothing to judge.
    assert "MAE" not in shown
    assert not (tmp_path / "run" / "parity.png").exists()

"""Runs of many records by nudged elastic bands: failures, interruptions, names, refusals."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from training.neb.run import neb
from training.records import write_bands

from ..errors import message_of
from .neb_calculators import wave_band

HERE = "tests.training.neb_calculators"
CALCULATOR = f"{HERE}:WaveCalculator"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five records: two that work, and three that fail in three ways."""
    hosts = {"works": "O", "raises": "Ar", "nan": "Kr", "flies": "Xe", "last": "S"}
    path = tmp_path / "data.json"
    write_bands(path, [wave_band(name, host) for name, host in hosts.items()])
    return path


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time of a run on so few records."""
    monkeypatch.setattr("training.report.parity_plot", lambda *args, **named: None)


def test_failures_stop_nobody_and_nothing_is_repeated(tmp_path: Path, data: Path) -> None:
    out, log = tmp_path / "run", tmp_path / "log"
    options = {"log": str(log)}
    found = neb(out, data=data, calculator=CALCULATOR, options=options, progress=False)
    assert [r.error is None for r in found.results] == [True, False, False, False, True]
    rows = table(out / "barriers.csv")
    assert [row["sys_name"] for row in rows] == ["works", "last"]
    first = rows[0]
    assert float(first["barrier_eV"]) == pytest.approx(0.6, abs=0.01)
    assert (first["converged"], first["target_eV"], first["ion"], first["atoms"]) == (
        "True", "0.5", "Li", "3",
    )  # fmt: skip
    along = [float(word) for word in first["energies_eV"].split()]
    assert len(along) == 5 and along[0] == 0
    assert max(along) == pytest.approx(float(first["barrier_eV"]), abs=1e-6)
    failures = {row["sys_name"]: row["error"] for row in table(out / "failures.csv")}
    assert failures.keys() == {"raises", "nan", "flies"}
    assert failures["raises"] == "ValueError: no parameters for Ar"
    assert "NaN" in failures["nan"]
    assert "flies apart" in failures["flies"] and "(Xe)" in failures["flies"]
    predictions = table(out / "predictions.csv")
    assert [(row["sys_name"], row["split"], row["prediction_eV"]) for row in predictions] == [
        (row["sys_name"], "test", row["barrier_eV"]) for row in rows
    ]
    assert found.metrics["test"]["n"] == 2
    assert (out / "parity.png").is_file()
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["protocol"] == {"name": "no training"}
    assert config["settings"]["calculator"] == CALCULATOR

    before = lines(log)
    again = neb(out, data=data, calculator=CALCULATOR, options=options, resume=True, progress=False)
    # The three that failed once more, the others not.
    repeated = lines(log)[len(before) :]
    assert repeated and {words.split()[1] for words in repeated} == {"Ar", "Kr", "Xe"}
    assert table(out / "barriers.csv") == rows
    assert asdict(again.results[0]) == asdict(found.results[0])


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize("debug", [False, True])
def test_where_a_record_went_wrong_is_told_to_who_asks(
    debug: bool, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how: dict[str, Any] = {"records": ["raises"], "progress": False, "debug": debug}
    neb(tmp_path / "run", data=data, calculator=CALCULATOR, **how)
    (failure,) = table(tmp_path / "run" / "failures.csv")
    assert failure["error"] == "ValueError: no parameters for Ar"
    told = capsys.readouterr().err
    if debug:
        assert told.startswith("raises: Traceback (most recent call last):\n")
        assert "neb_calculators.py" in told and "in calculate\n" in told
        assert told.endswith("ValueError: no parameters\nfor Ar\n")
    else:
        assert told == ""


@pytest.mark.usefixtures("without_plots")
def test_interrupted_and_resumed(tmp_path: Path) -> None:
    data, out, log = tmp_path / "data.json", tmp_path / "run", tmp_path / "log"
    write_bands(data, [wave_band(f"r{i}", host) for i, host in enumerate(("O", "S", "Se"))])
    whole = neb(tmp_path / "whole", data=data, calculator=CALCULATOR, progress=False)
    each = whole.results[0].evaluations

    def options(interrupt: int) -> dict[str, Any]:
        return {"log": str(log), "interrupt": interrupt}

    with pytest.raises(KeyboardInterrupt):
        neb(out, data=data, calculator=CALCULATOR, options=options(each + 5), progress=False)
    # One is done and in the tables, one was at work.
    assert [row["sys_name"] for row in table(out / "barriers.csv")] == ["r0"]
    assert {row.split()[1] for row in lines(log)} == {"O", "S"}
    before = len(lines(log))
    # What presses Ctrl+C is an option like any other.
    config = yaml.safe_load((out / "config.yaml").read_text())
    config["settings"]["options"]["interrupt"] = 0
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    found = neb(
        out, data=data, calculator=CALCULATOR, options=options(0), resume=True, progress=False
    )
    assert {row.split()[1] for row in lines(log)[before:]} == {"S", "Se"}
    assert [r.energies for r in found.results] == [r.energies for r in whole.results]
    assert (out / "predictions.csv").read_bytes() == (
        tmp_path / "whole" / "predictions.csv"
    ).read_bytes()


@pytest.mark.usefixtures("without_plots")
def test_more_records_may_be_chosen_on_resume(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "run"
    one = neb(out, data=data, calculator=CALCULATOR, records=["last"], progress=False)
    assert [r.name for r in one.results] == ["last"]
    neb(out, data=data, calculator=CALCULATOR, records=["works"], resume=True, progress=False)
    assert [row["sys_name"] for row in table(out / "barriers.csv")] == ["works", "last"]


@pytest.mark.usefixtures("without_plots")
def test_resume_refuses_other_settings(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "run"
    neb(out, data=data, calculator=CALCULATOR, records=["works"], progress=False)

    def again(**changes: Any) -> str:
        return message_of(
            lambda: neb(out, data=data, calculator=CALCULATOR, resume=True, **changes)
        )

    assert "relax was True, now False" in again(relax=False)
    assert "images was 5, now 7" in again(images=7)
    assert "height" in again(options={"height": 0.5})
    write_bands(tmp_path / "other.json", [wave_band("works", "S")])
    assert "data file has changed" in message_of(
        lambda: neb(out, data=tmp_path / "other.json", calculator=CALCULATOR, resume=True)
    )
    assert "already exists" in message_of(lambda: neb(out, data=data, calculator=CALCULATOR))


@pytest.mark.usefixtures("without_plots")
def test_a_damaged_record_is_named(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "run"
    neb(out, data=data, calculator=CALCULATOR, records=["works"], progress=False)
    file = out / "records" / "works.json"
    kept = json.loads(file.read_text())
    assert kept["name"] == "works"
    file.write_text('{"name": "works"}')
    said = message_of(lambda: neb(out, data=data, calculator=CALCULATOR, resume=True))
    assert str(file) in said and "delete it" in said


@pytest.mark.usefixtures("without_plots")
def test_any_record_name_is_a_file_of_its_own(tmp_path: Path) -> None:
    names = ["a/b", "..", "A", "a", "é" * 100, "x" * 300, "Li 3:*?", "CON", "-r"]
    data, out = tmp_path / "data.json", tmp_path / "run"
    write_bands(data, [wave_band(name) for name in names])
    found = neb(out, data=data, calculator=CALCULATOR, relax=False, steps=0, progress=False)
    assert [r.name for r in found.results] == names
    files = [file.name for file in (out / "records").iterdir()]
    assert len({name.casefold() for name in files}) == len(names)
    assert max(map(len, files)) < 255
    assert [row["sys_name"] for row in table(out / "barriers.csv")] == names


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"calculator": "chgnot"}, ("unknown calculator 'chgnot'", "chgnet, mace")),
        ({"calculator": "no.such.module:X"}, ("no.such.module:X", "cannot be imported")),
        ({"calculator": f"{HERE}:Missing"}, ("Missing", "cannot be imported")),
        ({"calculator": f"{HERE}:not_a_calculator"}, ("makes no ASE calculator",)),
        ({"options": {"colour": 1}}, ("cannot be made with options", "colour")),
        ({"weights": "x.model"}, ("by an option, not by --weights",)),
        ({"calculator": "mace"}, ("mace needs --weights", "trust")),
        ({"calculator": "mace", "weights": "gone.model"}, ("gone.model", "cannot be read")),
        ({"records": ["nobody"]}, ("no such record", "'nobody'", "data.json")),
        ({"max_atoms": 3}, ("at most 3 atoms",)),
        ({"images": 2}, ("images", "3 or more")),
        ({"fmax": 0.0}, ("fmax", "more than 0")),
        ({"fmax": math.nan}, ("fmax", "more than 0")),
        ({"steps": -1}, ("steps", "0 or more")),
        ({"workers": 0}, ("workers", "1 or more")),
        ({"device": "tpu"}, ("unknown device 'tpu'",)),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_written(
    changes: dict[str, Any], words: tuple[str, ...], tmp_path: Path, data: Path
) -> None:
    out = tmp_path / "run"
    said = message_of(lambda: neb(out, data=data, **{"calculator": CALCULATOR, **changes}))
    for word in words:
        assert word in said
    assert not out.exists()


def test_missing_packages_are_named(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "x.model"
    weights.write_bytes(b"x")
    for package, extra, given in (("chgnet", "neb", None), ("mace", "mace", weights)):
        for module in [name for name in sys.modules if name.split(".")[0] == package]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.delitem(sys.modules, "training.neb.chgnet64", raising=False)
        monkeypatch.setitem(sys.modules, package, None)
        said = message_of(
            lambda name=package, file=given: neb(
                tmp_path / "run", data=data, calculator=name, weights=file
            )
        )
        assert f"pip install 'linegraph[{extra}]'" in said

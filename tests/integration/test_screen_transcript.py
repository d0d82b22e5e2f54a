"""The transcript of the docs is what the commands beside it print, and its comparison holds."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import spearmanr

from linegraph.ensemble_file import load_ensemble
from tests.goldens import SHARED, needs_data
from tests.integration.command import linegraph
from tests.integration.test_predict import rows_of
from tests.test_readme import blocks
from training.read import read_bands
from training.starter import COMPOUNDS
from training.starter.__main__ import main as starter
from training.starter.records import load_compounds

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/screen.md"

TEXT = " ".join((ROOT / PAGE).read_text(encoding="utf-8").split())

#: Compounds of the starter set, and the records that the weights know them by.
KNOWN = {
    "LiFePO4": "O-LiFePO4", "LiCoPO4": "O-LiCoPO4", "LiNiPO4": "O-LiNiPO4",
    "LiMnPO4": "O-MnPO4_Li", "NaFePO4": "O-NaFePO4", "LiCoO2": "LiCoO2_1", "LiTiS2": "LiTiS2",
    "LiMn2O4": "Mn2O4_Li", "MgSc2Se4": "MgSc2Se4", "MgIn2S4": "MgIn2S4", "Li3OCl": "Li3OCl_1",
}  # fmt: skip

OLIVINES = ("LiFePO4", "LiCoPO4", "LiNiPO4", "LiMnPO4")


def said(pattern: str) -> list[float]:
    """The numbers in a sentence of the page."""
    (found,) = re.findall(pattern, TEXT)
    return [float(number) for number in ([found] if isinstance(found, str) else found)]


def without_numbers(cell: str) -> str:
    return re.sub(r"\d+\.\d+", "N", cell)


def test_records_named_are_known_to_the_weights() -> None:
    domain = load_ensemble().domain
    assert domain is not None
    assert set(KNOWN.values()) <= set(domain.names)
    (named,) = re.findall(r"known to the weights, as records (.*?)\. ", TEXT)
    assert set(re.split(", | and ", named)) == set(KNOWN.values())


@needs_data
def test_barriers_of_the_olivines() -> None:
    bands = read_bands(SHARED / "data/barriers/train.json.gz").bands
    names = {KNOWN[name] for name in OLIVINES}
    learned = sorted(band.target for band in bands if band.name in names if band.target)
    assert len(learned) == len(names)
    ours = sorted(literature()[name] for name in OLIVINES)
    assert said(r"DFT barriers of (\S+) to (\S+) eV, .*? potentials, (\S+) to (\S+) eV") == [
        learned[0], learned[-1], ours[0], ours[-1]
    ]  # fmt: skip


def literature() -> dict[str, float]:
    """The lowest barrier of every compound of the starter set, eV."""
    return {one.name: min(hop.barrier for hop in one.hops) for one in load_compounds(COMPOUNDS)}


@pytest.mark.slow
def test_starter_compounds_screened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands, shown, *_ = blocks(PAGE, "text")
    first, second = (line.split() for line in commands.splitlines())
    assert first[:3] == ["python", "-m", "training.starter"]
    assert CliRunner().invoke(starter, first[3:]).exit_code == 0
    assert second[0] == "linegraph"
    printed = linegraph(*second[1:], "--workers", 1, "--device", "cpu").stdout

    for expected, row in zip(rows_of(shown), rows_of(printed), strict=True):
        assert list(map(without_numbers, row)) == list(map(without_numbers, expected))
        numbers, those = (re.findall(r"\d+\.\d+", " ".join(cells)) for cells in (row, expected))
        np.testing.assert_allclose(
            np.array(numbers, dtype=float), np.array(those, dtype=float), atol=0.0101
        )
    speeds = "structures per second"
    for line, wanted in zip(after(printed), after(shown), strict=True):
        assert line == wanted or (line.startswith(speeds) and wanted.startswith(speeds))

    with Path("runs/starter/ranking.csv").open() as stream:
        found = {row["file"].removesuffix(".cif"): row for row in csv.DictReader(stream)}
    barriers = literature()
    new = [name for name in found if name not in KNOWN]
    assert said(r"is (\S+) for all (\d+), and (\S+) for the (\d+) that are not") == [
        rank(found, barriers, list(found)), len(found), rank(found, barriers, new), len(new)
    ]  # fmt: skip
    off = [abs(float(row["barrier_1D_eV"]) - barriers[name]) for name, row in found.items()]
    assert said(r"mean absolute difference is (\S+) eV") == [round(float(np.mean(off)), 2)]
    half = np.percentile([barriers[name] for name in found], [25, 75])
    np.testing.assert_allclose(said(r"lie between (\S+) and (\S+) eV"), half, atol=0.0051)
    missed = {
        name
        for name, row in found.items()
        if not float(row["low_1D_eV"]) <= barriers[name] <= float(row["high_1D_eV"])
    }
    inside = len(found) - len(missed)
    assert said(r"(\d+) of the (\d+) are in their 90 % intervals") == [inside, len(found)]
    assert "of the five that are not, four are olivines" in TEXT
    assert (len(missed), len(missed & set(OLIVINES))) == (5, 4)
    assert "Of the first six, four are olivines" in TEXT
    assert len(set(OLIVINES) & set(list(found)[:6])) == 4
    with Path("runs/starter/failures.csv").open() as stream:
        failed = {row["file"] for row in csv.DictReader(stream)}
    assert failed == {
        f"{host}.cif" for host in ("FePO4", "TiS2", "TiO2_anatase", "TiO2_rutile", "Si", "Ge")
    }


def after(shown: str) -> list[str]:
    """The lines below the table."""
    return shown[shown.rindex("┘") + 1 :].split("\n")[1:-1]


def rank(found: dict[str, dict[str, str]], barriers: dict[str, float], names: list[str]) -> float:
    predicted = [float(found[name]["barrier_1D_eV"]) for name in names]
    return round(float(spearmanr(predicted, [barriers[name] for name in names])[0]), 2)

"""Barriers of a potential beside the model: from a crystal by hops and neb to predict."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from linegraph.ensemble_file import load_ensemble, save_ensemble
from linegraph.prediction import predict, predict_bands
from tests.bands import settings, some_bands
from tests.ensembles import ensemble_of, with_potential
from tests.errors import message_of
from tests.integration.command import assert_says, linegraph, refused
from tests.integration.test_cli import table, write_structure
from tests.integration.test_judging_commands import without_plots
from tests.integration.test_predict import rows_of
from tests.integration.test_predict_page import Shown
from tests.linegraph.test_hops import structure
from training.data import load_bands
from training.files import write_csv
from training.predict_files import BandFile, predict_files
from training.records import write_bands
from training.starter import starter_bands

#: Atoms that repel each other, and no more than that.
CALCULATOR = "ase.calculators.lj:LennardJones"

BANDS = some_bands()[:3]


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that have learned of a potential."""
    path = tmp_path_factory.mktemp("weights") / "ensemble.safetensors"
    save_ensemble(path, with_potential(ensemble_of(starter_bands()[:14])))
    return path


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Three bands, and a table with a barrier of the second, and one that did not converge."""
    write_bands(tmp_path / "bands.json", BANDS)
    rows = [(BANDS[1].name, 0.45, True), (BANDS[2].name, 0.6, False), ("other", 0.3, True)]
    write_csv(tmp_path / "table.csv", ("sys_name", "m_eV", "converged"), rows)
    return tmp_path


def metrics_of(run: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return metrics


def words(given: Path, weights: Path) -> list[Any]:
    table_ = ["--neb", given / "table.csv", "--neb-column", "m_eV"]
    return ["predict", given / "bands.json", "--weights", weights, *table_]


def test_from_a_crystal_to_barriers_beside_a_neb(tmp_path: Path, beside: Path) -> None:
    """Each command takes what the one before has written."""
    structure("LiFePO4").to(filename=str(tmp_path / "LiFePO4.cif"))
    bands, run, out = tmp_path / "bands.json", tmp_path / "run", tmp_path / "out.csv"
    linegraph("hops", tmp_path / "LiFePO4.cif", "--max-length", 3.5, "--out", bands)
    neb = ["neb", "--data", bands, "--out", run, "--calculator", CALCULATOR, "--no-relax"]
    for option in ("sigma=1.7", "epsilon=0.02", "rc=4"):
        neb += ["--calculator-option", option]
    without_plots(*neb, "--fmax", 1000)
    (row,) = table(run / "barriers.csv")
    assert (row["sys_name"], row["converged"]) == ("LiFePO4_1", "True")
    barrier = float(row["barrier_eV"])
    assert 0.05 < barrier < 5
    shown = linegraph("predict", bands, "--neb", run, "--weights", beside, "--csv", out).stdout
    cells = [band.cell for band in load_bands(bands).bands]
    (expected,) = predict_bands(cells, weights=beside, potential=[barrier])
    assert expected != predict_bands(cells, weights=beside)[0]
    (found,) = rows_of(shown)
    assert found[:5] == [
        "LiFePO4_1", "Li", found[2], f"{barrier:.3f}", f"{expected.value:.3f}",
    ]  # fmt: skip
    of_crystal = ["predict", tmp_path / "LiFePO4.cif", "--max-length", 3.5, "--neb", run]
    (row_,) = rows_of(linegraph(*of_crystal, "--weights", beside).stdout)
    assert row_[2:] == found[3:]
    (cells_of,) = table(out)
    assert float(cells_of["potential_eV"]) == barrier
    assert float(cells_of["barrier_eV"]) == pytest.approx(expected.value, abs=1e-5)
    source = f"{CALCULATOR} (ase {version('ase')})"
    assert f"\nNEB: barriers of {source} for 1 of 1 hops\n" in shown
    assert (
        "\nNEB: what these are worth was learned with barriers of m_eV of table.csv (held out, an "
        "MAE of 0.125 instead of 0.250 eV)\n"
    ) in shown


def test_hops_of_a_crystal(tmp_path: Path, beside: Path) -> None:
    """They are recognised by the names that `hops` gives, and by their lengths."""
    pytest.importorskip("plotly")
    file, csv, page = (tmp_path / name for name in ("LiFePO4.cif", "table.csv", "page.html"))
    structure("LiFePO4").to(filename=str(file))
    plain = predict(file, weights=beside)
    lengths = [row.hop.length for row in plain.hops]
    columns = ("sys_name", "barrier_eV", "length_A")
    rows = [("LiFePO4_2", 0.01, lengths[1] + 0.002), ("LiCoO2_1", 0.3, 2.8)]
    write_csv(csv, columns, rows)
    told = ["predict", file, "--neb", csv, "--weights", beside]
    shown = linegraph(*told, "--html", page).stdout
    found = predict(file, weights=beside, potential={"Li1-Li1-2": 0.01})
    one, other = (row.barrier for row in found.hops)
    assert (one, other.potential) == (plain.hops[0].barrier, 0.01)
    assert (
        other
        == predict_bands([row.band for row in plain.hops], weights=beside, potential=[None, 0.01])[
            1
        ]
    )
    assert [row[2] for row in rows_of(shown)] == ["-", "0.010"]
    assert [row[3] for row in rows_of(shown)] == [f"{b.value:.3f}" for b in (one, other)]
    # Where the ion gets through follows from the barriers that are shown.
    for levels in (found.percolation, found.clear):
        assert {level.barrier for level in levels} <= {None, one.value, other.value}
    assert {ends for ends in found.intervals if ends} <= {
        (low, high) for low in (one.low, other.low) for high in (one.high, other.high)
    }
    assert found.in_words() != plain.in_words()
    for line in found.in_words():
        assert f"\n{line}\n" in shown
    assert "\nNEB: barriers of barrier_eV of table.csv for 1 of 2 hops\n" in shown
    text = " ".join(re.sub(r"<[^>]*>", " ", page.read_text()).split())
    assert "per cell NEB (eV) barrier (eV)" in text
    assert f"0.010 {other.value:.3f}" in text
    # Another crystal of this formula, and a table that does not tell.
    write_csv(csv, columns, [("LiFePO4_2", 0.01, lengths[1] + 0.02)])
    assert_says(refused(*told), csv, f"LiFePO4_2 is a hop of {lengths[1] + 0.02:.3f} Å there")
    write_csv(csv, columns[:2], [("LiFePO4_2", 0.01)])
    assert_says(refused(*told), csv, "field length_A", "does not tell the length of LiFePO4_2")
    write_csv(csv, columns, [("LiFePO4_3", 0.01, 5.0)])
    shown_ = linegraph(*told, code=2)
    assert_says(shown_.stderr, csv, "has a barrier of none of the 2 hops")
    line = message_of(lambda: predict(file, weights=beside, potential={"Li1": 0.3}))
    assert line == f"{file}, record 'Li1': no hop has this label: Li1-Li1-1, Li1-Li1-2"
    line = message_of(lambda: predict(file, weights=beside, potential={"Li1-Li1-2": -1}))
    assert line.startswith(f"{file}, record 'Li1-Li1-2', field potential: expected a barrier")


def test_bands_with_and_without(given: Path, beside: Path) -> None:
    pytest.importorskip("plotly")
    out = {name: given / f"out.{name}" for name in ("json", "csv", "html")}
    shown = linegraph(*words(given, beside), *(w for n in out for w in (f"--{n}", out[n]))).stdout
    cells = [band.cell for band in BANDS]
    before = predict_bands(cells, weights=beside)
    after = predict_bands(cells, weights=beside, potential=[None, 0.45, None])
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert [row[3] for row in rows_of(shown)] == ["-", "0.450", "-"]
    assert [row[4] for row in rows_of(shown)] == [f"{barrier.value:.3f}" for barrier in after]
    assert "\nNEB: barriers of m_eV of table.csv for 1 of 3 hops; 1 not used: not" in shown
    said = json.loads(out["json"].read_text())["bands"]
    assert [row["potential_eV"] for row in said] == [None, 0.45, None]
    assert [row["low_eV"] for row in said] == pytest.approx([one.low for one in after], rel=1e-5)
    assert [row["potential_eV"] for row in table(out["csv"])] == ["", "0.45", ""]
    page = " ".join(re.sub(r"<[^>]*>", " ", out["html"].read_text()).split())
    assert "NEB (eV) barrier (eV) 90 % interval (eV)" in page
    assert f"0.450 {after[1].value:.3f}" in page
    assert "NEB is the barrier of a potential" in page
    assert "best moved, with barriers of m_eV of table.csv." in page
    assert Shown(out["html"])
    # Without a table there is no such column.
    plain = linegraph("predict", given / "bands.json", "--weights", beside).stdout
    assert "NEB" not in plain


def test_structure_files_have_their_own_name(tmp_path: Path, beside: Path) -> None:
    files = [tmp_path / f"{name}.cif" for name in "abc"]
    for file in files:
        write_structure(file, BANDS[0])
    rows = [("a", 0.1), ("b.cif", 0.2), (str(files[2]), 0.3)]
    write_csv(tmp_path / "t.csv", ("sys_name", "barrier_eV"), rows)
    found = list(predict_files(files, beside, neb=tmp_path / "t.csv"))
    assert all(isinstance(one, BandFile) for one in found)
    barriers = [b.potential for one in found if isinstance(one, BandFile) for b in one.barriers]
    assert barriers == [0.1, 0.2, 0.3]


def test_tables_that_are_no_use(given: Path, beside: Path, weights: Path) -> None:
    assert_says(refused(*words(given, weights)), "have not learned what barriers of a potential")
    line = refused(*words(given, beside)[:-2])
    assert_says(line, given / "table.csv", "field barrier_eV: there is no such column", ": m_eV)")
    assert "--neb" in refused("predict", given / "bands.json", "--neb-column", "m_eV")
    write_csv(given / "table.csv", ("sys_name", "m_eV"), [("other", 0.3)])
    shown = linegraph(*words(given, beside), code=2)
    assert_says(shown.stderr, given / "table.csv", "has a barrier of none of the 3 hops")
    write_csv(given / "table.csv", ("sys_name", "m_eV"), [(BANDS[0].name, 300)])
    assert_says(refused(*words(given, beside)), f"record '{BANDS[0].name}' (line 2)", "0 to 10 eV")


def test_trained_and_evaluated_on_the_command_line(tmp_path: Path) -> None:
    """The starter set, and a potential that is right about all of it."""
    rows = [(band.name, band.target) for band in starter_bands()]
    write_csv(tmp_path / "t.csv", ("sys_name", "barrier_eV"), rows)
    run, neb = tmp_path / "run", ["--neb", tmp_path / "t.csv"]
    tiny = settings(epochs=1, model="MODEL-4", max_neighbors=4, keep="last")
    shown = without_plots("train", "--out", run, "--folds", 2, *neb, *tiny).stdout
    told = metrics_of(run)["potential"]
    assert (
        f"\nbeside NEB   MAE {told['mae_with']:.3f} instead of {told['mae']:.3f} eV on 37 "
        "held-out records, moved towards barriers of barrier_eV of t.csv\n"
    ) in shown
    assert load_ensemble(run).potential is not None
    maes = []
    for name, more in (("without", []), ("with", neb)):
        without_plots("evaluate", run, "--out", tmp_path / name, *more)
        maes.append(metrics_of(tmp_path / name)["all"]["mae"])
    assert maes[1] < 0.5 * maes[0]
    line = refused("train", "--out", tmp_path / "no", *neb, *tiny)
    assert_says(line, "field neb: one random split")
    assert not (tmp_path / "no").exists()

"""Empty sites that are found, on the way to barriers and rankings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linegraph import InputError
from linegraph.prediction import predict
from tests.integration.command import ROOT, linegraph
from tests.linegraph.test_hops import structure
from tests.linegraph.test_prediction import ByLength
from training.predict_files import CrystalFile, predict_files
from training.screen.run import screen
from training.starter.crystals import write_crystals


@pytest.fixture(scope="module")
def crystals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crystals")
    for name in ("LiMn2O4", "Li3OCl"):
        made = structure(name).get_primitive_structure()
        made.to(filename=str(folder / f"{name}.cif"))
    return folder


def test_what_is_said_of_a_crystal(crystals: Path) -> None:
    found = predict(
        crystals / "LiMn2O4.cif", weights=ByLength(), find_empty_sites=True, max_length=3
    )
    assert found.empty_sites is not None
    (site,) = found.empty_sites
    assert site.multiplicity == 4
    said = json.loads(json.dumps(found.as_dict()))
    assert said["empty_sites_found"] == [json.loads(json.dumps(site.as_dict()))]
    assert [row["hop"] for row in said["hops"]] == ["Li1-empty1-1", "empty1-empty1-1"]
    assert [(row["initial_empty"], row["final_empty"]) for row in said["hops"]] == [
        (False, True),
        (True, True),
    ]
    # By length, 8a to 16c is the easier one, and leads everywhere.
    assert found.percolation[2].barrier == found.hops[0].barrier.value


def test_nothing_is_said_where_none_are_looked_for(crystals: Path) -> None:
    found = predict(crystals / "LiMn2O4.cif", weights=ByLength(), max_length=4)
    assert found.empty_sites is None
    assert found.as_dict()["empty_sites_found"] is None
    assert not any(row["initial_empty"] or row["final_empty"] for row in found.as_dict()["hops"])
    none = predict(crystals / "Li3OCl.cif", weights=ByLength(), find_empty_sites=True, max_length=3)
    assert (none.empty_sites, none.as_dict()["empty_sites_found"]) == ((), [])
    assert len(none.hops) == 1


def test_files(crystals: Path) -> None:
    given = [crystals / "LiMn2O4.cif", crystals / "none.cif"]
    good, bad = predict_files(given, ByLength(), find_empty_sites=True, max_length=3)
    assert isinstance(good, CrystalFile)
    assert len(good.prediction.empty_sites or ()) == 1
    assert isinstance(bad, InputError)


def test_a_screening(crystals: Path, weights: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    how: dict[str, Any] = {"weights": weights, "max_length": 3.0, "workers": 1, "progress": False}
    found = screen(run, crystals, find_empty_sites=True, **how)
    assert {row.file: row.hops for row in found.ranking} == {"LiMn2O4.cif": 2, "Li3OCl.cif": 1}
    # Hops over empty sites and without them do not belong into one ranking.
    with pytest.raises(InputError, match="find_empty_sites"):
        screen(run, crystals, resume=True, **how)


def test_a_screening_ranks_hosts_without_the_ion(weights: Path, tmp_path: Path) -> None:
    crystals = tmp_path / "crystals"
    crystals.mkdir()
    structure("TiS2").to(filename=str(crystals / "TiS2.cif"))
    how: dict[str, Any] = {"weights": weights, "workers": 1, "progress": False}
    (row,) = screen(
        tmp_path / "run", crystals, "Li", find_empty_sites=True, max_length=2.5, **how
    ).ranking
    assert (row.file, row.hops) == ("TiS2.cif", 2)


def test_the_transcript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crystals").mkdir()
    write_crystals(tmp_path / "crystals")
    told = linegraph("predict", "crystals/LiMn2O4.cif", "--find-empty-sites").stdout.strip()
    page = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")
    assert len(told.splitlines()) > 8
    assert told in page
    whole = linegraph("predict", "crystals/LiMn2O4.cif").stdout
    assert "3.570" in whole
    assert "0.522" in whole

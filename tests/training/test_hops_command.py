"""From a structure file to hops and a file of bands."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure

from linegraph import Cell, InputError
from training.hops_command import find_hops
from training.read import read_bands

from ..linegraph.test_hops import structure


@pytest.fixture(scope="module")
def olivine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crystals") / "olivine.cif"
    structure("LiFePO4").to(str(path))
    return path


def test_hops_and_their_bands(olivine: Path, tmp_path: Path) -> None:
    found, sites = find_hops(olivine, tmp_path / "bands.json.gz")
    assert sites is None
    assert [row.band.name for row in found] == ["LiFePO4_1", "LiFePO4_2"]
    assert [row.band.system for row in found] == ["LiFePO4", "LiFePO4"]
    assert [row.hop.length for row in found] == pytest.approx([3.005, 4.692], abs=1e-3)
    assert found[0].approach == pytest.approx(1.45, abs=0.01)
    written = read_bands(tmp_path / "bands.json.gz").bands
    assert [band.name for band in written] == ["LiFePO4_1", "LiFePO4_2"]
    assert all(isinstance(band.cell, Cell) and band.target is None for band in written)


def test_options_reach_the_search(olivine: Path) -> None:
    assert len(find_hops(olivine, max_length=3.5).hops) == 1
    assert len(find_hops(olivine, max_length=3.5, min_width=4.0).hops[0].band.cell) == 28 + 3
    assert [row.hop.ion for row in find_hops(olivine, ion="Fe", max_length=4.0).hops] == ["Fe"]


def test_problems_name_the_file(olivine: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"olivine\.cif, field max_length: no hop of Li"):
        find_hops(olivine, max_length=1.0)
    with pytest.raises(InputError, match=r"bands\.txt: the name must end in \.json"):
        find_hops(olivine, tmp_path / "bands.txt")


def test_the_crystal_is_not_written_over(tmp_path: Path) -> None:
    """What is wrong with the file to write is said before anything is looked for."""
    path = tmp_path / "olivine.json"
    structure("LiFePO4").to(str(path))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"olivine\.json: cannot be written \(it is an input"):
        find_hops(path, path)
    assert path.read_bytes() == before
    with pytest.raises(InputError, match=r"bands\.json: cannot be written \(no such folder"):
        find_hops(path, tmp_path / "nowhere" / "bands.json", max_length=1.0)


def test_hops_over_sites_that_are_found(tmp_path: Path) -> None:
    spinel = tmp_path / "spinel.cif"
    structure("LiMn2O4").to(str(spinel))
    found, sites = find_hops(spinel, find_empty_sites=True, max_length=2.0)
    assert sites is not None
    assert [(site.name, site.multiplicity) for site in sites] == [("empty1", 16)]
    assert [row.hop.label for row in found] == ["Li1-empty1-1"]
    # With 8b, which a user names, 16c is the second kind.
    found, sites = find_hops(
        spinel, empty_sites=[[0.5, 0.5, 0.5]], find_empty_sites=True, max_length=2.0
    )
    assert sites is not None
    assert [site.name for site in sites] == ["empty2"]
    assert found[0].hop.label == "Li1-empty2-1"


def test_no_site_at_all(tmp_path: Path) -> None:
    metal = tmp_path / "metal.cif"
    Structure(Lattice.cubic(2.87), ["Fe", "Fe"], [[0] * 3, [0.5] * 3]).to(str(metal))
    with pytest.raises(InputError, match=r"metal\.cif, field ion: .* no Li .* nor an empty site"):
        find_hops(metal, ion="Li", find_empty_sites=True)

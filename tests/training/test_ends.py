"""Records of two end structures instead of a band: reading, writing, and learning from them."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import linegraph
from linegraph import Cell, CrystalGraph, Ends, InputError
from linegraph.weights import save_weights
from training.bands import Band
from training.data import load_bands, summarise
from training.graphs import build_graphs
from training.predict import predict
from training.read import read_bands
from training.records import write_bands
from training.train import evaluate

from .. import goldens
from ..bands import rock_salt_band

BARRIERS = goldens.SHARED / "data" / "barriers"

#: Published final structures with a relaxed cell and host of their own (the data card).
RELAXED = {
    "CaCr2S3O12",
    "VPO4F_Rb_3",
    "CaMn2S3O12",
    "Ca1.5Mn2F7_1",
    "d-V2O5_Al",
    "Ca0.5MnF3",
    "LiMn2O4",
    "Mg2Mo3O8_2",
    "Ca1.5Ni2F7_3",
    "Ti2F7_Ca_3",
}

ATOMS: dict[str, Any] = {
    "lattice_mat": [[8.0, 0.0, 0.0], [0.5, 9.0, 0.0], [0.0, -0.25, 10.0]],
    "coords": [[-0.25, 0.5, 0.5], [0.0, 0.0, 0.0], [0.5, 0.0, 0.25], [0.5, 0.0, 0.75]],
    "elements": ["Li", "Co", "O", "O"],
}
GOOD: dict[str, Any] = {
    "sys_name": "LiCoO2_1",
    "class": "LAYERED",
    "target": 0.25,
    "atoms_ini": ATOMS,
    "atoms_fin": {
        **ATOMS,
        "lattice_mat": [[8.1, 0.0, 0.0], [0.5, 9.0, 0.0], [0.0, -0.25, 10.2]],
        "coords": [[0.25, 0.5, 0.5], *ATOMS["coords"][1:]],
    },
}

Change = Callable[[dict[str, Any]], object]


def written(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "ends.json"
    path.write_text(json.dumps(records))
    return path


def some_ends(count: int = 3) -> list[Band]:
    """Hops in rock salts, the final structures in a cell of their own."""
    bands = []
    for i in range(count):
        band = rock_salt_band(a=4.0 + 0.1 * i, jitter=i)
        final = band.without([0, 1, 2, 3])
        ends = Ends(band.without([1, 2, 3, 4]), stretched(final, 1.01))
        bands.append(Band(f"x_{i}", ends, 0.1 + 0.2 * i, "other", "OXIDES", "measured"))
    return bands


def stretched(cell: Cell, by: float) -> Cell:
    return Cell(by * cell.lattice, cell.frac, cell.numbers)


def test_a_record_becomes_ends(tmp_path: Path) -> None:
    (band,) = read_bands(written(tmp_path, GOOD)).bands
    assert (band.name, band.system, band.target) == ("LiCoO2_1", "LiCoO2", 0.25)
    assert isinstance(band.cell, Ends)
    for cell, key in zip(band.structures, ("atoms_ini", "atoms_fin"), strict=True):
        np.testing.assert_array_equal(cell.lattice, GOOD[key]["lattice_mat"])
        np.testing.assert_array_equal(cell.frac, GOOD[key]["coords"])
        assert cell.numbers.tolist() == [3, 27, 8, 8]


def test_cartesian_coordinates_of_one_end(tmp_path: Path) -> None:
    atoms = GOOD["atoms_fin"]
    cart = (np.array(atoms["coords"]) @ np.array(atoms["lattice_mat"])).tolist()
    record = {**GOOD, "atoms_fin": {**atoms, "coords": cart, "cartesian": True}}
    (band,) = read_bands(written(tmp_path, record)).bands
    np.testing.assert_allclose(band.structures[1].frac, atoms["coords"], atol=1e-14)
    np.testing.assert_array_equal(band.structures[0].frac, ATOMS["coords"])


def change(end: str, key: str, value: Any) -> Change:
    return lambda record: record[end].__setitem__(key, value)


def move(end: str, atom: int, to: list[float]) -> Change:
    return lambda record: record[end]["coords"].__setitem__(atom, to)


BAD: dict[str, tuple[Change, str, str]] = {
    "one end": (lambda r: r.pop("atoms_fin"), "atoms_fin", "missing"),
    "the other end": (lambda r: r.update(atoms_ini=None), "atoms_ini", "missing"),
    "an end no object": (lambda r: r.update(atoms_ini=[1]), "atoms_ini", "expected an object"),
    "band and ends": (lambda r: r.update(atoms=ATOMS), "atoms", "give either this or atoms_ini"),
    "no coords": (lambda r: r["atoms_fin"].pop("coords"), "atoms_fin.coords", "missing"),
    "coords flat": (change("atoms_ini", "coords", [1, 2]), "atoms_ini.coords", "shape (2,)"),
    "coords NaN": (move("atoms_fin", 2, [0, np.nan, 0]), "atoms_fin.coords", "atom 2 is NaN"),
    "lattice text": (
        change("atoms_ini", "lattice_mat", [["a"] * 3]),
        "atoms_ini.lattice_mat",
        "not a number",
    ),
    "lattice singular": (
        change("atoms_fin", "lattice_mat", [[9, 0, 0], [0, 9, 0], [9, 9, 0]]),
        "atoms_fin.lattice_mat",
        "singular",
    ),
    "lattice thin": (
        change("atoms_fin", "lattice_mat", [[9, 0, 0], [0, 9, 0], [0, 0, 0.015]]),
        "atoms_fin.lattice_mat",
        "thick",
    ),
    "unknown element": (
        change("atoms_ini", "elements", ["Li", "Xx", "O", "O"]),
        "atoms_ini.elements",
        "atom 1: unknown element 'Xx'",
    ),
    "cartesian text": (change("atoms_fin", "cartesian", "no"), "atoms_fin.cartesian", "true or"),
    "another composition": (
        change("atoms_fin", "elements", ["Li", "Ni", "O", "O"]),
        "atoms_fin.elements",
        "made of Li1 O2 Ni1, but the initial structure of Li1 O2 Co1",
    ),
    "another ion": (
        change("atoms_fin", "elements", ["O", "Co", "O", "Li"]),
        "atoms_fin.elements",
        "is O, but Li in the initial",
    ),
    "one site, initial": (
        move("atoms_ini", 1, [0.5, 1.0, -0.75]),
        "atoms_ini.coords",
        "atoms 1 and 2 are on one site",
    ),
    "one site, final": (
        move("atoms_fin", 0, [0.5, 0.0, 0.75]),
        "atoms_fin.coords",
        "atoms 0 and 3 are on one site",
    ),
    "no hop": (
        move("atoms_fin", 0, [0.75, 0.5, -0.5]),
        "atoms_fin.coords",
        "is where it was in the initial structure",
    ),
}


@pytest.mark.parametrize(("wrong", "field", "fragment"), BAD.values(), ids=BAD.keys())
def test_a_bad_end_is_named_with_its_field(
    tmp_path: Path, wrong: Change, field: str, fragment: str
) -> None:
    record = {**copy.deepcopy(GOOD), "sys_name": "bad"}
    wrong(record)
    path = written(tmp_path, GOOD, record)
    with pytest.raises(InputError) as caught:
        read_bands(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, record 'bad' (number 2), field {field}: ")
    assert fragment in message
    kept = read_bands(path, skip_bad=True)
    assert [band.name for band in kept.bands] == ["LiCoO2_1"]
    assert [str(error) for error in kept.skipped] == [message]


def test_what_is_written_reads_back_exactly(tmp_path: Path) -> None:
    expected = [*some_ends(), Band("band", rock_salt_band(jitter=7), None, "band")]
    write_bands(tmp_path / "mixed.json.gz", expected)
    found = read_bands(tmp_path / "mixed.json.gz").bands
    for ours, theirs in zip(found, expected, strict=True):
        for field in ("name", "target", "system", "family", "source"):
            assert getattr(ours, field) == getattr(theirs, field)
        assert isinstance(ours.cell, Ends) == isinstance(theirs.cell, Ends)
        for a, b in zip(ours.structures, theirs.structures, strict=True):
            for field in ("lattice", "frac", "numbers"):
                np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


def test_ends_are_counted(tmp_path: Path) -> None:
    write_bands(tmp_path / "a.json", [*some_ends(), Band("b", rock_salt_band("Na"), None)])
    found = summarise(load_bands(tmp_path / "a.json"))
    assert (found.records, found.with_target, found.ends_only) == (4, 3, 3)
    assert found.atoms == (15, 15.0, 19)
    assert found.ions == {"Li": 3, "Na": 1}
    assert found.families == {"OXIDES": 3, "(none)": 1}


SIZES = {"hidden": 8, "alignn_layers": 1, "conv_layers": 1}


def a_model(name: str) -> Any:
    torch.manual_seed(1)
    model = linegraph.build_model(name, **SIZES).eval()
    with torch.no_grad():
        for weight in model.parameters():
            # As it is drawn, an untrained model says nearly the same of any structure.
            weight.mul_(3 if weight.ndim > 1 else 1)
    return model


def test_a_model_of_two_structures_reads_each_in_its_own_cell() -> None:
    model, records = a_model("MODEL-1-CC"), some_ends()
    found = predict(model, build_graphs(records, model.views, {}))
    for band, value in zip(records, found, strict=True):
        graphs = (linegraph.LineGraph()(linegraph.crystal_graph(c)) for c in band.structures)
        alone = model(dict(zip(("initial", "final"), graphs, strict=True)))
        assert value == pytest.approx(alone.item(), abs=1e-5)
    initial, final = records[0].structures
    as_in_a_band = replace(records[0], cell=Ends(initial, stretched(final, 1 / 1.01)))
    (other,) = predict(model, build_graphs([as_in_a_band], model.views, {}))
    assert abs(other - found[0]) > 5e-4


def test_a_model_of_the_path_refuses_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEGRAPH_CACHE", str(tmp_path / "cache"))
    data = written(tmp_path, GOOD)
    save_weights(tmp_path / "w.safetensors", a_model("MODEL-3"), "MODEL-3", SIZES, {})
    with pytest.raises(InputError) as caught:
        evaluate(tmp_path / "w.safetensors", data, tmp_path / "out")
    assert str(caught.value) == (
        f"{data}, record 'LiCoO2_1': 'band' needs the whole path; there are only its two ends"
    )


# --- the published data ---------------------------------------------------------------------------


def bonds(graph: CrystalGraph, gauge: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Sorted bonds ``(source, target, image, copies)`` and their vectors.

    Images are counted from the places of another structure's atoms, so that atoms that differ by
    lattice translations have the same bonds.
    """
    (source, target), vectors = graph.edge_index.numpy(), graph.edge_vec.numpy()
    shift = vectors @ np.linalg.inv(graph.cell[0].numpy())
    image = np.rint(shift - gauge.frac[target] + gauge.frac[source]).astype(int)
    rows = np.column_stack([source, target, image, graph.multiplicity.numpy()])
    order = np.lexsort(rows.T)
    return rows[order], vectors[order]


def same(ours: CrystalGraph, theirs: CrystalGraph, gauge: Cell) -> bool:
    (a, va), (b, vb) = bonds(ours, gauge), bonds(theirs, gauge)
    return np.array_equal(a, b) and bool(np.abs(va - vb).max() <= 1e-9)


@goldens.needs_data
def test_published_ends_are_those_of_the_band_but_for_ten() -> None:
    bands = read_bands(BARRIERS / "test.json.gz").bands
    ends = read_bands(BARRIERS / "endpoints_test.json.gz").bands
    assert len(bands) == len(ends) == 60
    different = set()
    for band, pair in zip(bands, ends, strict=True):
        assert (band.name, band.system, band.family) == (pair.name, pair.system, pair.family)
        cut, given = (
            linegraph.views(b.cell, ["initial", "final"], line_graph=False, dtype=torch.float64)
            for b in (band, pair)
        )
        for key in cut["initial"].keys():  # noqa: SIM118
            assert cut["initial"][key].equal(given["initial"][key]), (band.name, key)
        assert cut["final"].z.equal(given["final"].z), band.name
        if not same(given["final"], cut["final"], band.structures[0].without([0, 1, 2, 3])):
            different.add(band.name)
    assert different == RELAXED


@goldens.needs_data
def test_published_ends_survive_a_round_trip(tmp_path: Path) -> None:
    published = BARRIERS / "endpoints_test.json.gz"
    write_bands(tmp_path / "again.json.gz", read_bands(published).bands)
    before, after = (
        json.loads(gzip.decompress(path.read_bytes()))
        for path in (published, tmp_path / "again.json.gz")
    )
    for ours, theirs in zip(after, before, strict=True):
        assert sorted(ours) == sorted(theirs)
        assert sorted(ours["formula"].split()) == sorted(theirs["formula"].split())
        for key in ("jid", "sys_name", "class"):
            assert ours[key] == theirs[key]
        for end in ("atoms_ini", "atoms_fin"):
            for key in ("lattice_mat", "coords", "elements", "cartesian", "props"):
                assert ours[end][key] == theirs[end][key]
            for key in ("abc", "angles"):
                np.testing.assert_allclose(ours[end][key], theirs[end][key], atol=1e-3)

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linegraph.elements import SYMBOLS, Z_OF
from linegraph.errors import InputError
from linegraph.overlap import closest_pair
from linegraph.structure import Cell
from training.bands import Band
from training.read import read_bands
from training.records import system_of, write_bands

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "barriers"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the published barriers are not at ../shared/data/barriers"
)

GOOD: dict[str, Any] = {
    "jid": 7,
    "sys_name": "LiCoO2_1",
    "class": "LAYERED",
    "formula": "Li5 Co1 O2",
    "target": 0.25,
    "atoms": {
        "lattice_mat": [[8.0, 0.0, 0.0], [0.5, 9.0, 0.0], [0.0, -0.25, 10.0]],
        "coords": [
            *([-0.25 + 0.125 * i, 0.5, 0.5] for i in range(5)),
            [0.0, 0.0, 0.0],
            [0.5, 0.0, 0.25],
            [0.5, 0.0, 0.75],
        ],
        "elements": ["Li"] * 5 + ["Co", "O", "O"],
        "cartesian": False,
    },
}

Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    record = copy.deepcopy(GOOD)
    change(record)
    return record


def renamed(name: str, **values: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), "sys_name": name, **values}


def written(folder: Path, records: Any) -> Path:
    path = folder / "bands.json"
    path.write_text(json.dumps(records))
    return path


def message_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_bands(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_record_becomes_a_band(tmp_path: Path) -> None:
    (band,) = read_bands(written(tmp_path, [GOOD])).bands
    assert (band.name, band.system, band.family) == ("LiCoO2_1", "LiCoO2", "LAYERED")
    assert band.target == 0.25
    np.testing.assert_array_equal(band.cell.lattice, GOOD["atoms"]["lattice_mat"])
    np.testing.assert_array_equal(band.cell.frac, GOOD["atoms"]["coords"])
    assert band.cell.numbers.tolist() == [3] * 5 + [27, 8, 8]


def test_cartesian_coordinates_are_converted(tmp_path: Path) -> None:
    atoms = GOOD["atoms"]
    cart = (np.array(atoms["coords"]) @ np.array(atoms["lattice_mat"])).tolist()
    record = renamed("a", atoms={**atoms, "coords": cart, "cartesian": True})
    (band,) = read_bands(written(tmp_path, [record])).bands
    np.testing.assert_allclose(band.cell.frac, atoms["coords"], atol=1e-14)


def test_target_may_be_absent_or_null(tmp_path: Path) -> None:
    absent = renamed("a")
    del absent["target"]
    bands = read_bands(written(tmp_path, [absent, renamed("b", target=None)])).bands
    assert [band.target for band in bands] == [None, None]


def test_names_fall_back_to_jid_and_position(tmp_path: Path) -> None:
    records = [changed(lambda r: r.pop("sys_name")) for _ in range(3)]
    records[1]["jid"] = "mp-1"
    del records[2]["jid"]
    assert [band.name for band in read_bands(written(tmp_path, records)).bands] == [
        "7",
        "mp-1",
        "3",
    ]


def test_an_explicit_system_wins(tmp_path: Path) -> None:
    (band,) = read_bands(written(tmp_path, [renamed("LiCoO2_1", system="O3")])).bands
    assert band.system == "O3"


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("LiCoO2_1", "LiCoO2"),
        ("LiCoO2_12", "LiCoO2"),
        ("b-Li3PS4_9", "b-Li3PS4"),
        ("TiO2_Li", "TiO2_Li"),
        ("Na2MnSiO4_pc_1", "Na2MnSiO4_pc"),
        ("V2O5_1_2", "V2O5_1"),
        ("LiCoO2", "LiCoO2"),
        ("Li_2CoO2", "Li_2CoO2"),
        ("_1", "_1"),
        ("12", "12"),
    ],
)
def test_system_of(name: str, system: str) -> None:
    assert system_of(name) == system


def set_atoms(key: str, value: Any) -> Change:
    return lambda record: record["atoms"].__setitem__(key, value)


def set_coord(atom: int, axis: int, value: float) -> Change:
    return lambda record: record["atoms"]["coords"][atom].__setitem__(axis, value)


def move(atom: int, to: list[Any]) -> Change:
    return lambda record: record["atoms"]["coords"].__setitem__(atom, to)


def swap_images(i: int, j: int) -> Change:
    def change(record: dict[str, Any]) -> None:
        coords = record["atoms"]["coords"]
        coords[i], coords[j] = coords[j], coords[i]

    return change


def keep(atoms: int) -> Change:
    def change(record: dict[str, Any]) -> None:
        record["atoms"]["coords"] = record["atoms"]["coords"][:atoms]
        record["atoms"]["elements"] = record["atoms"]["elements"][:atoms]

    return change


def pop_atoms(key: str) -> Change:
    return lambda record: record["atoms"].pop(key)


def set_(key: str, value: Any) -> Change:
    return lambda record: record.__setitem__(key, value)


BAD: dict[str, tuple[Change, str, str]] = {
    "no atoms": (lambda r: r.pop("atoms"), "atoms", "missing, and so are atoms_ini and atoms_fin"),
    "atoms a list": (set_("atoms", []), "atoms", "expected an object"),
    "no lattice": (pop_atoms("lattice_mat"), "atoms.lattice_mat", "missing"),
    "no coords": (pop_atoms("coords"), "atoms.coords", "missing"),
    "no elements": (pop_atoms("elements"), "atoms.elements", "missing"),
    "lattice 2 x 3": (set_atoms("lattice_mat", [[9, 0, 0], [0, 9, 0]]), "atoms.lattice_mat", "3"),
    "lattice flat": (set_atoms("lattice_mat", [9, 9, 9]), "atoms.lattice_mat", "shape (3,)"),
    "lattice ragged": (
        set_atoms("lattice_mat", [[9, 0, 0], [0, 9], [0, 0, 9]]),
        "atoms.lattice_mat",
        "different lengths",
    ),
    "lattice of text": (
        set_atoms("lattice_mat", [["9", "0", "0"], ["0", "9", "0"], ["0", "0", "9"]]),
        "atoms.lattice_mat",
        "not a number",
    ),
    "coords two wide": (set_atoms("coords", [[0.5, 0.5]] * 8), "atoms.coords", "shape (8, 2)"),
    "coords ragged": (move(6, [0.5, 0.5]), "atoms.coords", "different lengths"),
    "coords a number": (set_atoms("coords", 5), "atoms.coords", "shape ()"),
    "coords with null": (move(6, [0.5, 0.5, None]), "atoms.coords", "not a number"),
    "coords huge integer": (move(6, [0, 0, 10**400]), "atoms.coords", "not a number"),
    "coords fewer": (lambda r: r["atoms"]["coords"].pop(), "atoms.coords", "8 elements"),
    "elements text": (set_atoms("elements", "Li"), "atoms.elements", "list of symbols"),
    "elements numbers": (set_atoms("elements", [3] * 8), "atoms.elements", "unknown element 3"),
    "element unknown": (
        set_atoms("elements", ["Li"] * 5 + ["Co", "Xx", "O"]),
        "atoms.elements",
        "atom 6: unknown element 'Xx'",
    ),
    "four atoms": (keep(4), "atoms.elements", "4 atoms"),
    "no atoms at all": (keep(0), "atoms.coords", "shape (0,)"),
    "images differ": (
        set_atoms("elements", ["Li", "Li", "Na", "Li", "Li", "Co", "O", "O"]),
        "atoms.elements",
        "Li Li Na Li Li",
    ),
    "coord NaN": (set_coord(6, 1, math.nan), "atoms.coords", "atom 6"),
    "coord infinite": (set_coord(3, 0, -math.inf), "atoms.coords", "atom 3"),
    "lattice NaN": (
        set_atoms("lattice_mat", [[math.nan, 0, 0], [0, 9, 0], [0, 0, 9]]),
        "atoms.lattice_mat",
        "NaN",
    ),
    "lattice infinite": (
        set_atoms("lattice_mat", [[9, 0, 0], [0, math.inf, 0], [0, 0, 9]]),
        "atoms.lattice_mat",
        "infinite",
    ),
    "lattice singular": (
        set_atoms("lattice_mat", [[9, 0, 0], [0, 9, 0], [9, 9, 0]]),
        "atoms.lattice_mat",
        "singular",
    ),
    "lattice singular, coords cartesian": (
        lambda r: r["atoms"].update(lattice_mat=[[9, 0, 0], [0, 9, 0], [0, 0, 0]], cartesian=True),
        "atoms.lattice_mat",
        "singular",
    ),
    "lattice too thin": (
        set_atoms("lattice_mat", [[9, 0, 0], [0, 9, 0], [0, 0, 0.015]]),
        "atoms.lattice_mat",
        "thick",
    ),
    "cartesian text": (set_atoms("cartesian", "yes"), "atoms.cartesian", "true or false"),
    "target NaN": (set_("target", math.nan), "target", "NaN"),
    "target infinite": (set_("target", math.inf), "target", "infinite"),
    "target huge integer": (set_("target", 10**400), "target", "infinite"),
    "target negative": (
        set_("target", -0.3),
        "target",
        "0 to 10 eV, got -0.3",
    ),
    "target in meV": (set_("target", 300), "target", "got 300.0: is it in eV?"),
    "target bool": (set_("target", True), "target", "expected a number, got true"),
    "target text": (set_("target", "0.5"), "target", 'expected a number, got "0.5"'),
    "target list": (set_("target", [0.5]), "target", "expected a number, got a list"),
    "images in another order": (
        swap_images(1, 2),
        "atoms.coords",
        "Å in the order 0, 2, 1, 3, 4",
    ),
    "class a number": (set_("class", 5), "class", "expected text"),
    "system a number": (set_("system", 5), "system", "expected text"),
    "host atoms on one site": (move(6, [0.0, 0.0, 0.0]), "atoms.coords", "atoms 5 and 6"),
    "across a face": (move(6, [0.9999, 1.0, -1.0]), "atoms.coords", "atoms 5 and 6"),
    "first image on host": (move(5, [-0.25, 0.5, 0.5]), "atoms.coords", "atoms 0 and 5"),
    "last image on host": (move(7, [0.25, -0.5, 1.5]), "atoms.coords", "atoms 4 and 7"),
    "images on one site": (move(2, [-0.125, 0.5, 0.5]), "atoms.coords", "atoms 1 and 2"),
    "hop ends where it began": (move(4, [0.75, 0.5, 0.5]), "atoms.coords", "atoms 0 and 4"),
}


@pytest.mark.parametrize(("change", "field", "fragment"), BAD.values(), ids=BAD.keys())
def test_a_bad_record_is_named_with_its_field(
    tmp_path: Path, change: Change, field: str, fragment: str
) -> None:
    path = written(tmp_path, [renamed("a"), renamed("b"), changed(change)])
    message = message_of(path)
    assert f"record 'LiCoO2_1' (number 3), field {field}: " in message
    assert fragment in message

    kept = read_bands(path, skip_bad=True)
    assert [band.name for band in kept.bands] == ["a", "b"]
    (skipped,) = kept.skipped
    assert str(skipped) == message
    assert skipped.file == path
    assert skipped.field == field


NAMELESS: dict[str, tuple[Any, str, str]] = {
    "name a number": (renamed("x", sys_name=5), "sys_name", "expected text"),
    "name with a line break": (renamed("a\nb"), "sys_name", "cannot be printed"),
    "name half a character": (renamed("\ud800"), "sys_name", "cannot be printed"),
    "jid a list": (changed(lambda r: r.update(sys_name="", jid=[1])), "jid", "expected text"),
    "bad target": (changed(lambda r: r.update(sys_name=None, target="x")), "target", "number"),
}


@pytest.mark.parametrize(("record", "field", "fragment"), NAMELESS.values(), ids=NAMELESS.keys())
def test_a_record_without_usable_name_is_told_by_position(
    tmp_path: Path, record: Any, field: str, fragment: str
) -> None:
    message = message_of(written(tmp_path, [renamed("a"), record]))
    assert f"record number 2, field {field}: " in message
    assert fragment in message


@pytest.mark.parametrize("record", [5, None, "LiCoO2_1", [GOOD]], ids=str)
def test_a_record_has_to_be_an_object(tmp_path: Path, record: Any) -> None:
    assert "record number 2: expected an object" in message_of(written(tmp_path, [GOOD, record]))


def test_names_are_unique(tmp_path: Path) -> None:
    path = written(tmp_path, [renamed("a"), renamed("b"), renamed("a", target=0.5)])
    expected = "record 'a' (number 3), field sys_name: same name as record number 1"
    assert expected in message_of(path)
    kept = read_bands(path, skip_bad=True)
    assert [(band.name, band.target) for band in kept.bands] == [("a", 0.25), ("b", 0.25)]
    assert expected in str(kept.skipped[0])


FILES: dict[str, tuple[str, bytes, str]] = {
    "not JSON": ("a.json", b"hello", "no valid JSON"),
    "empty": ("a.json", b"", "no valid JSON"),
    "cut off": ("a.json", json.dumps([GOOD]).encode()[:-20], "no valid JSON"),
    "no UTF-8": ("a.json", b'[{"sys_name": "\xff"}]', "no valid JSON"),
    "nested": ("a.json", b"[" * 200_000, "nested too deeply"),
    "number too long": ("a.json", b"[" + b"1" * 5000 + b"]", "no valid JSON"),
    "no gzip": ("a.json.gz", json.dumps([GOOD]).encode(), "gzip"),
    "gzip cut off": ("a.json.gz", gzip.compress(json.dumps([GOOD]).encode())[:-30], "gzip"),
    "gzip damaged": ("a.json.gz", b"\x1f\x8b\x08\x00" + b"\x07" * 60, "gzip"),
    "gzip without tail": ("a.json.gz", gzip.compress(b"[]")[:-4], "gzip"),
    "an object": ("a.json", json.dumps(GOOD).encode(), "expected a list of records, got an object"),
    "a number": ("a.json", b"5", "expected a list of records, got 5"),
    "no records": ("a.json", b"[]", "empty"),
    "another kind": ("a.cif", b"data_x", "expected a .json or .json.gz file"),
}


@pytest.mark.parametrize(("name", "data", "fragment"), FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_bad_file_is_named(
    tmp_path: Path, name: str, data: bytes, fragment: str, skip_bad: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_bands(path, skip_bad=skip_bad)
    assert str(caught.value).startswith(f"{path}: ")
    assert fragment in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in message_of(tmp_path / "none.json")


def test_something_has_to_be_left(tmp_path: Path) -> None:
    path = written(tmp_path, [renamed("a", target="x"), renamed("b", target="y")])
    with pytest.raises(InputError, match="none of 2 records can be used; the first: .*'a'"):
        read_bands(path, skip_bad=True)


def test_images_between_the_ends_may_cross_a_host_atom(tmp_path: Path) -> None:
    record = changed(move(5, [0.125, 0.5, 0.5]))  # image 3
    assert len(read_bands(written(tmp_path, [record])).bands) == 1


@pytest.mark.parametrize(("apart", "fine"), [(0.0139, True), (0.0101, True), (0.0099, False)])
def test_sites_are_one_below_a_hundredth(tmp_path: Path, apart: float, fine: bool) -> None:
    path = written(tmp_path, [changed(move(6, [apart / 8.0, 0.0, 0.0]))])
    if fine:
        assert len(read_bands(path).bands) == 1
    else:
        assert "atoms 5 and 6" in message_of(path)


def test_fingerprint_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, [GOOD])
    found = read_bands(path)
    assert found.path == path
    assert found.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_bands(written(tmp_path, [renamed("b")])).fingerprint != found.fingerprint


def test_symbols_match_a_structure_library() -> None:
    from ase.data import chemical_symbols

    assert list(SYMBOLS) == chemical_symbols[1:104]
    assert (Z_OF["H"], Z_OF["Lr"], len(Z_OF)) == (1, 103, 103)


# --- writing --------------------------------------------------------------------------------------


def some_bands() -> list[Band]:
    rng = np.random.default_rng(0)
    frac = np.vstack(
        [np.linspace([-0.4, 0.3, 0.1], [0.2, 0.35, 0.1], 5), [[0.5, 0.8, 1 / 3], [0.1, 0.7, 2 / 3]]]
    )
    cells = [
        Cell(rng.normal(size=(3, 3)) + 9 * np.eye(3), frac, [11] * 5 + [z, 8]) for z in (26, 103)
    ]
    return [
        Band("NaFeO_1", cells[0], 0.1 + 0.2, "NaFeO", "OXIDES"),
        Band("NaLrO", cells[1], None, "other", "", "measured"),
    ]


@pytest.mark.parametrize("name", ["bands.json", "bands.json.gz"])
def test_what_is_written_reads_back_exactly(tmp_path: Path, name: str) -> None:
    write_bands(tmp_path / name, some_bands())
    found = read_bands(tmp_path / name).bands
    for band, expected in zip(found, some_bands(), strict=True):
        assert (band.name, band.target, band.system, band.family, band.source) == (
            expected.name,
            expected.target,
            expected.system,
            expected.family,
            expected.source,
        )
        np.testing.assert_array_equal(band.cell.lattice, expected.cell.lattice)
        np.testing.assert_array_equal(band.cell.frac, expected.cell.frac)
        np.testing.assert_array_equal(band.cell.numbers, expected.cell.numbers)


def test_the_form_is_the_published_one(tmp_path: Path) -> None:
    write_bands(tmp_path / "a.json", some_bands())
    first, second = json.loads((tmp_path / "a.json").read_text())
    assert list(first) == ["jid", "sys_name", "class", "formula", "target", "atoms"]
    assert "target" not in second
    assert second["system"] == "other"
    assert first["formula"] == "Na5 Fe1 O1"
    assert second["jid"] == 1
    assert first["atoms"]["props"] == [""] * 7


def test_equal_bands_are_equal_files(tmp_path: Path) -> None:
    for name in ("a.json.gz", "b.json.gz"):
        write_bands(tmp_path / name, some_bands())
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_bands(path, some_bands())
    before = path.read_bytes()
    good, other = some_bands()
    bad = [
        ([good, good], "two bands have this name"),
        ([good, Band("x", other.cell, math.nan)], "field target: NaN"),
    ]
    for bands, fragment in bad:
        with pytest.raises(InputError, match=fragment):
            write_bands(path, bands)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_unusable_places_to_write_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "a.csv", tmp_path / "none" / "a.json"):
        with pytest.raises(InputError) as caught:
            write_bands(path, some_bands())
        assert str(path) in str(caught.value)


# --- atoms on one another -------------------------------------------------------------------------


def brute_force(cell: Cell, reach: int = 6) -> float:
    """Smallest distance over all pairs and all translations up to ``reach``."""
    steps = np.arange(-reach, reach + 1)
    shifts = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3) @ cell.lattice
    apart = (cell.cart[:, None] - cell.cart[None])[:, :, None] + shifts
    distances = np.linalg.norm(apart, axis=-1)
    itself = int(np.flatnonzero((shifts == 0).all(axis=1))[0])
    for atom in range(len(cell)):
        distances[atom, atom, itself] = np.inf
    return float(distances.min())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("size", [0.1, 1.0, 6.0])
def test_closest_pair_agrees_with_brute_force(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    lattice = size * (np.eye(3) + rng.uniform(-0.3, 0.3, (3, 3)))
    frac = rng.uniform(-1.5, 2.5, (4, 3))
    frac[3] = frac[1] + rng.integers(-1, 2, 3) + rng.normal(size=3) * 1e-2
    cell = Cell(lattice, frac, [3] * 4)
    expected = brute_force(cell)
    pair = closest_pair(cell, expected * 1.01)
    assert pair is not None
    assert pair[2] == pytest.approx(expected, abs=1e-9)
    assert pair[:2] == (1, 3)
    assert closest_pair(cell, expected * 0.99) is None


def test_closest_pair_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    cell = Cell(5 * np.eye(3), rng.uniform(size=(50, 3)), [3] * 50)
    whole = closest_pair(cell, 1.0)
    assert whole is not None
    assert whole[2] == pytest.approx(brute_force(cell, reach=1))
    for pairs in (1, 120, 2499):
        monkeypatch.setattr("linegraph.overlap._PAIRS", pairs)
        assert closest_pair(cell, 1.0) == whole


@pytest.mark.parametrize("frac", [[9e7, 0.3, 0.3], [-9e7, 0.3, 0.3]])
def test_closest_pair_stands_absurd_coordinates(frac: list[float]) -> None:
    assert closest_pair(Cell(5 * np.eye(3), [frac, [0.5, 0.5, 0.5]], [3, 3]), 0.01) is None


def test_a_cell_can_be_too_thin() -> None:
    with pytest.raises(InputError, match="field lattice: the cell is only 0.008 Å thick"):
        closest_pair(Cell(np.diag([5.0, 0.008, 5.0]), [[0.3, 0.3, 0.3]], [3]), 0.01)


# --- the published data ---------------------------------------------------------------------------


@needs_data
def test_all_published_records_are_fine() -> None:
    start = time.process_time()
    train = read_bands(DATA / "train.json.gz")
    seconds = time.process_time() - start
    test = read_bands(DATA / "test.json.gz")
    assert (len(train.bands), len(test.bands)) == (559, 60)
    assert not train.skipped
    assert not test.skipped
    assert len({band.system for band in train.bands + test.bands}) == 440
    assert all(band.target is not None and band.target > 0 for band in train.bands)
    assert train.bands[0].name == "Li4P2S7"
    assert sorted(len(band.cell) for band in train.bands)[::558] == [33, 1027]
    assert seconds < 5


@needs_data
def test_published_doubled_sites_pass_and_are_seen() -> None:
    doubled = [b for b in read_bands(DATA / "train.json.gz").bands if b.system == "Na4MnAlP3O12"]
    assert len(doubled) == 3
    for band in doubled:
        pair = closest_pair(band.cell, 0.02)
        assert pair is not None
        assert pair[2] == pytest.approx(0.0142, abs=1e-4)


@needs_data
def test_published_records_survive_a_round_trip(tmp_path: Path) -> None:
    bands = read_bands(DATA / "test.json.gz").bands
    write_bands(tmp_path / "again.json.gz", bands)
    published = json.loads(gzip.decompress((DATA / "test.json.gz").read_bytes()))
    again = json.loads(gzip.decompress((tmp_path / "again.json.gz").read_bytes()))
    for ours, theirs in zip(again, published, strict=True):
        assert sorted(ours["formula"].split()) == sorted(theirs["formula"].split())
        for key in ("jid", "sys_name", "class", "target"):
            assert ours.get(key) == theirs.get(key)
        for key in ("lattice_mat", "coords", "elements", "cartesian", "props"):
            assert ours["atoms"][key] == theirs["atoms"][key]
        for key in ("abc", "angles"):
            np.testing.assert_allclose(ours["atoms"][key], theirs["atoms"][key], atol=1e-3)

from __future__ import annotations

import copy
import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pymatgen.core import Structure

from training.properties import Property, PropertySet, is_property_set, read_properties

from ..property_sets import HARD, SOFT, TABLE, a_record, a_vector, message_of, values_of, written

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "pretrain"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the published properties are not at ../shared/data/pretrain"
)

Change = Callable[[dict[str, Any]], object]


# --- what is read ---------------------------------------------------------------------------------


def test_a_folder_becomes_crystals(property_set: Path) -> None:
    found = read_properties(property_set)
    assert found.properties == [Property("soft"), Property("hard", "hardness", "GPa", 10.0, 30.0)]
    # In the order of the properties, not of the files or names.
    assert values_of(found) == {
        "s1+h3": {"soft": 1.0, "hard": 0.25},
        "s2+h1": {"soft": -1.0, "hard": 0.5},
        "s3": {"soft": 0.0},
        "h2": {"hard": -0.5},
    }
    assert [sorted(c.held_out) for c in found.crystals] == [["soft"], ["hard"], ["soft"], []]
    assert found.counts() == {"soft": (1, 2), "hard": (2, 1)}
    assert found.mixed() == 2
    assert (found.path, found.skipped) == (property_set, [])
    cell = found.crystals[0].cell
    np.testing.assert_array_equal(cell.lattice, 6.0 * np.eye(3))
    np.testing.assert_array_equal(cell.frac, [[0.0] * 3, [0.5] * 3])
    assert cell.numbers.tolist() == [55, 17]


def test_scale_is_half_the_span() -> None:
    assert Property("p", lo=-1.0, hi=2.0).scale == 1.5
    assert Property("p").scale is None


def test_targets_are_of_one_part(property_set: Path) -> None:
    found = read_properties(property_set)
    nan = math.nan
    train = torch.tensor([[nan, 0.25], [-1.0, nan], [nan, nan], [nan, -0.5]])
    test = torch.tensor([[1.0, nan], [nan, 0.5], [0.0, nan], [nan, nan]])
    torch.testing.assert_close(found.targets(held_out=False), train, equal_nan=True)
    torch.testing.assert_close(found.targets(held_out=True), test, equal_nan=True)


def test_without_a_table_properties_are_those_found_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, a=SOFT, b=HARD)
    found = read_properties(path)
    assert found.properties == [Property("hard"), Property("soft")]
    assert [c.name for c in found.crystals] == ["s1+h3", "s2+h1", "s3", "h2"]


def test_files_called_like_properties_come_first(tmp_path: Path) -> None:
    more = [a_record("m1", "soft", 0.5, 9.0)]
    table = [{"property": "soft"}, {"property": "hard"}]
    found = read_properties(written(tmp_path, table, additions=more, hard=HARD, soft=SOFT))
    assert [p.name for p in found.properties] == ["soft", "hard"]
    assert [c.name for c in found.crystals] == ["s1+h3", "s2+h1", "s3", "h2", "m1"]


def test_one_file_needs_only_its_own_properties(property_set: Path) -> None:
    found = read_properties(property_set / "hard.json")
    assert [p.title for p in found.properties] == ["hardness"]
    assert values_of(found) == {"h1": {"hard": 0.5}, "h2": {"hard": -0.5}, "h3": {"hard": 0.25}}


def test_gzipped_files_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, soft=SOFT)
    (path / "hard.json.gz").write_bytes(gzip.compress(json.dumps(HARD).encode()))
    assert read_properties(path).counts() == {"hard": (2, 1), "soft": (1, 2)}


def test_other_files_are_left_alone(property_set: Path) -> None:
    (property_set / "README.md").write_text("no JSON")
    (property_set / ".hidden.json").write_text("no JSON")
    assert len(read_properties(property_set).crystals) == 4


def test_records_without_id_fall_back_to_jid_and_position(tmp_path: Path) -> None:
    records = [
        a_record("", "p", 0.1, size, jid=jid) for size, jid in ((4, 7), (5, "mp-1"), (6, ""))
    ]
    assert list(values_of(read_properties(written(tmp_path, p=records)))) == ["7", "mp-1", "3"]


def same(change: Change) -> dict[str, Any]:
    record = a_record("b", "soft", 0.5)
    change(record)
    return record


@pytest.mark.parametrize(
    ("other", "one"),
    [
        (same(lambda r: None), True),
        (same(lambda r: r["lattice"][0].__setitem__(1, -0.0)), True),
        (same(lambda r: r["frac_coords"][0].__setitem__(2, -0.0)), True),
        (same(lambda r: r["lattice"][0].__setitem__(1, 1e-12)), False),
        (same(lambda r: r["frac_coords"][0].__setitem__(2, 1.0)), False),
        (same(lambda r: r["species"].reverse()), False),
        (same(lambda r: r["species"].__setitem__(1, "Br")), False),
    ],
)
def test_only_exactly_equal_structures_are_one(
    tmp_path: Path, other: dict[str, Any], one: bool
) -> None:
    found = read_properties(written(tmp_path, a=[a_record("a", "hard", 0.5)], b=[other]))
    assert [c.name for c in found.crystals] == (["a+b"] if one else ["a", "b"])


def test_a_value_may_be_told_twice(tmp_path: Path) -> None:
    records = [a_record("a", "p", 0.5), a_record("b", "p", 0.5)]
    found = read_properties(written(tmp_path, p=records, q=[a_record("a", "q", 0.1)]))
    assert values_of(found) == {"a+b": {"p": 0.5, "q": 0.1}}
    assert found.counts() == {"p": (1, 0), "q": (1, 0)}


def test_reading_twice_gives_the_same(property_set: Path) -> None:
    first, second = read_properties(property_set), read_properties(property_set)
    assert values_of(first) == values_of(second)
    assert first.fingerprint == second.fingerprint


def test_fingerprint_is_of_the_files_and_not_of_what_is_done_with_them(property_set: Path) -> None:
    plain = read_properties(property_set).fingerprint
    assert read_properties(property_set, drop=["soft"], strict_split=True).fingerprint == plain
    table = copy.deepcopy(TABLE)
    table[0]["hi"] = 31
    (property_set / "properties.json").write_text(json.dumps(table))
    changed = read_properties(property_set).fingerprint
    assert changed != plain
    (property_set / "soft.json").rename(property_set / "softer.json")
    assert read_properties(property_set).fingerprint not in (plain, changed)


# --- settings -------------------------------------------------------------------------------------


def test_dropped_properties_take_their_crystals_with_them(property_set: Path) -> None:
    found = read_properties(property_set, drop=["soft"])
    assert [p.name for p in found.properties] == ["hard"]
    assert values_of(found) == {
        "s1+h3": {"hard": 0.25},
        "s2+h1": {"hard": 0.5},
        "h2": {"hard": -0.5},
    }
    assert found.counts() == {"hard": (2, 1)}
    assert found.mixed() == 0
    assert found.targets(held_out=False).shape == (3, 1)


def test_a_strict_split_trains_on_nothing_that_is_held_out(property_set: Path) -> None:
    found = read_properties(property_set, strict_split=True)
    assert found.counts() == {"soft": (0, 2), "hard": (1, 1)}
    assert found.mixed() == 0
    assert values_of(found)["s1+h3"] == {"soft": 1.0}
    train = found.targets(held_out=False).isfinite().any(dim=1)
    test = found.targets(held_out=True).isfinite().any(dim=1)
    assert not (train & test).any()


def test_a_strict_split_knows_a_structure_with_its_atoms_in_another_order(tmp_path: Path) -> None:
    turned = {
        "species": ["Cl", "Cs"],
        "frac_coords": [[0.5, 0.5, 0.5], [0.0, 0.0, 0.0]],
    }
    more = a_record("s4", "soft", 0.75, 4.0, **turned)
    found = read_properties(written(tmp_path, hard=HARD, soft=[*SOFT, more]))
    assert values_of(found)["s4"] == {"soft": 0.75}
    assert found.mixed() == 2
    assert found.counts()["soft"] == (2, 2)
    assert found.strict().counts()["soft"] == (0, 2)
    # The same places, the other way round: another structure.
    more = a_record("s4", "soft", 0.75, 4.0, species=["Cl", "Cs"])
    found = read_properties(written(tmp_path, hard=HARD, soft=[*SOFT, more]))
    assert found.strict().counts()["soft"] == (1, 2)


def test_the_structure_may_be_one_of_pymatgen(tmp_path: Path) -> None:
    plain = a_record("a", "hard", 0.5)
    cell = Structure(plain["lattice"], plain["species"], plain["frac_coords"])
    theirs = {"id": "b", "property": "soft", "value": 0.25, "structure": cell.as_dict()}
    found = read_properties(written(tmp_path, mixed=[plain, theirs]))
    assert values_of(found) == {"a+b": {"hard": 0.5, "soft": 0.25}}
    wrong: list[Any] = [7, {"lattice": {}}, {**cell.as_dict(), "sites": []}]
    for structure in wrong:
        folder = written(tmp_path, mixed=[plain, {**theirs, "structure": structure}])
        message = message_of(folder)
        assert "'b' (number 2)" in message and "field structure" in message


def test_a_strict_split_asks_only_for_what_is_kept(property_set: Path) -> None:
    found = read_properties(property_set, strict_split=True, drop=["soft"])
    assert found.counts() == {"hard": (2, 1)}


def test_what_is_dropped_has_to_be_known(property_set: Path) -> None:
    message = message_of(property_set, drop=["Hart"])
    assert message == (
        f"{property_set}: cannot drop unknown property 'Hart'; nearest is 'hard', known are soft, "
        "hard"
    )
    assert "nothing is left" in message_of(property_set, drop=["soft", "hard"])


# --- vectors --------------------------------------------------------------------------------------


def test_vectors_follow_the_order_of_the_table(tmp_path: Path) -> None:
    atoms = {
        "lattice_mat": [[5.0, 0, 0], [0, 5.0, 0], [0, 0, 5.0]],
        "coords": [[0.0, 0.0, 0.0]],
        "elements": ["Fe"],
    }
    records = [
        a_vector("a", [1, 1], [0.5, 0.0]),
        a_vector("b", [0, 1.0], [0, -0.5], 5.0, split="test"),
        a_vector("c", [0, 1], [None, 0.1], 6.0),
        a_vector("d", [1, 0], [0.2, math.nan], 7.0),
        {"jid": "JVASP-1", "atoms": atoms, "OH": [0, 1], "prop_list": [-0.0, 1]},
    ]
    table = [{**row, "n_train": None, "n_test": None} for row in TABLE]
    found = read_properties(written(tmp_path, table, cumulative=records))
    assert values_of(found) == {
        "a": {"soft": 0.5, "hard": 0.0},
        "b": {"hard": -0.5},
        "c": {"hard": 0.1},
        "d": {"soft": 0.2},
        "JVASP-1": {"hard": 1.0},
    }
    assert found.counts() == {"soft": (2, 0), "hard": (3, 1)}
    assert found.crystals[-1].cell.numbers.tolist() == [26]


def test_vectors_and_single_values_go_together(tmp_path: Path) -> None:
    table = [{"property": "soft"}, {"property": "hard"}]
    records = [a_vector("v", [1, 0], [-1, 0], 4.0), a_vector("w", [1, 1], [1, 1], 8.0)]
    found = read_properties(written(tmp_path, table, hard=HARD, vectors=records))
    assert values_of(found)["h1+v"] == {"hard": 0.5, "soft": -1.0}
    assert found.counts() == {"soft": (2, 0), "hard": (3, 1)}


def test_vectors_need_names_for_their_columns(tmp_path: Path) -> None:
    message = message_of(written(tmp_path, v=[a_vector("v", [1], [0.5])]))
    assert "record 'v' (number 1), field OH: a vector needs properties.json" in message


# --- telling sets from bands ----------------------------------------------------------------------


def test_property_sets_are_told_from_bands(property_set: Path, tmp_path: Path) -> None:
    assert is_property_set(property_set)
    assert is_property_set(str(property_set / "hard.json"))
    (property_set / "properties.json").unlink()
    assert is_property_set(property_set)
    packed = tmp_path / "v.json.gz"
    packed.write_bytes(gzip.compress(json.dumps([a_vector("v", [1], [1])] * 9).encode()))
    assert is_property_set(packed)
    (property_set / "targets.csv").write_text("file,target_eV\n")
    assert not is_property_set(property_set)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"[]",
        b"5",
        b'{"property": "p"}',
        b"[5]",
        b'[{"atoms": {"property": 1}}]',
        b"\xff",
    ],
    ids=str,
)
def test_anything_else_is_no_property_set(tmp_path: Path, data: bytes) -> None:
    for name in ("a.json", "a.json.gz", "a.txt"):
        (tmp_path / name).write_bytes(data)
        assert not is_property_set(tmp_path / name)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(data)[:-4])
    assert not is_property_set(tmp_path)
    assert not is_property_set(tmp_path / "none.json")


# --- the published data ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published() -> PropertySet:
    return read_properties(DATA)


@needs_data
def test_published_properties_are_whole(published: PropertySet) -> None:
    table = sorted(json.loads((DATA / "properties.json").read_text()), key=lambda p: p["index"])
    assert published.counts() == {p["property"]: (p["n_train"], p["n_test"]) for p in table}
    assert [p.name for p in published.properties] == [p["property"] for p in table]
    assert published.properties[0].scale == pytest.approx(math.log10(523) / 2)
    values = torch.cat([published.targets(h)[..., None] for h in (False, True)], dim=-1)
    assert int(values.isfinite().sum()) == 30_516
    assert values[values.isfinite()].abs().max() == 1


@needs_data
def test_published_structures_are_joined(published: PropertySet) -> None:
    assert len(published.crystals) == len({c.name for c in published.crystals}) == 27_568
    assert sum(len(c.values) > 1 for c in published.crystals) == 2_535
    mixed = [c for c in published.crystals if 0 < len(c.held_out) < len(c.values)]
    assert len(mixed) == 619
    # Many come twice, with their atoms in another order.
    assert len({c.key for c in published.crystals}) == 27_032
    assert published.mixed() == 697
    # Equal but for a -0.0 in one of the records.
    assert {"ph-183+pz-296+dc-443", "pz-706+bg-10867"} <= {c.name for c in published.crystals}


@needs_data
def test_a_strict_split_of_the_published_data(published: PropertySet) -> None:
    strict = published.strict()
    assert strict.counts() == {
        "gv": (5399, 1100),
        "ph": (980, 127),
        "pz": (755, 94),
        "dc": (821, 106),
        "ebg": (2201, 248),
        "fe": (7720, 874),
        "bg": (8258, 940),
    }
    assert strict.mixed() == 0
    assert len(strict.crystals) == 27_568

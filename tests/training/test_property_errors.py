from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linegraph.errors import InputError
from training.properties import read_properties

from ..property_sets import HARD, SOFT, a_record, a_vector, message_of, values_of, written

Change = Callable[[dict[str, Any]], object]


# --- bad records ----------------------------------------------------------------------------------


def set_(key: str, value: Any) -> Change:
    return lambda record: record.__setitem__(key, value)


def pop(key: str) -> Change:
    return lambda record: record.pop(key)


def vector(marks: Any, values: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        del record["property"], record["value"]
        record.update({"OH": marks, "prop_list": values})

    return change


BAD: dict[str, tuple[Change, str, str]] = {
    "property unknown": (
        set_("property", "sofd"),
        "property",
        "unknown property 'sofd'; nearest is 'soft', known are soft, hard",
    ),
    "property like none": (set_("property", "xyz"), "property", "'xyz'; known are soft, hard"),
    "property missing": (pop("property"), "property", "missing"),
    "property a number": (set_("property", 5), "property", "expected text, got 5"),
    "value missing": (pop("value"), "value", "missing"),
    "value null": (set_("value", None), "value", "missing"),
    "value NaN": (set_("value", math.nan), "value", "NaN or infinite"),
    "value infinite": (set_("value", -math.inf), "value", "NaN or infinite"),
    "value text": (set_("value", "0.5"), "value", 'expected a number, got "0.5"'),
    "value bool": (set_("value", True), "value", "expected a number, got true"),
    "value a list": (set_("value", [0.5]), "value", "expected a number, got a list"),
    "split unknown": (set_("split", "val"), "split", "expected train or test, got 'val'"),
    "split a number": (set_("split", 1), "split", "expected text"),
    "lattice missing": (pop("lattice"), "lattice", "missing"),
    "lattice 2 x 3": (set_("lattice", [[4, 0, 0], [0, 4, 0]]), "lattice", "expected 3 x 3"),
    "lattice singular": (set_("lattice", [[4, 0, 0]] * 3), "lattice", "singular"),
    "lattice NaN": (set_("lattice", [[math.nan, 0, 0], [0, 4, 0], [0, 0, 4]]), "lattice", "NaN"),
    "cell thin": (set_("lattice", [[4, 0, 0], [0, 4, 0], [0, 0, 0.01]]), "lattice", "thick"),
    "species missing": (pop("species"), "species", "missing"),
    "species text": (set_("species", "CsCl"), "species", "list of symbols"),
    "species unknown": (set_("species", ["Cs", "Xx"]), "species", "atom 1: unknown element 'Xx'"),
    "species more": (set_("species", ["Cs", "Cl", "Cl"]), "frac_coords", "3 elements"),
    "coords missing": (pop("frac_coords"), "frac_coords", "missing"),
    "coords ragged": (set_("frac_coords", [[0, 0, 0], [0.5]]), "frac_coords", "different lengths"),
    "coords null": (set_("frac_coords", [[0, 0, 0], [0, 0, None]]), "frac_coords", "not a number"),
    "coord infinite": (set_("frac_coords", [[0, 0, 0], [0, 0, math.inf]]), "frac_coords", "atom 1"),
    "one site": (
        set_("frac_coords", [[0, 0, 0], [1.0, 0.0009, -1.0]]),
        "frac_coords",
        "atoms 0 and 1 are on one site (0.0072 Å apart",
    ),
    "atoms a list": (set_("atoms", []), "atoms", "expected an object"),
    "atoms without coords": (
        set_("atoms", {"lattice_mat": [[4, 0, 0]]}),
        "atoms.coords",
        "missing",
    ),
    "atoms on one site": (
        set_(
            "atoms",
            {
                "lattice_mat": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
                "coords": [[0, 0, 0]] * 2,
                "elements": ["Cs", "Cl"],
            },
        ),
        "atoms.coords",
        "atoms 0 and 1",
    ),
    "marks short": (vector([1], [0.5, 0]), "OH", "1 entries for 2 properties (soft, hard)"),
    "values long": (vector([1, 0], [0.5, 0, 0]), "prop_list", "3 entries for 2 properties"),
    "marks missing": (vector(None, [0.5, 0]), "OH", "missing"),
    "values missing": (vector([1, 0], None), "prop_list", "missing"),
    "marks an object": (vector({}, [0.5, 0]), "OH", "expected a list, got an object"),
    "mark 2": (vector([1, 2], [0.5, 0]), "OH", "expected 0 or 1 for 'hard', got 2"),
    "mark true": (vector([True, 0], [0.5, 0]), "OH", "expected 0 or 1 for 'soft', got true"),
    "mark text": (vector([1, "0"], [0.5, 0]), "OH", "expected 0 or 1 for 'hard'"),
    "mark a list": (vector([1, [0]], [0.5, 0]), "OH", "expected 0 or 1 for 'hard'"),
    "mark NaN": (vector([1, math.nan], [0.5, 0]), "OH", "expected 0 or 1 for 'hard', got NaN"),
    "no mark": (vector([0, 0], [0, 0]), "OH", "no property is marked"),
    "marked but null": (vector([1, 1], [0.5, None]), "prop_list", "OH marks 'hard' as known"),
    "marked but NaN": (vector([1, 1], [math.nan, 1]), "prop_list", "OH marks 'soft' as known"),
    "marked but text": (vector([1, 1], ["x", 1]), "prop_list", "'soft': expected a number"),
    "marked but infinite": (vector([1, 0], [math.inf, 0]), "prop_list", "'soft': NaN or infinite"),
    "not marked but given": (
        vector([1, 0], [0.5, 0.25]),
        "OH",
        "one-hot and targets disagree: 'hard' has the value 0.25",
    ),
    "both forms": (
        lambda r: r.update({"OH": [1, 0], "prop_list": [0.5, 0]}),
        "property",
        "not both",
    ),
    "same structure, another value": (
        lambda r: r.update(a_record("bad", "soft", 0.5, 6.0, split="test")),
        "value",
        "'soft' is 0.5, but 1.0 for the same structure in record 's1' (number 1)",
    ),
    "same structure, the other part": (
        lambda r: r.update(a_record("bad", "soft", 1.0, 6.0, split="train")),
        "split",
        "train, but 'soft' is in the other part for the same structure in record 's1' (number 1)",
    ),
}


@pytest.mark.parametrize(("change", "field", "fragment"), BAD.values(), ids=BAD.keys())
def test_a_bad_record_is_named_with_its_field(
    tmp_path: Path, change: Change, field: str, fragment: str
) -> None:
    record = a_record("bad", "soft", 0.5, 8.0)
    change(record)
    table = [{"property": "soft"}, {"property": "hard"}]
    path = written(tmp_path, table, hard=HARD, soft=[*SOFT, record])
    message = message_of(path)
    start = f"{path / 'soft.json'}, record 'bad' (number 4), field {field}: "
    assert message.startswith(start)
    assert fragment in message.removeprefix(start)

    found = read_properties(path, skip_bad=True)
    assert values_of(found) == values_of(read_properties(written(tmp_path, soft=SOFT)))
    assert [str(error) for error in found.skipped] == [message]
    assert found.skipped[0].file == path / "soft.json"


def test_the_same_id_twice_in_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, p=[a_record("a", "p", 0.1), a_record("a", "q", 0.2, 5.0)])
    assert message_of(path) == (
        f"{path / 'p.json'}, record 'a' (number 2), field id: same id as record number 1"
    )
    assert values_of(read_properties(path, skip_bad=True)) == {"a": {"p": 0.1}}


def test_an_id_is_that_of_one_structure_in_all_files(tmp_path: Path) -> None:
    path = written(tmp_path, p=[a_record("a", "p", 0.1)], q=[a_record("a", "q", 0.2, 5.0)])
    assert message_of(path) == (
        f"{path / 'q.json'}, record 'a' (number 1), field id: another structure has this id "
        "in p.json"
    )


def test_names_joined_of_ids_are_unique(tmp_path: Path) -> None:
    records = [a_record("a", "p", 0.1), a_record("a+b", "p", 0.2, 5.0)]
    path = written(tmp_path, p=records, q=[a_record("b", "q", 0.2)])
    assert "record 'a+b': two structures have this name" in message_of(path)


def test_two_values_name_both_files(tmp_path: Path) -> None:
    path = written(tmp_path, p=[a_record("a", "p", 0.1)], q=[a_record("b", "p", 0.2)])
    assert message_of(path) == (
        f"{path / 'q.json'}, record 'b' (number 1), field value: 'p' is 0.2, but 0.1 for the same "
        "structure in record 'a' (number 1) of p.json"
    )


def test_a_contradicting_vector_is_left_out_whole(tmp_path: Path) -> None:
    table = [{"property": "p"}, {"property": "q"}]
    records = [a_record("a", "q", 0.1), a_vector("b", [1, 1], [0.5, 0.2])]
    path = written(tmp_path, table, q=records, p=[a_record("c", "p", 0.3, 5.0)])
    assert "record 'b' (number 2), field prop_list: 'q' is 0.2, but 0.1" in message_of(path)
    found = read_properties(path, skip_bad=True)
    assert values_of(found) == {"c": {"p": 0.3}, "a": {"q": 0.1}}


@pytest.mark.parametrize("record", [5, None, [1]], ids=str)
def test_a_record_has_to_be_an_object(tmp_path: Path, record: Any) -> None:
    message = message_of(written(tmp_path, p=[a_record("a", "p", 0.1), record]))
    assert "record number 2: expected an object" in message


def test_something_has_to_be_left(tmp_path: Path) -> None:
    path = written(tmp_path, p=[a_record("a", "p", math.nan), a_record("b", "p", math.nan)])
    with pytest.raises(InputError, match="none of 2 records can be used; the first: .*'a'"):
        read_properties(path, skip_bad=True)


# --- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("soft", "said"),
    [(SOFT[:2], "1 train and 1 test"), ([*SOFT, a_record("s4", "soft", 0, 8.0)], "2 train and 2")],
    ids=["fewer", "more"],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_file_of_the_wrong_length_is_named(
    property_set: Path, soft: list[Any], said: str, skip_bad: bool
) -> None:
    (property_set / "soft.json").write_text(json.dumps(soft))
    message = message_of(property_set, skip_bad=skip_bad)
    assert message.startswith(f"{property_set / 'soft.json'}: {said} ")
    assert "records of 'soft', but properties.json says n_train 1, n_test 2" in message
    assert "correct" in message
    assert "leave them out" in message


def test_records_left_out_are_not_missed(property_set: Path) -> None:
    bad = [SOFT[0], {**SOFT[1], "value": None}, {**SOFT[2], "split": "?"}]
    (property_set / "soft.json").write_text(json.dumps(bad))
    found = read_properties(property_set, skip_bad=True)
    assert len(found.skipped) == 2
    assert found.counts()["soft"] == (0, 1)
    (property_set / "soft.json").write_text(json.dumps(bad[:2]))
    assert "1 train and 1 test" in message_of(property_set, skip_bad=True)


def test_counts_in_the_table_are_optional(tmp_path: Path) -> None:
    table = [{"property": "hard"}, {"property": "soft", "n_test": 2}]
    assert len(read_properties(written(tmp_path, table, hard=HARD, soft=SOFT)).crystals) == 4
    table[1]["n_test"] = 3
    assert "says n_test 3" in message_of(written(tmp_path, table))


def test_a_property_without_records_is_named(tmp_path: Path) -> None:
    table = [{"property": "hard"}, {"property": "soft"}]
    path = written(tmp_path, table, hard=HARD)
    message = message_of(path)
    assert message.startswith(f"{path / 'properties.json'}, record 'soft': no record with a usable")
    assert values_of(read_properties(path, drop=["soft"]))["h2"] == {"hard": -0.5}


TABLES: dict[str, tuple[Any, str]] = {
    "an object": ({"gv": 1}, ": expected a list of records, got an object"),
    "empty": ([], ": the list of records is empty"),
    "names": (["hard"], ', record number 1: expected an object, got "hard"'),
    "no name": ([{"index": 0}], ", record number 1, field property: missing"),
    "a number as name": ([{"property": 1}], ", record number 1, field property: expected text"),
    "twice": (
        [{"property": "soft"}, {"property": "hard"}, {"property": "soft"}],
        ", record 'soft' (number 3), field property: listed twice",
    ),
    "same index": (
        [{"property": "soft", "index": 0}, {"property": "hard", "index": 0}],
        ", record 'hard' (number 2), field index: 0 is that of 'soft' too",
    ),
    "index of some": ([{"property": "a", "index": 0}, {"property": "b"}], "field index: missing"),
    "index of others": ([{"property": "a"}, {"property": "b", "index": 0}], "field index: given"),
    "index text": ([{"property": "a", "index": "0"}], "field index: expected a whole number"),
    "hi is lo": ([{"property": "a", "lo": 1, "hi": 1}], "field hi: 1 is not above lo, which is 1"),
    "hi below lo": ([{"property": "a", "lo": 1, "hi": 0}], "field hi: 0 is not above"),
    "hi alone": ([{"property": "a", "hi": 0}], "field lo: missing"),
    "lo alone": ([{"property": "a", "lo": 0}], "field hi: missing"),
    "lo NaN": ([{"property": "a", "lo": math.nan, "hi": 1}], "field lo: NaN or infinite"),
    "unit a number": ([{"property": "a", "unit": 1}], "field unit: expected text"),
    "count negative": ([{"property": "a", "n_train": -1}], "field n_train: expected a whole"),
    "count bool": ([{"property": "a", "n_test": True}], "field n_test: expected a whole"),
}


@pytest.mark.parametrize(("table", "fragment"), TABLES.values(), ids=TABLES.keys())
def test_a_bad_table_is_named(tmp_path: Path, table: Any, fragment: str) -> None:
    path = written(tmp_path, table, hard=HARD)
    for skip_bad in (False, True):
        message = message_of(path, skip_bad=skip_bad)
        assert message.startswith(str(path / "properties.json"))
        assert fragment in message


def test_files_that_cannot_be_read_are_named(tmp_path: Path, property_set: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.csv").write_text("")
    for path, fragment in [
        (tmp_path / "none", "no such file or folder"),
        (tmp_path / "empty", "holds no .json or .json.gz files"),
        (tmp_path / "a.csv", "expected a .json or .json.gz file of records, or a folder"),
        (property_set / "properties.json", "give its folder"),
    ]:
        assert message_of(path).startswith(f"{path}: ")
        assert fragment in message_of(path)
    (property_set / "soft.json.gz").write_bytes(gzip.compress(json.dumps(SOFT).encode())[:-9])
    message = message_of(property_set, skip_bad=True)
    assert message.startswith(f"{property_set / 'soft.json.gz'}: damaged or no gzip file")

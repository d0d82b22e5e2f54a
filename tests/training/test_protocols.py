"""Protocols: who is held out, who is learned from, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from linegraph import InputError
from tests.bands import some_bands
from tests.errors import message_of
from tests.goldens import SHARED, needs_data
from training.bands import Band
from training.data import labelled, load_bands
from training.protocols import Part, Protocol, parts_of
from training.read import BandSet
from training.splits import grouped_folds, grouped_split, published_split, random_split

TRAIN = SHARED / "data" / "barriers" / "train.json.gz"


def band_set(bands: Sequence[Band]) -> BandSet:
    return BandSet(list(bands), [], Path("bands.json"), "print")


def many(count: int = 24) -> list[Band]:
    """Twelve compounds with two paths each, in three classes and of three ions."""
    return [replace(b, family=b.family or "OLIVINE") for b in some_bands(count)]


def parts(bands: Sequence[Band], protocol: Protocol, **changes: Any) -> list[Part]:
    given: dict[str, Any] = {"seed": 7, "val": 0.2, "test": 0.2, **changes}
    return parts_of(band_set(bands), protocol, **given)


@pytest.mark.parametrize(
    ("protocol", "name"),
    [
        (Protocol(split="random"), "one random split"),
        (Protocol(folds=5, repeats=3, train_fraction=0.5), "5 folds by system"),
        (Protocol(leave_out="class"), "leave one class out"),
        (Protocol(leave_out="ion"), "leave one ion out"),
    ],
)
def test_names(protocol: Protocol, name: str) -> None:
    assert protocol.name == name
    said = protocol.as_dict()
    assert said.pop("name") == name
    assert Protocol(**said) == protocol


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"folds": 1}, "folds"), ({"folds": -2}, "folds"), ({"leave_out": "cell"}, "leave_out"),
        ({"leave_out": "ion", "folds": 5}, "leave_out"), ({"repeats": 0}, "repeats"),
        ({"train_fraction": 0.0}, "train_fraction"), ({"train_fraction": 1.5}, "train_fraction"),
        ({"train_fraction": float("nan")}, "train_fraction"), ({"split": "half"}, "split"),
    ],
)  # fmt: skip
def test_protocols_that_make_no_sense(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        Protocol(**values)
    assert caught.value.field == field


@pytest.mark.parametrize("split", ["published", "random", "grouped"])
def test_one_split_is_that_of_the_recipe(split: str) -> None:
    bands = many()
    systems = [band.system for band in bands]
    expected = {
        "published": published_split(24),
        "random": random_split(24, 7, 0.2, 0.2),
        "grouped": grouped_split(systems, 7, 0.2, 0.2),
    }[split]
    assert parts(bands, Protocol(split=split)) == [Part("", "", 7, expected)]


def test_folds_of_several_seeds() -> None:
    bands = many()
    systems = [band.system for band in bands]
    found = parts(bands, Protocol(folds=3, repeats=2))
    assert [(part.label, part.folder, part.seed) for part in found] == [
        (str(k), f"seed-{seed}/fold-{k}", seed) for seed in (7, 8) for k in (1, 2, 3)
    ]
    assert [part.split for part in found[:3]] == grouped_folds(systems, 3, 7, 0.2)
    assert [part.split for part in found[3:]] == grouped_folds(systems, 3, 8, 0.2)
    assert [part.folder for part in parts(bands, Protocol(folds=2))] == ["fold-1", "fold-2"]
    assert [part.folder for part in parts(bands, Protocol(repeats=2))] == ["seed-7", "seed-8"]


@pytest.mark.parametrize(
    ("leave_out", "values"),
    [("class", ["LAYERED", "OLIVINE", "SPINEL"]), ("ion", ["Li", "Mg", "Na"])],
)
def test_values_left_out_in_turn(leave_out: str, values: list[str]) -> None:
    bands = many()
    found = parts(bands, Protocol(leave_out=leave_out))
    assert [part.label for part in found] == values
    assert [part.folder for part in found] == ["fold-1", "fold-2", "fold-3"]
    for part in found:
        held_out = {bands[i].name for i in part.split.test}
        if leave_out == "ion":
            assert held_out == {band.name for band in bands if band.name.startswith(part.label)}
        else:
            assert held_out == {band.name for band in bands if band.family == part.label}
        assert part.split.val
        assert sorted(part.split.train + part.split.val + part.split.test) == list(range(24))


def test_a_compound_in_two_classes_does_not_leak() -> None:
    bands = many()
    # Records 0 and 1 are paths in one compound.
    bands[1] = replace(bands[1], family="SPINEL")
    by_label = {part.label: part.split for part in parts(bands, Protocol(leave_out="class"))}
    for label, inside, outside in (("LAYERED", 0, 1), ("SPINEL", 1, 0)):
        split = by_label[label]
        assert inside in split.test
        assert outside not in (*split.train, *split.val, *split.test)
    assert {0, 1} <= {*by_label["OLIVINE"].train, *by_label["OLIVINE"].val}


def test_a_fraction_of_each_training_part() -> None:
    bands = many()
    whole = parts(bands, Protocol(folds=3))
    halves = parts(bands, Protocol(folds=3, train_fraction=0.5))
    for full, half in zip(whole, halves, strict=True):
        assert half[:3] == full[:3]
        assert half.split.test == full.split.test
        assert set(half.split.train) < set(full.split.train)
        assert set(half.split.val) <= set(full.split.val)
        assert abs(len(half.split.train) - len(full.split.train) / 2) <= 1


def test_records_that_cannot_be_parted_are_named() -> None:
    bands = many()
    bands[5] = replace(bands[5], family="")
    message = message_of(lambda: parts(bands, Protocol(leave_out="class")))
    assert message.startswith(f"bands.json, record {bands[5].name!r}, field class: ")
    assert len(parts(bands, Protocol(leave_out="ion"))) == 3
    same = [replace(band, system="one") for band in bands]
    message = message_of(lambda: parts(same, Protocol(folds=2)))
    assert message == "bands.json, field system: 2 folds, but there are only 1 systems"
    message = message_of(lambda: parts(same, Protocol()))
    assert message.startswith("bands.json: the train split is empty")
    assert len(parts(same, Protocol(split="published"))) == 1


def test_a_record_without_a_system_is_one_of_its_own() -> None:
    bands = [replace(band, system="") for band in many()]
    found = parts(bands, Protocol(folds=24, repeats=1))
    assert sorted(part.split.test for part in found) == [[i] for i in range(24)]


@cache
def published() -> BandSet:
    return labelled(load_bands(TRAIN))


@needs_data
@pytest.mark.parametrize(
    ("protocol", "count"),
    [
        (Protocol(folds=5), 5),
        (Protocol(leave_out="class"), 35),
        (Protocol(leave_out="ion"), 9),
        (Protocol(folds=5, train_fraction=0.25), 5),
    ],
)
def test_the_published_records(protocol: Protocol, count: int) -> None:
    bands = published()
    found = parts_of(bands, protocol, seed=123, val=0.1, test=0.1)
    assert len(found) == count
    assert sorted(i for part in found for i in part.split.test) == list(range(559))
    for part in found:
        systems = [
            {bands.bands[i].system for i in side}
            for side in (part.split.train, part.split.val, part.split.test)
        ]
        assert sum(map(len, systems)) == len(set().union(*systems))
        learned = len(part.split.train) + len(part.split.val)
        assert abs(learned - protocol.train_fraction * (559 - len(part.split.test))) <= 5

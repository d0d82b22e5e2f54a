"""Settings from the command line and from files: read as what they are, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from linegraph.errors import InputError
from training.recipe import CHOICES, Recipe, load_recipe
from training.settings import checked, parse_settings

Attempt = Callable[[], Recipe]

PLAIN = Recipe(summary="")

#: One key of every kind of value.
HINTS: dict[str, Any] = {
    "count": int,
    "size": float,
    "limit": float | None,
    "on": bool,
    "word": str,
    "words": tuple[str, ...],
    "maybe": tuple[str, ...] | None,
    "factors": dict[str, float],
    "lr_parts": dict[str, float],
}


def set_(*words: str) -> Recipe:
    return PLAIN.changed(parse_settings(words))


def value_of(key: str, value: Any, choices: tuple[str, ...] | None = None) -> Any:
    return checked({key: value}, HINTS, {} if choices is None else {key: choices})[key]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("lr=1e-3", 0.001),
        ("lr=1.0e-3", 0.001),
        ("lr=1", 1.0),
        ("lr='0.5'", 0.5),
        ("hidden=64", 64),
        ("hidden=64.0", 64),
        ("epochs=1e2", 100),
        ("clip=null", None),
        ("clip=", None),
        ("clip=2", 2.0),
        ("lattice_decimals=null", None),
        ("shuffle=false", False),
        ("shuffle=yes", True),
        ("one_path=true", True),
        ("loss=mse", "mse"),
        ("model=MPT", "MPT"),
        ("norms=reset", "reset"),
        ("balance=uncertainty", "uncertainty"),
        ("unfreeze_at=3", 3),
        ("unfreeze_at=null", None),
        (" lr =0.5", 0.5),
        ("summary=a=b", "a=b"),
        ("freeze=embeddings", ("embeddings",)),
        ("freeze=[embeddings]", ("embeddings",)),
        ("freeze=[embeddings, conv_layers]", ("embeddings", "conv_layers")),
        ("freeze=[]", ()),
        ("drop=dc", ("dc",)),
        ("drop=[dc, pz]", ("dc", "pz")),
        ("lr_parts={head: 2}", {"head": 2.0}),
        ("lr_parts={head: 1e-2, three_body: 0}", {"head": 0.01, "three_body": 0.0}),
        ("lr_parts={}", {}),
    ],
)
def test_values_as_text(word: str, value: object) -> None:
    key = word.partition("=")[0].strip()
    found = getattr(set_(word), key)
    assert found == value
    assert type(found) is type(value)
    if isinstance(found, dict):
        assert {type(number) for number in found.values()} <= {float}


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("hidden=1.5", "expected a whole number, got 1.5"),
        ("hidden=true", "expected a whole number, got True"),
        ("hidden=null", "expected a whole number, got None"),
        ("hidden=[8]", "expected a whole number"),
        ("hidden=.inf", "expected a whole number"),
        ("lr=fast", "expected a number, got 'fast'"),
        ("lr=null", "expected a number, got None"),
        ("lr=true", "expected a number, got True"),
        ("lr=.nan", "expected 1e-12 to 10"),
        ("lr=0", "expected 1e-12 to 10"),
        ("lr=.inf", "expected 1e-12 to 10"),
        ("hidden=0", "expected 1 to 4096"),
        ("epochs=-1", "expected 1 to"),
        ("seed=-1", "expected 0 to"),
        ("val=1", "expected 0 to 0.9"),
        ("unfreeze_at=0", "expected 1 to"),
        ("unfreeze_at=1.5", "expected a whole number, got 1.5"),
        ("shuffle=1", "expected true or false, got 1"),
        ("shuffle=maybe", "expected true or false, got 'maybe'"),
        ("one_path=1", "expected true or false, got 1"),
        ("loss=null", "expected text, got None"),
        ("loss=3", "expected text, got 3"),
        ("loss=l2", "'l2' is none of l1, huber, mse"),
        ("keep=first", "'first' is none of best, last"),
        ("split=system", "'system' is none of published, random, grouped"),
        ("schedule=cosine", "'cosine' is none of onecycle, constant"),
        ("model=MODEL-9", "'MODEL-9' is none of ALIGNN, MPT"),
        ("norms=drop", "'drop' is none of keep, reset"),
        ("balance=mean", "'mean' is none of none, count, uncertainty"),
        ("freeze=null", "expected a list of words, got None"),
        ("freeze=3", "expected a list of words, got 3"),
        ("freeze={head: 1}", "expected a list of words, got {'head': 1}"),
        ("freeze=[3]", "expected text, got 3"),
        ("freeze=[null]", "expected text, got None"),
        ("freeze=[[head]]", "expected text, got ['head']"),
        ("freeze=stem", "'stem' is none of trunk, embeddings,"),
        ("freeze=[head, stem]", "'stem' is none of trunk, embeddings,"),
        ("freeze='head, conv_layers'", "'head, conv_layers' is none of trunk, embeddings,"),
        ("drop=[1]", "expected text, got 1"),
        ("lr_parts=2", "expected 'name: number' pairs, got 2"),
        ("lr_parts=null", "expected 'name: number' pairs, got None"),
        ("lr_parts=[head]", "expected 'name: number' pairs, got ['head']"),
        ("lr_parts={stem: 2}", "'stem' is none of trunk, embeddings,"),
        ("lr_parts={1: 2}", "expected text, got 1"),
        ("lr_parts={head: fast}", "expected a number, got 'fast'"),
        ("lr_parts={head: true}", "expected a number, got True"),
        ("lr_parts={head: null}", "expected a number, got None"),
        ("lr_parts={head: -1}", "expected 0 to 1000, got -1"),
        ("lr_parts={head: .nan}", "expected 0 to 1000, got nan"),
    ],
)
def test_values_refused(word: str, problem: str, tmp_path: Path) -> None:
    key, _, text = word.partition("=")
    path = tmp_path / "mine.yaml"
    path.write_text(f"{key}: {text}\n")
    attempts: list[tuple[Attempt, Path | None]] = [
        (lambda: set_(word), None),
        (lambda: load_recipe(str(path)), path),
    ]
    for attempt, file in attempts:
        with pytest.raises(InputError) as caught:
            attempt()
        assert problem in caught.value.problem
        assert caught.value.field == key
        assert caught.value.file == file


@pytest.mark.parametrize("word", ["hidden", "", "--resume", "hidden:8"])
def test_words_without_a_value(word: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings([word])
    assert caught.value.problem == f"--set takes key=value, got {word!r}"


@pytest.mark.parametrize("text", ["[1", "{head: 1", "'a", "a: b: c", "@x"])
def test_values_that_are_no_yaml(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings(["lr=1", f"hidden={text}"])
    assert caught.value.problem == f"unreadable value {text!r}"
    assert caught.value.field == "hidden"


def test_last_setting_wins() -> None:
    assert set_("lr=1", "lr=2").lr == 2.0
    assert set_("freeze=[head, embeddings]", "freeze=conv_layers").freeze == ("conv_layers",)
    assert set_("lr_parts={head: 2}", "lr_parts={conv_layers: 3}").lr_parts == {"conv_layers": 3.0}
    assert parse_settings([]) == {}


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("hiden", "hidden"),
        ("batchsize", "batch_size"),
        ("epoch", "epochs"),
        ("Lr", "lr"),
        ("lr_part", "lr_parts"),
        ("onepath", "one_path"),
        ("pretrain", "pretrained"),
    ],
)
def test_unknown_key_names_the_nearest(key: str, near: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"lr: 0.1\n{key}: 1\n")
    attempts: list[Attempt] = [lambda: set_(f"{key}=1"), lambda: load_recipe(str(path))]
    for attempt in attempts:
        with pytest.raises(InputError, match=f"'{key}'; did you mean '{near}'"):
            attempt()


def test_key_like_no_other_lists_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("1: 2\n")
    attempts: list[Attempt] = [lambda: set_("xyzzy=1"), lambda: load_recipe(str(path))]
    for attempt in attempts:
        with pytest.raises(InputError) as caught:
            attempt()
        for field in fields(Recipe):
            assert field.name in str(caught.value)


def test_every_kind_of_value() -> None:
    given: dict[str, Any] = {
        "count": 3.0, "size": 2, "limit": None, "on": False, "word": "x", "words": "one",
        "maybe": None, "factors": {"a": "1e-1", "b": 2},
    }  # fmt: skip
    expected: dict[str, Any] = {
        "count": 3, "size": 2.0, "limit": None, "on": False, "word": "x", "words": ("one",),
        "maybe": None, "factors": {"a": 0.1, "b": 2.0},
    }  # fmt: skip
    before = yaml.safe_dump(given)
    found = checked(given, HINTS, {})
    assert found == expected
    assert list(found) == list(given)
    assert [type(v) for v in found.values()] == [type(v) for v in expected.values()]
    # What was given is nobody's to change.
    assert yaml.safe_dump(given) == before
    # Values that were checked are values.
    assert checked(found, HINTS, {}) == found


def test_lists_and_mappings_are_new_ones() -> None:
    mapping = {"a": 1.0}
    found = value_of("factors", mapping)
    mapping["a"] = 2.0
    assert found == {"a": 1.0}
    assert value_of("words", ["a", "b"]) == value_of("words", ("a", "b")) == ("a", "b")
    assert value_of("maybe", ["a"]) == ("a",)


def test_choices_hold_for_every_word() -> None:
    known = ("a", "b")
    assert value_of("word", "a", known) == "a"
    assert value_of("words", ["b", "a", "b"], known) == ("b", "a", "b")
    assert value_of("words", [], known) == ()
    assert value_of("factors", {"b": 1}, known) == {"b": 1.0}
    attempts: dict[str, Any] = {"word": "c", "words": ["a", "c"], "factors": {"a": 1, "c": 2}}
    for key, value in attempts.items():
        with pytest.raises(InputError, match="'c' is none of a, b") as caught:
            value_of(key, value, known)
        assert caught.value.field == key


def test_ranges_hold_for_numbers_of_mappings() -> None:
    assert value_of("lr_parts", {"x": 1000}) == {"x": 1000.0}
    with pytest.raises(InputError, match="expected 0 to 1000, got 1000.5"):
        value_of("lr_parts", {"x": 1, "y": 1000.5})


def test_choices_and_defaults_fit() -> None:
    assert PLAIN.changed(PLAIN.as_dict()) == PLAIN
    for key, known in CHOICES.items():
        value = getattr(PLAIN, key)
        assert set([value] if isinstance(value, str) else value) <= set(known)

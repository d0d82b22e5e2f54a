from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import linegraph
from linegraph.errors import InputError
from training.recipe import CHOICES, Recipe, load_recipe, parse_settings, recipe_names

Attempt = Callable[[], Recipe]

PLAIN = Recipe(summary="")


def set_(*words: str) -> Recipe:
    return PLAIN.changed(parse_settings(words))


def test_all_shipped_recipes_load() -> None:
    names = recipe_names()
    assert {"model-3", "model-3-paper", "small", "starter"} <= set(names)
    for name in names:
        recipe = load_recipe(name)
        assert recipe.summary
        assert linegraph.models().count(recipe.model) == 1


def test_paper_recipe_is_table_s1() -> None:
    """Table S1 of arXiv:2508.06436; features per atom, bond and angle are 92, 80 and 40."""
    recipe = load_recipe("model-3-paper")
    expected: dict[str, Any] = {
        "model": "MODEL-3", "alignn_layers": 4, "conv_layers": 4, "embedding": 64, "hidden": 256,
        "batch_size": 128, "lr": 1e-3, "weight_decay": 1e-5, "seed": 123, "epochs": 500,
        "schedule": "onecycle", "warmup": 0.3, "shuffle": False, "split": "published",
        "shell_tol": 1e-8, "lattice_decimals": 5, "canonical": False, "clip": None,
        "center": False, "loss": "l1",
    }  # fmt: skip
    assert {key: getattr(recipe, key) for key in expected} == expected
    model = linegraph.build_model(recipe.model, **{**recipe.model_config, "hidden": 8})
    inputs = {name: tensor.shape for name, tensor in model.named_parameters()}
    assert inputs["trunk.atom_embedding.mlp.linear.weight"] == (8, 92)
    assert inputs["trunk.bond_embedding.inner.linear.weight"] == (64, 80)
    assert inputs["trunk.angle_embedding.inner.linear.weight"] == (64, 40)


def test_values_survive_being_written(tmp_path: Path) -> None:
    for name in recipe_names():
        recipe = load_recipe(name)
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe.as_dict()))
        assert load_recipe(str(path)) == recipe


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
        ("loss=mse", "mse"),
        (" lr =0.5", 0.5),
        ("summary=a=b", "a=b"),
    ],
)
def test_values_as_text(word: str, value: object) -> None:
    key = word.partition("=")[0].strip()
    found = getattr(set_(word), key)
    assert found == value
    assert type(found) is type(value)


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
        ("shuffle=1", "expected true or false, got 1"),
        ("shuffle=maybe", "expected true or false, got 'maybe'"),
        ("loss=null", "expected text, got None"),
        ("loss=3", "expected text, got 3"),
        ("loss=l2", "'l2' is none of l1, huber, mse"),
        ("keep=first", "'first' is none of best, last"),
        ("split=system", "'system' is none of published, random, grouped"),
        ("schedule=cosine", "'cosine' is none of onecycle, constant"),
        ("model=MODEL-9", "'MODEL-9' is none of"),
        ("model=MPT", "'MPT' is none of"),
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


@pytest.mark.parametrize(
    ("key", "near"),
    [("hiden", "hidden"), ("batchsize", "batch_size"), ("epoch", "epochs"), ("Lr", "lr")],
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


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "key: value"), ("- 1", "key: value"), ("a: [", "no YAML"), ("text", "key: value")],
)
def test_file_that_is_no_recipe(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=problem) as caught:
        load_recipe(str(path))
    assert caught.value.file == path


def test_missing_recipes() -> None:
    with pytest.raises(InputError, match=r"'big'.*small"):
        load_recipe("big")
    with pytest.raises(InputError, match="no such recipe file"):
        load_recipe("nowhere.yaml")


def test_last_setting_wins() -> None:
    assert set_("lr=1", "lr=2").lr == 2.0


def test_ranges_and_choices_fit_the_defaults() -> None:
    assert PLAIN.changed(PLAIN.as_dict()) == PLAIN
    assert all(getattr(PLAIN, key) in known for key, known in CHOICES.items())


def test_every_setting_is_explained() -> None:
    for field in fields(Recipe):
        assert f"\n        {field.name}: " in (Recipe.__doc__ or "")


def test_graph_settings_are_those_of_views() -> None:
    recipe = replace(PLAIN, canonical=True, shell_tol=0.5, lattice_decimals=3)
    found = recipe.graph_settings
    assert (found["canonical"], found["shell_tol"], found["lattice_decimals"]) == (True, 0.5, 3)

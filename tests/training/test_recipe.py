"""Recipes: those that come with the package, and how they build on each other."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

import linegraph
from linegraph.errors import InputError
from linegraph.models import DifferenceModel, LocalModel, PairModel, SingleModel
from tests.goldens import SHARED
from training.parts import PARTS
from training.pretrain import pretrain
from training.recipe import Recipe, load_recipe, recipe_names
from training.train import train

PLAIN = Recipe(summary="")

PAPER = SHARED / "spec" / "paper-supplementary.txt"
needs_paper = pytest.mark.skipif(
    not PAPER.is_file(), reason="the paper's tables (../shared/spec) are not here"
)

BOTH = ("initial", "final")

#: Of every network in Table S5 of arXiv:2508.06436: recipe, class, views, and the settings in
#: which it differs from the others. Those that it shares are PUBLISHED.
TABLE_S5: dict[str, tuple[str, type, tuple[str, ...], dict[str, Any]]] = {
    "SCRATCH-ADD": (
        "scratch-add-paper", PairModel, BOTH,
        {"model": "SCRATCH-ADD", "canonical": True, "loss": "mse", "pretrained": False},
    ),
    "SCRATCH-SUB": (
        "scratch-sub-paper", PairModel, BOTH,
        {"model": "SCRATCH-SUB", "canonical": True, "loss": "mse", "pretrained": False},
    ),
    "SCRATCH-CC": (
        "scratch-cc-paper", PairModel, BOTH,
        {"model": "SCRATCH-CC", "canonical": True, "loss": "mse", "pretrained": False},
    ),
    "SCRATCH-MODEL-3": (
        "scratch-model-3-paper", SingleModel, ("band",),
        {"model": "SCRATCH-MODEL-3", "canonical": True, "loss": "mse", "pretrained": False},
    ),
    "MODEL-1-ADD": ("model-1-add-paper", PairModel, BOTH, {"model": "MODEL-1-ADD"}),
    "MODEL-1-SUB": ("model-1-sub-paper", PairModel, BOTH, {"model": "MODEL-1-SUB"}),
    "MODEL-1-CC": ("model-1-cc-paper", PairModel, BOTH, {"model": "MODEL-1-CC"}),
    "MODEL-1-CC-SINGLE-PATH": (
        "model-1-cc-single-path-paper", PairModel, BOTH, {"model": "MODEL-1-CC", "one_path": True}
    ),
    "MODEL-2": ("model-2-paper", DifferenceModel, BOTH, {"model": "MODEL-2"}),
    "MODEL-3": ("model-3-paper", SingleModel, ("band",), {"model": "MODEL-3", "batch_size": 128}),
    "MODEL-4": (
        "model-4-paper", LocalModel, ("band", "local"), {"model": "MODEL-4", "batch_size": 64}
    ),
}  # fmt: skip

#: Table S1, and the settings of the published scripts. What is not here is as it is by default.
PUBLISHED: dict[str, Any] = {
    "hidden": 256, "alignn_layers": 4, "conv_layers": 4, "embedding": 64, "head": 128,
    "canonical": False, "max_neighbors": 12, "shell_tol": 1e-8, "lattice_decimals": 5,
    "one_path": False, "split": "published", "epochs": 500, "batch_size": 16, "shuffle": False,
    "loss": "l1", "lr": 1e-3, "lr_parts": {}, "weight_decay": 1e-5, "schedule": "onecycle",
    "warmup": 0.3, "clip": None, "jitter": 0.0, "center": False, "pretrained": True,
    "new_head": True, "norms": "keep", "freeze": [], "unfreeze_at": None, "keep": "best",
    "seed": 123,
}  # fmt: skip

#: What the recipes of transfer change besides ``pretrained``.
TRANSFER: dict[str, dict[str, Any]] = {
    "all": {},
    "gradual": {
        "freeze": ["embeddings", "alignn_layers", "conv_layers"],
        "unfreeze_at": 4,
        "lr_parts": {"embeddings": 0.3, "alignn_layers": 0.3, "conv_layers": 0.3},
    },
    "last-layer": {"freeze": ["embeddings", "alignn_layers", "conv_layers"]},
    "new-head-1": {"freeze": ["atom_embedding"]},
    "new-head-3": {"freeze": ["embeddings"]},
    "new-head-4": {"freeze": ["embeddings", "alignn_layers"]},
    "three-body-frozen": {"freeze": ["embeddings", "three_body"]},
    "two-body-frozen": {"freeze": ["embeddings", "two_body"]},
}


def settings_of(name: str) -> dict[str, Any]:
    """All settings of a recipe but its summary."""
    settings = load_recipe(name).as_dict()
    del settings["summary"]
    return settings


def test_all_shipped_recipes_load() -> None:
    names = recipe_names()
    assert {"model-3", "model-4", "mpt", "mpt-small", "small", "starter"} <= set(names)
    for name in names:
        recipe = load_recipe(name)
        assert recipe.summary
        assert linegraph.models().count(recipe.model) == 1
    summaries = [load_recipe(name).summary for name in names]
    assert len(set(summaries)) == len(names)


@pytest.mark.parametrize("row", TABLE_S5)
def test_networks_of_table_s5(row: str) -> None:
    name, kind, views, own = TABLE_S5[row]
    defaults = {field: value for field, value in PLAIN.as_dict().items() if field != "summary"}
    assert settings_of(name) == {**defaults, **PUBLISHED, **own}
    recipe = load_recipe(name)
    assert re.match(rf"{row} .*of Table S5|{row} of Table S5", recipe.summary)
    model = linegraph.build_model(recipe.model, **{**recipe.model_config, "hidden": 8})
    assert type(model) is kind
    assert model.views == views


def test_recipes_of_the_paper_are_those_of_table_s5() -> None:
    found = {name for name in recipe_names() if name.endswith("-paper")}
    assert found == {name for name, *_ in TABLE_S5.values()} | {"mpt-paper"}


@needs_paper
def test_every_network_row_of_table_s5_is_there() -> None:
    text = PAPER.read_text(encoding="utf-8")
    text = text[text.index("S5 Performance metrics") : text.index("Table S5. Model performance")]
    rows = re.findall(r"^((?:SCRATCH|MODEL)-\S+)\t", text, re.M)
    assert len(rows) == 11
    assert rows == list(TABLE_S5)


@needs_paper
def test_settings_of_table_s1() -> None:
    """As the file of the paper has them; features per atom, bond and angle are 92, 80 and 40."""
    text = PAPER.read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text[: text.index("Table S1. Conf")].splitlines()]
    said = {row[0]: float(row[1]) for row in rows if len(row) == 2 and row[1][0].isdigit()}
    recipe = load_recipe("model-2-paper")
    model = linegraph.build_model(recipe.model, **{**recipe.model_config, "hidden": 8})
    inputs = {name: tensor.shape for name, tensor in model.named_parameters()}
    assert said == {
        "ALIGNN layers": recipe.alignn_layers,
        "Graph convolutional network layers": recipe.conv_layers,
        "Atom input features": inputs["trunk.atom_embedding.mlp.linear.weight"][1],
        "Edge input features": inputs["trunk.bond_embedding.inner.linear.weight"][1],
        "Bond angle input features": inputs["trunk.angle_embedding.inner.linear.weight"][1],
        "Embedding features": inputs["trunk.bond_embedding.inner.linear.weight"][0],
        "Hidden features": recipe.hidden,
        "Default Batch size": recipe.batch_size,
        "Batch size for MODEL-3": load_recipe("model-3-paper").batch_size,
        "Batch size for MODEL-4": load_recipe("model-4-paper").batch_size,
        # The published script's schedule puts the rate of fine-tuning in its place.
        "Pre-training (PT) learning rate": 1e-4,
        "Fine-tuning (FT) learning rate": recipe.lr,
        "Weight decay": recipe.weight_decay,
        "Random seed": recipe.seed,
        "Epochs": recipe.epochs,
    }


def test_published_pretraining() -> None:
    own = {"model": "MPT", "batch_size": 4, "split": "grouped", "center": True, "pretrained": False}
    recipe = load_recipe("mpt-paper")
    # How bands are parted and centred means nothing here.
    defaults = {field: value for field, value in PLAIN.as_dict().items() if field != "summary"}
    expected = {**defaults, **PUBLISHED, **own, "balance": "none", "val": 0.1, "drop": []}
    assert settings_of("mpt-paper") == expected
    model = linegraph.build_model(recipe.model, **{**recipe.model_config, "hidden": 8})
    assert model.views == ("crystal",)


@pytest.mark.parametrize("name", [n for n in recipe_names() if load_recipe(n).pretrained])
def test_a_shipped_pretraining_fits_every_fine_tuning(name: str) -> None:
    recipe = load_recipe(name)
    trunk = load_recipe("mpt-paper" if name.endswith("-paper") else "mpt-small")
    assert recipe.new_head
    assert trunk.model_config.items() <= recipe.model_config.items()
    assert recipe.graph_settings == trunk.graph_settings


def test_recipes_of_transfer_are_small_but_for_their_own_keys() -> None:
    found = {name.removeprefix("transfer-") for name in recipe_names() if "transfer-" in name}
    assert found == set(TRANSFER)
    small = settings_of("small")
    for name, own in TRANSFER.items():
        assert settings_of(f"transfer-{name}") == {**small, "pretrained": True, **own}, name
        assert set(own.get("freeze", ())) | set(own.get("lr_parts", ())) <= set(PARTS)


@pytest.mark.parametrize(
    ("name", "base", "own"),
    [
        ("small-model-4", "small", {"model": "MODEL-4"}),
        ("model-4", "model-3", {"model": "MODEL-4"}),
    ],
)
def test_recipes_that_differ_by_the_model(name: str, base: str, own: dict[str, Any]) -> None:
    assert settings_of(name) == {**settings_of(base), **own}


def test_values_survive_being_written(tmp_path: Path) -> None:
    for name in recipe_names():
        recipe = load_recipe(name)
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe.as_dict()))
        assert load_recipe(str(path)) == recipe


def recipe_file(path: Path, **values: Any) -> str:
    path.write_text(yaml.safe_dump(values))
    return str(path)


def test_a_recipe_may_build_on_another(tmp_path: Path) -> None:
    first = recipe_file(tmp_path / "first.yaml", base="transfer-gradual", lr=0.5, freeze="head")
    second = recipe_file(tmp_path / "second.yml", base=first, lr=0.25, summary="mine")
    gradual = load_recipe("transfer-gradual")
    expected = replace(gradual, lr=0.5, freeze=("head",), summary="")
    # A summary is nobody else's.
    assert load_recipe(first) == expected
    assert load_recipe(second) == replace(expected, lr=0.25, summary="mine")


def test_a_value_may_be_set_back_to_its_default(tmp_path: Path) -> None:
    mine = recipe_file(tmp_path / "a.yaml", base="transfer-gradual", unfreeze_at=None, lr_parts={})
    assert load_recipe(mine) == replace(load_recipe("transfer-last-layer"), summary="")


@pytest.mark.parametrize("length", [1, 2, 3])
def test_recipes_based_on_each_other(length: int, tmp_path: Path) -> None:
    names = [str(tmp_path / f"{i}.yaml") for i in range(length)]
    for i, name in enumerate(names):
        recipe_file(Path(name), base=names[(i + 1) % length], lr=0.5)
    with pytest.raises(InputError) as caught:
        load_recipe(names[0])
    assert " -> ".join([*names, names[0]]) in caught.value.problem
    assert caught.value.file == Path(names[-1])
    assert caught.value.field == "base"


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ("smal", "no recipe 'smal'; known are .*small"),
        ("", "no recipe ''; known are .*small"),
        (3, "expected the name of a recipe, got 3"),
        (["small"], r"expected the name of a recipe, got \['small'\]"),
    ],
)
def test_unknown_bases(base: Any, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    with pytest.raises(InputError, match=problem) as caught:
        load_recipe(recipe_file(path, base=base))
    assert caught.value.file == path
    assert caught.value.field == "base"


def test_missing_file_of_a_base(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.yaml"
    with pytest.raises(InputError, match="no such recipe file") as caught:
        load_recipe(recipe_file(tmp_path / "mine.yaml", base=str(nowhere)))
    assert caught.value.file == nowhere


def test_no_base_is_no_base(tmp_path: Path) -> None:
    assert load_recipe(recipe_file(tmp_path / "a.yaml", base=None)) == PLAIN


def test_faults_of_a_base_are_told_of_its_file(tmp_path: Path) -> None:
    base = recipe_file(tmp_path / "base.yaml", hidden="wide")
    mine = recipe_file(tmp_path / "mine.yaml", base=base, lr=0.5)
    with pytest.raises(InputError, match="expected a whole number") as caught:
        load_recipe(mine)
    assert str(caught.value.file) == base
    assert caught.value.field == "hidden"


def test_shipped_recipes_say_only_what_differs_from_their_base() -> None:
    for name in recipe_names():
        text = (files("training") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        values = yaml.safe_load(text)
        if "base" in values:
            base = load_recipe(values.pop("base")).as_dict()
            assert not [key for key, value in values.items() if base[key] == value], name


@pytest.mark.parametrize("name", ["mpt", "mpt-small", "mpt-paper"])
def test_training_refuses_recipes_of_pretraining(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"recipe '{name}' pre-trains .*: use pretrain"):
        train(tmp_path / "run", load_recipe(name), recipe_name=name)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["small", "model-4-paper", "scratch-cc-paper"])
def test_pretraining_refuses_recipes_of_barriers(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    problem = f"recipe '{name}' trains {recipe.model} on barriers: use train"
    with pytest.raises(InputError, match=problem):
        pretrain(tmp_path / "run", recipe, tmp_path / "nowhere", recipe_name=name)
    assert not (tmp_path / "run").exists()


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


def test_every_setting_is_explained() -> None:
    for field in fields(Recipe):
        assert f"\n        {field.name}: " in (Recipe.__doc__ or "")


def test_graph_settings_are_those_of_views() -> None:
    recipe = replace(PLAIN, canonical=True, shell_tol=0.5, lattice_decimals=3)
    found = recipe.graph_settings
    assert (found["canonical"], found["shell_tol"], found["lattice_decimals"]) == (True, 0.5, 3)


def test_settings_of_band_1() -> None:
    own = {
        "networks": 2,
        "trees": 3,
        "leaves": 5,
        "supports": 7,
        "machines": 4,
        "tree_share": 0.1,
        "machine_share": 0.6,
    }
    recipe = PLAIN.changed({"model": "BAND-1", "hidden": 4, "head": 6, **own})
    model: Any = linegraph.build_model(recipe.model, **recipe.model_config)
    sizes = (
        len(model.networks),
        model.forest.trees,
        model.forest.leaves,
        model.machine.supports,
        model.machine.machines,
    )
    assert (*sizes, model.tree_share, model.machine_share) == tuple(own.values())
    assert (model.networks[0].conv.hidden, model.head.inner[0].out_features) == (4, 6)
    assert not set(own) & set(PLAIN.model_config)
    with pytest.raises(InputError, match="more than 1, with tree_share"):
        recipe.changed({"tree_share": 0.5})

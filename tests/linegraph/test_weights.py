from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import linegraph
from linegraph import InputError
from linegraph.models import Model
from linegraph.weights import load_weights, save_weights
from tests.bands import sizes_of

CONFIG = {"hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 6, "head": 4}
SETTINGS = {"canonical": False, "shell_tol": 1e-3, "lattice_decimals": None}


def model_of(
    name: str = "MODEL-3", dtype: torch.dtype = torch.float32, config: dict[str, int] = CONFIG
) -> Model:
    torch.manual_seed(0)
    model = linegraph.build_model(name, **config).to(dtype)
    with torch.no_grad():
        for key, buffer in model.named_buffers():
            if key.endswith((".child", ".feature", ".quantile")):
                continue  # of trees and ranks, which not any numbers are
            buffer.copy_(torch.rand(buffer.shape) * 5)
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of weights."""
    file = tmp_path / "model.safetensors"
    save_weights(file, model_of(), "MODEL-3", CONFIG, SETTINGS)
    return file


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", linegraph.models())
def test_what_is_saved_is_loaded(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    config = sizes_of(name, CONFIG)
    model = model_of(name, dtype, config)
    file = tmp_path / "w.safetensors"
    save_weights(file, model, name, config, SETTINGS)
    found = load_weights(file)
    assert (found.name, found.config, found.graph_settings) == (name, config, SETTINGS)
    assert not found.model.training
    ours, theirs = found.model.state_dict(), model.state_dict()
    assert list(ours) == list(theirs)
    for key, tensor in theirs.items():
        assert ours[key].dtype == tensor.dtype, key
        assert torch.equal(ours[key], tensor), key


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    """safetensors keeps metadata in a hash map; which order they come in is luck."""
    digests = set()
    for i in range(12):
        file = tmp_path / f"{i}.safetensors"
        save_weights(file, model_of(), "MODEL-3", CONFIG, SETTINGS)
        digests.add(hashlib.sha256(file.read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("given", [("a", "b"), ["GVRH", "bäd, 'quoted'"], ("a",)])
def test_names_of_outputs(given: Sequence[str], path: Path) -> None:
    config = {**CONFIG, "properties": len(given)}
    model = linegraph.build_model("MPT", **config)
    save_weights(path, model, "MPT", config, SETTINGS, given)
    found = load_weights(path)
    assert found.outputs == tuple(given)
    assert (found.name, found.config) == ("MPT", config)
    save_weights(path, model, "MPT", config, SETTINGS, outputs=())
    assert load_weights(path).outputs == ()


def test_file_without_names_of_outputs_says_nothing_of_them(path: Path) -> None:
    """As files had it before outputs had names: those are read, and equal files stay equal."""
    assert set(metadata_of(path)) == {"format", "name", "config", "graph_settings", "sha256"}
    assert load_weights(path).outputs == ()


def test_run_folder_and_text_path(path: Path) -> None:
    for place in (path, str(path), path.parent, str(path.parent)):
        assert load_weights(place).config == CONFIG


def metadata_of(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()["linegraph"])
    return found


def rewrite(path: Path, **changes: Any) -> None:
    about = {**metadata_of(path), **changes}
    save_file(load_file(path), path, {"linegraph": json.dumps(about)})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": "linegraph-0"}, "no linegraph model"),
        ({"name": "MODEL-9"}, "unknown model 'MODEL-9'"),
        ({"name": "MODEL-1-ADD", "config": {"depth": 3}}, "no setting depth"),
        ({"name": ["MODEL-3"]}, "does not fit"),
        ({"config": {**CONFIG, "hidden": 16}}, "does not fit"),
        ({"config": {**CONFIG, "conv_layers": 2}}, "does not fit"),
        ({"config": {**CONFIG, "hidden": "wide"}}, "does not fit"),
        ({"config": {**CONFIG, "hidden": -1}}, "does not fit"),
        ({"config": {}}, "does not fit"),
        ({"config": None}, "does not fit"),
        ({"config": [1]}, "does not fit"),
        ({"graph_settings": {"shells": 3}}, "'shells'"),
        ({"graph_settings": None}, "does not fit"),
        ({"graph_settings": [1]}, "does not fit"),
        ({"outputs": 3}, "does not fit"),
        ({"outputs": None}, "does not fit"),
        ({"outputs": "gv"}, "no list of names"),
        ({"outputs": ["gv"]}, "another number of heads"),
    ],
)
def test_file_that_says_something_else(changes: dict[str, Any], problem: str, path: Path) -> None:
    rewrite(path, **changes)
    with pytest.raises(InputError) as caught:
        load_weights(path)
    assert problem in str(caught.value)
    assert caught.value.file == path
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", '"x"', "{}"])
def test_metadata_that_say_nothing(text: str, path: Path) -> None:
    save_file(load_file(path), path, {"linegraph": text})
    with pytest.raises(InputError) as caught:
        load_weights(path)
    assert caught.value.file == path


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(value: float, path: Path) -> None:
    about, tensors = metadata_of(path), load_file(path)
    name = "trunk.atom_embedding.mlp.linear.weight"
    tensors[name][0, 0] = value
    save_file(tensors, path, {"linegraph": json.dumps(about)})
    with pytest.raises(InputError, match="NaN or infinite") as caught:
        load_weights(path)
    assert caught.value.field == name


@pytest.mark.parametrize("what", ["missing", "more", "none", "integers"])
def test_tensors_that_do_not_fit(what: str, path: Path) -> None:
    about, tensors = metadata_of(path), load_file(path)
    if what == "missing":
        del tensors[min(tensors)]
    elif what == "more":
        tensors["more"] = torch.ones(1)
    elif what == "none":
        tensors = {}
    else:
        tensors = {name: tensor.long() for name, tensor in tensors.items()}
    save_file(tensors, path, {"linegraph": json.dumps(about)})
    with pytest.raises(InputError, match="does not fit"):
        load_weights(path)


def test_damaged_files(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    for changed in (b"", b"x", content[:-1], content[:50], b"\xff" * 100, b"\0" * 8 + content[8:]):
        path.write_bytes(changed)
        with pytest.raises(InputError, match="no readable safetensors file"):
            load_weights(path)
    for place in (tmp_path / "nowhere", tmp_path / "nowhere.safetensors"):
        with pytest.raises(InputError, match="no such weights"):
            load_weights(place)

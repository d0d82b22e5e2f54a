"""Checkpoints of the reference: what is read from them, and what is refused."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import linegraph
from linegraph import InputError
from linegraph.models import PUBLISHED as NAMES
from linegraph.models import Model
from linegraph.published import convert_checkpoint, read_published
from linegraph.weights import load_weights

from .. import goldens
from ..bands import rock_salt_band

SMALL = {"hidden": 8, "alignn_layers": 2, "conv_layers": 1, "embedding": 6, "head": 4}
PUBLISHED = {"hidden": 256, "alignn_layers": 4, "conv_layers": 4, "embedding": 64, "head": 128}

GOLDEN = ("MPT", "MODEL-1-ADD", "MODEL-1-SUB", "MODEL-1-CC", "MODEL-2", "MODEL-3", "MODEL-4")

#: Models whose output is one linear map, which has no size.
LINEAR = ("ALIGNN", "SCRATCH-ADD", "SCRATCH-SUB", "SCRATCH-CC", "SCRATCH-MODEL-3")

#: Models with the same tensors as others. MPT has seven heads, but may have one.
ONE_HEAD = ("MPT", "MODEL-1-ADD", "MODEL-1-SUB", "MODEL-3")
ONE_MAP = ("ALIGNN", "SCRATCH-ADD", "SCRATCH-SUB", "SCRATCH-MODEL-3")
TWINS = {**dict.fromkeys(ONE_HEAD[1:], ONE_HEAD), **dict.fromkeys(ONE_MAP, ONE_MAP)}

WEIGHT = "gcn_layers.0.src_gate.weight"
COUNTER = "gcn_layers.0.bn_nodes.num_batches_tracked"
BONDS, ANGLES = "edge_embedding.0.centers", "angle_embedding.0.centers"


def random_model(name: str = "MODEL-2", **config: Any) -> Model:
    """A model with running statistics other than those it starts with."""
    torch.manual_seed(0)
    model = linegraph.build_model(name, **(config or SMALL))
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                tensor.fill_(7)
            elif not key.endswith("centers"):
                tensor.copy_(torch.rand(tensor.shape) * 0.5 + 0.1)
    return model.eval()


def small_state(name: str = "MODEL-2") -> dict[str, Any]:
    return dict(linegraph.reference_state_dict(random_model(name)))


def saved(folder: Path, content: Any, **options: Any) -> Path:
    path = folder / "reference.pt"
    torch.save(content, path, **options)
    return path


def output(model: Model, **settings: Any) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(linegraph.views(rock_salt_band(), model.views, **settings))
    assert torch.isfinite(out).all()
    return out


def same(ours: Model, theirs: Model) -> bool:
    mine, yours = ours.state_dict(), theirs.state_dict()
    return list(mine) == list(yours) and all(
        mine[key].dtype == tensor.dtype and torch.equal(mine[key], tensor)
        for key, tensor in yours.items()
    )


def sizes(name: str, config: dict[str, int]) -> dict[str, int]:
    wanted = {k: v for k, v in config.items() if k != "head" or name not in LINEAR}
    return {**wanted, "properties": 7} if name == "MPT" else wanted


@pytest.mark.parametrize("name", NAMES)
def test_every_model_comes_back(name: str, tmp_path: Path) -> None:
    model = random_model(name)
    state = linegraph.reference_state_dict(model)
    path = saved(tmp_path, OrderedDict(reversed(state.items())))
    found = read_published(path, name if name in TWINS else None)
    assert (found.name, found.config) == (name, sizes(name, SMALL))
    assert found.graph_settings == {
        "canonical": name == "ALIGNN" or name.startswith("SCRATCH"),
        "max_neighbors": 12,
        "shell_tol": 1e-8,
        "lattice_decimals": 5,
    }
    assert not found.model.training
    assert same(found.model, model)
    assert torch.equal(output(found.model), output(model))


@goldens.needs_goldens
@pytest.mark.parametrize("name", GOLDEN)
def test_names_and_shapes_of_the_reference_tell_the_model(name: str, tmp_path: Path) -> None:
    state = goldens.state_dict(name)
    found = read_published(saved(tmp_path, state), name if name in TWINS else None)
    assert (found.name, found.config) == (name, sizes(name, PUBLISHED))
    back = linegraph.reference_state_dict(found.model)
    assert all(torch.equal(back[key], tensor) for key, tensor in state.items())


@pytest.mark.parametrize("name", TWINS)
def test_models_with_the_same_tensors_must_be_named(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, small_state(name))
    *others, last = TWINS[name]
    with pytest.raises(InputError, match=f"may be {', '.join(others)} or {last}, .* --model"):
        read_published(path)
    assert {read_published(path, twin).name for twin in TWINS[name]} == set(TWINS[name])


@pytest.mark.parametrize("name", LINEAR)
def test_linear_heads_are_called_fc(name: str) -> None:
    shapes = {k: tuple(v.shape) for k, v in small_state(name).items() if "layers" not in k}
    assert shapes.pop("fc.weight") == (1, 16 if name == "SCRATCH-CC" else 8)
    assert shapes.pop("fc.bias") == (1,)
    assert all(key.split(".")[0].endswith("_embedding") for key in shapes)


def test_two_linear_layers_at_the_end_are_one(tmp_path: Path) -> None:
    """The public class of SCRATCH-CC has them, 512 to 256 to 1, with nothing in between."""
    state = small_state("SCRATCH-CC")
    head = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 1))
    del state["fc.weight"], state["fc.bias"]
    state.update({f"fc.{key}": tensor for key, tensor in head.state_dict().items()})
    found = read_published(saved(tmp_path, state))
    assert (found.name, found.config) == ("SCRATCH-CC", sizes("SCRATCH-CC", SMALL))
    merged: Any = found.model.head
    vectors = torch.randn(5, 16)
    with torch.no_grad():
        torch.testing.assert_close(merged(vectors), head(vectors).squeeze(-1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_sizes_and_types(dtype: torch.dtype, tmp_path: Path) -> None:
    config = {**SMALL, "bond_bins": 20, "angle_bins": 10, "bond_cutoff": 6.0, "properties": 3}
    model = random_model("MPT", **config).to(dtype)
    found = read_published(saved(tmp_path, linegraph.reference_state_dict(model)))
    assert (found.name, found.config) == ("MPT", config)
    assert same(found.model, model)


@pytest.mark.parametrize(("end", "made"), [(5.1, torch.float32), (5.123456789, torch.float64)])
def test_end_of_the_grid_is_what_was_meant(end: float, made: torch.dtype, tmp_path: Path) -> None:
    model: Any = random_model("MODEL-2", bond_cutoff=end, **SMALL).double()
    basis = model.trunk.bond_embedding.basis
    basis.centers = torch.linspace(0, end, 80, dtype=made).double()
    found: Any = read_published(saved(tmp_path, linegraph.reference_state_dict(model)))
    assert found.config["bond_cutoff"] == end
    assert found.model.trunk.bond_embedding.basis.gamma == basis.gamma
    assert same(found.model, model)


def test_prefix_parameters_and_the_old_format_make_no_difference(tmp_path: Path) -> None:
    state = {
        f"module.{key}": nn.Parameter(value) if value.is_floating_point() else value
        for key, value in small_state().items()
    }
    path = saved(tmp_path, state, _use_new_zipfile_serialization=False)
    assert same(read_published(path).model, random_model())


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("how", ["new format", "old format", "bare pickle"])
def test_code_in_a_checkpoint_is_not_run(how: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "reference.pt"
    content = {"fc.weight": Touch(mark)}
    if how == "bare pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "new format")
    with pytest.raises(InputError, match="holds more than tensors.* is not opened") as caught:
        read_published(path)
    assert caught.value.file == path
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not mark.exists()
    if how == "bare pickle":
        pickle.loads(path.read_bytes())
        assert mark.exists()  # what would have happened


def test_training_checkpoints_are_told_from_state_dicts(tmp_path: Path) -> None:
    model = random_model()
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=9)
    content = {
        "model": linegraph.reference_state_dict(model),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": schedule.state_dict(),
        "trainer": {"epoch_length": 3, "max_epochs": 3, "iteration": 9},
    }
    path = saved(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_published(path)
    assert "training checkpoint (model, optimizer, lr_scheduler, trainer)" in str(caught.value)
    assert "save its 'model' entry alone" in str(caught.value)
    torch.save(torch.load(path, weights_only=True)["model"], path)
    assert same(read_published(path).model, model)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "is empty"),
        ([torch.ones(2)], "holds a list"),
        (None, "holds a NoneType"),
        ({"module.a": torch.ones(1), "b": torch.ones(1)}, "unexpected: b, module.a"),
        ({"epoch": 3}, "field epoch: is no plain state dict: a int"),
        ({"weights": {"a": torch.ones(2)}}, "field weights: is no plain state dict: a dict"),
        ({0: torch.ones(2)}, "field 0: is no plain state dict: a Tensor, not"),
        (nn.Linear(2, 2), "more than tensors (torch.nn.modules.linear.Linear) and is not opened"),
        ({"fc.weight": torch.ones(1, 8)}, "is a state dict of no model here, nearest "),
        (
            {f"fc.{i}.{part}": torch.tensor(1.0) for i in (0, 1) for part in ("weight", "bias")},
            "unexpected: fc.0.bias, fc.0.weight, fc.1.bias and 1 more",
        ),
    ],
)
def test_other_contents(content: Any, problem: str, tmp_path: Path) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_published(path)
    assert problem in str(caught.value)
    assert caught.value.file == path


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        (WEIGHT, lambda t: t.fill_(torch.nan), "holds NaN or infinite"),
        (WEIGHT, lambda t: t.index_fill(0, torch.tensor(3), -torch.inf), "holds NaN or infinite"),
        (WEIGHT, lambda t: t.long(), "is torch.int64, not a floating-point weight"),
        (WEIGHT, lambda t: t > 0, "is torch.bool, not a floating-point weight"),
        (WEIGHT, lambda t: t.to(torch.complex64), "is torch.complex64, not a floating-point"),
        (WEIGHT, lambda t: t.to(torch.float8_e4m3fn), "is torch.float8_e4m3fn, not a floating"),
        (WEIGHT, lambda t: t.double(), "is torch.float64, but weights before it are torch.float32"),
        (WEIGHT, lambda t: t.to_sparse(), "is no dense array"),
        (WEIGHT, lambda t: t.to("meta"), "is no dense array"),
        (WEIGHT, lambda t: t[:0], "is no dense array"),
        (WEIGHT, lambda _: torch.zeros(1).expand(8, 8), "is no dense array"),
        (COUNTER, lambda t: t.float(), "is torch.float32, not a whole number"),
        (BONDS, lambda t: t**2, "is no even grid from 0"),
        (BONDS, lambda t: t + 1, "is no even grid from 0"),
        (BONDS, lambda t: -t, "is no even grid from 0"),
        (BONDS, lambda t: 0 * t, "is no even grid from 0"),
        (BONDS, lambda t: t[:1], "is no even grid from 0"),
        (BONDS, lambda t: t[-1], "is no even grid from 0"),
        (ANGLES, lambda t: t.view(2, -1), "is no even grid from -1 to 1"),
        (ANGLES, lambda t: 0.9 * t, "is no even grid from -1 to 1"),
    ],
)
def test_what_is_no_weight(name: str, change: Any, problem: str, tmp_path: Path) -> None:
    state = small_state()
    state[name] = change(state[name])
    with pytest.raises(InputError) as caught:
        read_published(saved(tmp_path, state))
    assert problem in str(caught.value)
    assert caught.value.field == name


def test_wrong_model_is_told_what_differs(tmp_path: Path) -> None:
    path = saved(tmp_path, small_state("MODEL-1-CC"))
    with pytest.raises(InputError, match="MODEL-3; unexpected: fc.bias, fc.weight$") as caught:
        read_published(path, "MODEL-3")
    assert caught.value.file == path
    with pytest.raises(InputError) as caught:
        read_published(path, "SCRATCH-CC")
    assert "unexpected: conv_to_fc.0.bias, " in str(caught.value)
    assert "; shape: fc.weight (8, 16) instead of (1, 16), fc.bias (8,)" in str(caught.value)
    with pytest.raises(InputError, match="no published model 'MODEL-5'; there are ALIGNN, MPT"):
        read_published(path, "MODEL-5")


def test_nearest_model_is_named_where_none_fits(tmp_path: Path) -> None:
    state = small_state("MODEL-4")
    state["attention.linear_q.weight"] = torch.ones(8, 9)
    del state["fc.bias"]
    state |= {f"more.{i}": torch.ones(1) for i in range(5)}
    with pytest.raises(InputError) as caught:
        read_published(saved(tmp_path, state))
    assert str(caught.value).endswith(
        "nearest MODEL-4; missing: fc.bias; unexpected: more.0, more.1, more.2 and 2 more; "
        "shape: attention.linear_q.weight (8, 9) instead of (8, 8)"
    )


def test_sizes_that_one_tensor_claims_cost_no_memory(tmp_path: Path) -> None:
    """Features this wide would take terabytes."""
    state = {**small_state(), "atom_embedding.layer.0.weight": torch.ones(1_000_000, 1)}
    linegraph.features._table.cache_clear()
    for model in (None, "MODEL-2"):
        with pytest.raises(InputError, match="state dict of"):
            read_published(saved(tmp_path, state), model)
    assert linegraph.features.element_features().sum() > 0  # made with its numbers


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    path = saved(tmp_path, small_state())
    content = path.read_bytes()
    for changed in (b"", b"x", content[:-30], content[:100], b"\xff" * 100, b"hello world\n"):
        path.write_bytes(changed)
        with pytest.raises(InputError, match=r"is no readable checkpoint|or is damaged") as caught:
            read_published(path)
        assert caught.value.file == path
        assert "\n" not in str(caught.value)
    for place in (tmp_path / "nowhere.pt", tmp_path):
        with pytest.raises(InputError, match="no such checkpoint"):
            read_published(place)


@pytest.mark.parametrize("name", NAMES)
def test_converted_file_gives_the_same_prediction(name: str, tmp_path: Path) -> None:
    model = random_model(name)
    path, out = saved(tmp_path, linegraph.reference_state_dict(model)), tmp_path / "w.safetensors"
    returned, found = convert_checkpoint(path, str(out), name), load_weights(out)
    assert (found.name, found.config) == (name, sizes(name, SMALL))
    assert found.graph_settings == returned.graph_settings
    assert same(found.model, model)
    settings = found.graph_settings
    assert torch.equal(output(found.model, **settings), output(model, **settings))


def test_output_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = saved(tmp_path, small_state()), tmp_path / "w.safetensors"
    out.write_bytes(b"before")
    with pytest.raises(InputError, match="is no state dict of MODEL-3"):
        convert_checkpoint(path, out, "MODEL-3")

    def half(place: Path, *_: Any) -> None:
        place.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("linegraph.published.save_weights", half)
        with pytest.raises(InputError, match=r"cannot be written \(.*No space left"):
            convert_checkpoint(path, out)
    assert out.read_bytes() == b"before"
    with out.open("rb") as reader:
        convert_checkpoint(path, out)
        assert reader.read() == b"before"
    assert load_weights(out).name == "MODEL-2"
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, out.name]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    path = saved(tmp_path, small_state())
    before = path.read_bytes()
    (tmp_path / "folder").mkdir()
    for out in (tmp_path / "nowhere" / "w.safetensors", tmp_path / "folder"):
        with pytest.raises(InputError, match="cannot be written") as caught:
            convert_checkpoint(path, out)
        assert caught.value.file == out
    with pytest.raises(InputError, match="is the checkpoint itself"):
        convert_checkpoint(path, tmp_path / "folder" / ".." / path.name)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", path.name]


def test_models_of_ours_have_no_names_there(tmp_path: Path) -> None:
    """BAND-1 is never offered, and asked for it is refused."""
    assert set(linegraph.models()) - set(NAMES) == {"BAND-1"}
    model = linegraph.build_model("BAND-1", hidden=8, head=4)
    for ask in (
        lambda: linegraph.reference_state_dict(model),
        lambda: linegraph.load_reference_state_dict(model, small_state()),
    ):
        with pytest.raises(KeyError, match="the reference has no BandModel: "):
            ask()
    path = tmp_path / "band.pt"
    torch.save(model.state_dict(), path)
    with pytest.raises(InputError, match="no published model 'BAND-1'; there are .*MODEL-4, SCR"):
        convert_checkpoint(path, tmp_path / "w.safetensors", "BAND-1")
    with pytest.raises(InputError, match=r"field forest\.feature: is torch\.int16"):
        convert_checkpoint(path, tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()

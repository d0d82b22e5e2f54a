"""Every published model computes what the reference computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

import linegraph
from linegraph.convert import reference_name

from .. import goldens

pytestmark = goldens.needs_goldens

MODELS = ("MPT", "MODEL-1-ADD", "MODEL-1-SUB", "MODEL-1-CC", "MODEL-2", "MODEL-3", "MODEL-4")

# Whatever these feed reaches no output; we leave it out, the reference computes it.
UNUSED = (
    "alignn_layers.3.edge_update.bn_edges.",
    "gcn_layers.3.bn_edges.",
    "alignn_layers_1.0.edge_update.bn_edges.",
    "gcn_layers_1.0.bn_edges.",
)

PREFIX = {"band": "dup_", "crystal": "dup_", "initial": "ini_", "final": "fin_", "local": "sub_"}


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def golden(name: str) -> dict[str, Any]:
    return goldens.load(f"model_{name}")


def golden_batch(name: str, golden: dict[str, Any]) -> dict[str, Any]:
    """Batches by view, of the reference's own bonds."""
    records = [goldens.load(f"record_{i:02d}") for i in golden["record_index"]]
    return {
        view: Batch.from_data_list([goldens.record_graph(r, PREFIX[view]) for r in records])
        for view in linegraph.build_model(name, hidden=1).views
    }


def rebuilt_batch(name: str, golden: dict[str, Any]) -> dict[str, Any]:
    """Batches by view, made from the structures."""
    records = [goldens.load(f"record_{i:02d}") for i in golden["record_index"]]
    batches = {}
    for view in linegraph.build_model(name, hidden=1).views:
        graphs = []
        for record in records:
            # Some published final structures are not the band's, so ends are not cut from it.
            part, wanted = (PREFIX[view], "crystal") if view in ("initial", "final") else ("", view)
            cell = goldens.record_cell(record, part)
            made = linegraph.views(cell, [wanted], shell_tol=1e-8, dtype=torch.float64)
            graphs.append(made[wanted])
        batches[view] = Batch.from_data_list(graphs)
    return batches


def reference_model(name: str = "MODEL-3", dtype: torch.dtype = torch.float64) -> Any:
    config = {"dropout": 0.0} if name == "MODEL-4" else {}
    model = linegraph.build_model(name, **config).double()
    linegraph.load_reference_state_dict(model, goldens.state_dict(name))
    return model.to(dtype)


def relative(ours: Any, theirs: Any) -> float:
    ours, theirs = np.asarray(ours).ravel(), np.asarray(theirs).ravel()
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def forward(model: Any, batch: dict[str, Any], golden: dict[str, Any]) -> torch.Tensor:
    if "has_prop" in golden:
        mask = torch.as_tensor(golden["has_prop"])
        return model(batch, mask=mask.to(next(model.parameters()).dtype))
    return model(batch)


def train_step(model: Any, batch: dict[str, Any], golden: dict[str, Any]) -> tuple[Any, Any]:
    model.train()
    out = forward(model, batch, golden)
    target = torch.as_tensor(golden["target"], dtype=out.dtype)
    if "has_prop" in golden:
        target = target[:, None] * torch.as_tensor(golden["has_prop"])
    loss = (out - target).abs().mean()
    loss.backward()
    return out.detach(), loss.detach()


def gradients(model: torch.nn.Module) -> dict[str, np.ndarray]:
    return {
        reference_name(name): p.grad.double().numpy()
        for name, p in model.named_parameters()
        if p.grad is not None
    }


class Step(NamedTuple):
    """One training step of a model."""

    out: torch.Tensor
    loss: torch.Tensor
    gradients: dict[str, np.ndarray]
    state: dict[str, torch.Tensor]


@cache
def step(name: str, source: Callable[..., dict[str, Any]], dtype: torch.dtype) -> Step:
    """A training step, made once for all that is asked of it."""
    golden = goldens.load(f"model_{name}")
    model = reference_model(name, dtype)
    out, loss = train_step(model, source(name, golden), golden)
    return Step(out, loss, gradients(model), linegraph.reference_state_dict(model))


SOURCES = pytest.mark.parametrize(
    ("source", "dtype", "tolerance"),
    [
        (golden_batch, torch.float64, 1e-9),
        (golden_batch, torch.float32, 1e-4),
        (rebuilt_batch, torch.float64, 1e-5),
    ],
    ids=["golden bonds", "golden bonds, float32", "rebuilt"],
)


@SOURCES
def test_output_in_evaluation(
    name: str, golden: Any, source: Any, dtype: torch.dtype, tolerance: float
) -> None:
    model = reference_model(name, dtype).eval()
    with torch.no_grad():
        out = forward(model, source(name, golden), golden)
    assert out.dtype == dtype
    assert relative(out, golden["eval_f64_out"]) <= tolerance


def skip_if_slow(request: pytest.FixtureRequest, name: str, source: Any) -> None:
    """Steps on rebuilt graphs take minutes in all: two models stand for the rest by default."""
    default = request.config.getoption("-m") == "not slow"
    if default and source is rebuilt_batch and name not in ("MODEL-3", "MODEL-4"):
        pytest.skip("slow; run with -m ''")


@SOURCES
def test_output_and_loss_in_training(
    request: Any, name: str, golden: Any, source: Any, dtype: torch.dtype, tolerance: float
) -> None:
    skip_if_slow(request, name, source)
    done = step(name, source, dtype)
    assert relative(done.out, golden["train_f64_out"]) <= tolerance
    assert relative(done.loss, golden["train_f64_loss"]) <= tolerance


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_features_of_atoms_and_structures(mode: str) -> None:
    golden = goldens.load("model_MODEL-3")
    trunk = reference_model().trunk.train(mode == "train")
    batch = golden_batch("MODEL-3", golden)["band"]
    with torch.no_grad():
        atoms = trunk.atoms(batch)
        structures = trunk(batch)
    assert relative(atoms, golden[f"{mode}_f64_full_gcn_layers.3_x_call0"]) <= 1e-9
    assert relative(structures, golden[f"{mode}_f64_full_readout_call0"]) <= 1e-9


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("MODEL-1-ADD", {"trunk": "readout"}),
        ("MODEL-1-CC", {"trunk": "readout", "merge": "fc"}),
        ("MODEL-2", {"merge": "fc"}),
        ("MODEL-4", {"readout": "attention", "local_readout": "attention1", "merge": "fc"}),
    ],
)
def test_vectors_on_the_way(name: str, modules: dict[str, str], mode: str) -> None:
    golden = goldens.load(f"model_{name}")
    model = reference_model(name).train(mode == "train")
    seen: list[tuple[str, torch.Tensor]] = []
    for ours, theirs in modules.items():
        module = getattr(model, ours)
        module.register_forward_hook(lambda _m, _i, out, t=theirs: seen.append((t, out)))
    with torch.no_grad():
        model(golden_batch(name, golden))
    assert len(seen) == sum(2 if theirs == "readout" else 1 for theirs in modules.values())
    calls: dict[str, int] = {}
    for theirs, out in seen:
        call = calls.get(theirs, 0)
        calls[theirs] = call + 1
        assert relative(out, golden[f"{mode}_f64_full_{theirs}_call{call}"]) <= 1e-9, theirs


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", ["MODEL-3", "MPT"])
def test_statistics_of_every_layer(name: str, mode: str) -> None:
    """Moments over the reference's literal rows; a distinct row counts as often as it stands."""
    golden = goldens.load(f"model_{name}")
    model = reference_model(name).train(mode == "train")
    (batch,) = golden_batch(name, golden).values()
    rows = layer_rows(model, batch)
    names = golden[f"{mode}_f64_layer_names"].tolist()
    compared = 0
    for layer, theirs in zip(names, golden[f"{mode}_f64_layer_stats"], strict=True):
        if layer not in rows:
            assert layer in ("alignn_layers.3.z", "gcn_layers.3.y")
            continue
        x, w = rows[layer]
        w = w.double()[:, None]
        n = w.sum() * x.size(1)
        ours = [
            (w * x).sum() / n,
            ((w * x * x).sum() / n).sqrt(),
            (w * x.abs()).sum() / n,
            x[w[:, 0] > 0].min(),
            x[w[:, 0] > 0].max(),
            w.sum(),
        ]
        np.testing.assert_allclose(np.array(ours), theirs, rtol=1e-9, atol=1e-12, err_msg=layer)
        compared += 1
    assert compared == len(names) - 2


def layer_rows(model: Any, batch: Any) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Output of every layer under the reference's name, with the copies each row stands for."""
    copies = {
        batch.num_nodes: ("x", torch.ones(batch.num_nodes)),
        batch.num_bonds: ("y", batch.multiplicity),
        batch.num_triplets: (
            "z",
            linegraph.transforms.line_weights(batch.multiplicity, batch.line_index)[1],
        ),
    }
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def note(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, outputs: Any) -> None:
            for out in outputs if isinstance(outputs, tuple) else (outputs,):
                if out is None:
                    continue
                letter, count = copies.get(out.size(0), ("", torch.ones(out.size(0))))
                layer = f"{name}.{letter}" if "layers" in name else name
                found[layer] = (out.double(), count)

        return hook

    trunk = model.trunk
    trunk.atom_embedding.register_forward_hook(note("atom_embedding"))
    trunk.bond_embedding.register_forward_hook(note("edge_embedding"))
    trunk.angle_embedding.register_forward_hook(note("angle_embedding"))
    for i, layer in enumerate(trunk.alignn_layers):
        layer.register_forward_hook(note(f"alignn_layers.{i}"))
    for i, layer in enumerate(trunk.conv_layers):
        layer.register_forward_hook(note(f"gcn_layers.{i}"))
    trunk.register_forward_hook(note("readout"))
    with torch.no_grad():
        model(batch)
    return found


def test_gradient_of_every_parameter(name: str, golden: Any) -> None:
    """Norm, and projection on a direction that tells permuted entries apart."""
    ours = step(name, golden_batch, torch.float64).gradients
    largest = np.nanmax(golden["train_f64_grad_norm"])
    for parameter, norm, projection in zip(
        golden["train_f64_param_names"].tolist(),
        golden["train_f64_grad_norm"],
        golden["train_f64_grad_proj"],
        strict=True,
    ):
        if np.isnan(norm):
            assert parameter not in ours
            continue
        grad = ours.get(parameter, np.zeros(1)).ravel()
        direction = goldens.uniform(f"{parameter}#proj", grad.size)
        # Biases in front of a batch norm have no gradient but rounding.
        allowed = 1e-9 * norm + 1e-12 * largest
        assert abs(np.linalg.norm(grad) - norm) <= allowed, parameter
        assert abs(grad @ direction - projection) <= allowed, parameter


@pytest.mark.parametrize(
    ("source", "dtype", "tolerance"),
    [(golden_batch, torch.float32, 1e-4), (rebuilt_batch, torch.float64, 1e-5)],
    ids=["golden bonds, float32", "rebuilt"],
)
def test_gradient_norms(
    request: Any, name: str, golden: Any, source: Any, dtype: torch.dtype, tolerance: float
) -> None:
    skip_if_slow(request, name, source)
    ours = step(name, source, dtype).gradients
    largest = np.nanmax(golden["train_f64_grad_norm"])
    for parameter, norm in zip(
        golden["train_f64_param_names"].tolist(), golden["train_f64_grad_norm"], strict=True
    ):
        if not np.isnan(norm):
            difference = abs(np.linalg.norm(ours.get(parameter, np.zeros(1))) - norm)
            assert difference <= tolerance * max(norm, 1e-2 * largest), parameter


def test_running_statistics_after_one_batch(name: str, golden: Any) -> None:
    state = step(name, golden_batch, torch.float64).state
    sizes = golden["train_f64_bn_sizes"]
    values = np.split(golden["train_f64_bn_values"], np.cumsum(sizes)[:-1])
    compared = 0
    for buffer, theirs in zip(golden["train_f64_bn_names"].tolist(), values, strict=True):
        if not buffer.startswith(UNUSED):
            assert relative(state[buffer], theirs) <= 1e-9, buffer
            compared += 1
    assert compared == len(sizes) - (8 if name == "MODEL-2" else 4)


def test_names_and_shapes_are_the_references(name: str) -> None:
    state = linegraph.reference_state_dict(linegraph.build_model(name))
    theirs = goldens.state_dict(name)
    assert {k: tuple(v.shape) for k, v in state.items()} == {
        k: tuple(v.shape) for k, v in theirs.items()
    }


def test_converter_is_its_own_inverse(name: str) -> None:
    theirs = goldens.state_dict(name)
    back = linegraph.reference_state_dict(reference_model(name))
    assert all(torch.equal(back[key], tensor) for key, tensor in theirs.items())


def test_wrong_state_dicts_are_refused_and_change_nothing() -> None:
    model = linegraph.build_model("MODEL-3", hidden=256).double()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    theirs = goldens.state_dict("MODEL-3")
    extra = {**theirs, "fc_out.1.bias": torch.zeros(1)}
    del extra["fc_out.0.bias"]
    extra["conv_to_fc.0.bias"] = torch.zeros(3)
    with pytest.raises(ValueError, match="missing: fc_out.0.bias") as error:
        linegraph.load_reference_state_dict(model, extra)
    assert "unexpected: fc_out.1.bias" in str(error.value)
    assert "conv_to_fc.0.bias (3,) instead of (128,)" in str(error.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", ["MODEL-3", "MODEL-4"])
def test_expanded_graph_gives_the_same_outputs_and_gradients(name: str) -> None:
    golden = goldens.load(f"model_{name}")
    golden["record_index"], golden["target"] = golden["record_index"][:1], golden["target"][:1]
    batch = golden_batch(name, golden)
    literal = {
        view: Batch.from_data_list([linegraph.expand(g) for g in graphs.to_data_list()])
        for view, graphs in batch.items()
    }
    assert literal["band"].num_triplets > 3 * batch["band"].num_triplets
    ours, theirs = reference_model(name), reference_model(name)
    out, _ = train_step(ours, batch, golden)
    expected, _ = train_step(theirs, literal, golden)
    assert relative(out, expected) <= 1e-10
    wanted = gradients(theirs)
    largest = max(np.abs(g).max() for g in wanted.values())
    for parameter, grad in gradients(ours).items():
        scale = np.abs(wanted[parameter]).max()
        difference = np.abs(grad - wanted[parameter]).max()
        assert difference <= 1e-10 * scale + 1e-12 * largest, parameter

"""MODEL-3 computes what the reference computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

import linegraph
from linegraph.convert import reference_name

from .. import goldens

pytestmark = goldens.needs_goldens

# Whatever these feed reaches no output; we leave it out, the reference computes it.
UNUSED = ("alignn_layers.3.edge_update.bn_edges.", "gcn_layers.3.bn_edges.")


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return goldens.load("model_MODEL-3")


def golden_batch(golden: dict[str, Any]) -> Any:
    records = [goldens.load(f"record_{i:02d}") for i in golden["record_index"]]
    return Batch.from_data_list([goldens.record_graph(r, "dup_") for r in records])


def rebuilt_batch(golden: dict[str, Any]) -> Any:
    records = [goldens.load(f"record_{i:02d}") for i in golden["record_index"]]
    return Batch.from_data_list(
        [
            linegraph.LineGraph()(
                linegraph.crystal_graph(goldens.record_cell(r), shell_tol=1e-8, dtype=torch.float64)
            )
            for r in records
        ]
    )


def reference_model(dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    model = linegraph.build_model("MODEL-3").double()
    linegraph.load_reference_state_dict(model, goldens.state_dict("MODEL-3"))
    return model.to(dtype)


def relative(ours: Any, theirs: Any) -> float:
    ours, theirs = np.asarray(ours).ravel(), np.asarray(theirs).ravel()
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def train_step(model: torch.nn.Module, batch: Any, golden: dict[str, Any]) -> tuple[Any, Any]:
    model.train()
    out = model({"band": batch})
    loss = (out - torch.as_tensor(golden["target"], dtype=out.dtype)).abs().mean()
    loss.backward()
    return out.detach(), loss.detach()


def gradients(model: torch.nn.Module) -> dict[str, np.ndarray]:
    return {
        reference_name(name): p.grad.double().numpy()
        for name, p in model.named_parameters()
        if p.grad is not None
    }


@pytest.mark.parametrize(
    ("batch", "dtype", "tolerance"),
    [
        (golden_batch, torch.float64, 1e-9),
        (golden_batch, torch.float32, 1e-4),
        (rebuilt_batch, torch.float64, 1e-5),
    ],
    ids=["golden bonds", "golden bonds, float32", "rebuilt"],
)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_output(golden: Any, mode: str, batch: Any, dtype: torch.dtype, tolerance: float) -> None:
    model = reference_model(dtype).train(mode == "train")
    with torch.no_grad():
        out = model({"band": batch(golden)})
    assert out.dtype == dtype
    assert relative(out, golden[f"{mode}_f64_out"]) <= tolerance


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_features_of_atoms_and_structures(golden: Any, mode: str) -> None:
    trunk = reference_model().trunk.train(mode == "train")
    batch = golden_batch(golden)
    with torch.no_grad():
        atoms = trunk.atoms(batch)
        structures = trunk(batch)
    assert relative(atoms, golden[f"{mode}_f64_full_gcn_layers.3_x_call0"]) <= 1e-9
    assert (
        relative(structures[: len(golden["target"])], golden[f"{mode}_f64_full_readout_call0"])
        <= 1e-9
    )


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_statistics_of_every_layer(golden: Any, mode: str) -> None:
    """Moments over the reference's literal rows, each distinct row counted as often as it stands."""
    model = reference_model().train(mode == "train")
    batch = golden_batch(golden)
    rows = layer_rows(model, batch)
    names = golden[f"{mode}_f64_layer_names"].tolist()
    compared = 0
    for name, theirs in zip(names, golden[f"{mode}_f64_layer_stats"], strict=True):
        if name not in rows:
            assert name in ("alignn_layers.3.z", "gcn_layers.3.y")
            continue
        x, w = rows[name]
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
        np.testing.assert_allclose(np.array(ours), theirs, rtol=1e-9, atol=1e-12, err_msg=name)
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
        model({"band": batch})
    return found


def test_loss_and_gradient_of_every_parameter(golden: Any) -> None:
    model = reference_model()
    _, loss = train_step(model, golden_batch(golden), golden)
    assert relative(loss, golden["train_f64_loss"]) <= 1e-9
    ours = gradients(model)
    largest = np.nanmax(golden["train_f64_grad_norm"])
    for name, norm, projection in zip(
        golden["train_f64_param_names"].tolist(),
        golden["train_f64_grad_norm"],
        golden["train_f64_grad_proj"],
        strict=True,
    ):
        if np.isnan(norm):
            assert name not in ours
            continue
        grad = ours.get(name, np.zeros(1)).ravel()
        direction = goldens.uniform(f"{name}#proj", grad.size)
        # Biases in front of a batch norm have no gradient but rounding.
        scale = max(norm, 1e-9 * largest)
        assert abs(np.linalg.norm(grad) - norm) <= 1e-9 * scale + 1e-12 * largest, name
        assert abs(grad @ direction - projection) <= 1e-9 * scale + 1e-12 * largest, name


def test_gradients_in_single_precision(golden: Any) -> None:
    model = reference_model(torch.float32)
    _, loss = train_step(model, golden_batch(golden), golden)
    assert relative(loss, golden["train_f32_loss"]) <= 1e-4
    ours = gradients(model)
    largest = np.nanmax(golden["train_f64_grad_norm"])
    for name, norm in zip(
        golden["train_f64_param_names"].tolist(), golden["train_f64_grad_norm"], strict=True
    ):
        if not np.isnan(norm):
            difference = abs(np.linalg.norm(ours.get(name, np.zeros(1))) - norm)
            assert difference <= 1e-4 * max(norm, 1e-2 * largest), name


def test_gradients_on_rebuilt_bonds(golden: Any) -> None:
    model = reference_model()
    train_step(model, rebuilt_batch(golden), golden)
    ours = gradients(model)
    largest = np.nanmax(golden["train_f64_grad_norm"])
    for name, norm in zip(
        golden["train_f64_param_names"].tolist(), golden["train_f64_grad_norm"], strict=True
    ):
        if not np.isnan(norm):
            difference = abs(np.linalg.norm(ours.get(name, np.zeros(1))) - norm)
            assert difference <= 1e-5 * max(norm, 1e-2 * largest), name


def test_running_statistics_after_one_batch(golden: Any) -> None:
    model = reference_model().train()
    with torch.no_grad():
        model({"band": golden_batch(golden)})
    state = linegraph.reference_state_dict(model)
    sizes = golden["train_f64_bn_sizes"]
    values = np.split(golden["train_f64_bn_values"], np.cumsum(sizes)[:-1])
    compared = 0
    for name, theirs in zip(golden["train_f64_bn_names"].tolist(), values, strict=True):
        if not name.startswith(UNUSED):
            assert relative(state[name], theirs) <= 1e-9, name
            compared += 1
    assert compared == len(sizes) - 4


def test_names_and_shapes_are_the_references() -> None:
    state = linegraph.reference_state_dict(linegraph.build_model("MODEL-3"))
    theirs = goldens.state_dict("MODEL-3")
    assert {k: tuple(v.shape) for k, v in state.items()} == {
        k: tuple(v.shape) for k, v in theirs.items()
    }


def test_converter_is_its_own_inverse() -> None:
    theirs = goldens.state_dict("MODEL-3")
    back = linegraph.reference_state_dict(reference_model())
    assert all(torch.equal(back[name], tensor) for name, tensor in theirs.items())


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


def test_expanded_graph_gives_the_same_outputs_and_gradients(golden: Any) -> None:
    batch = golden_batch(golden)
    literal = Batch.from_data_list([linegraph.expand(g) for g in batch.to_data_list()])
    assert literal.num_triplets > 3 * batch.num_triplets
    ours, theirs = reference_model(), reference_model()
    out, _ = train_step(ours, batch, golden)
    expected, _ = train_step(theirs, literal, golden)
    assert relative(out, expected) <= 1e-10
    wanted = gradients(theirs)
    largest = max(np.abs(g).max() for g in wanted.values())
    for name, grad in gradients(ours).items():
        scale = max(np.abs(wanted[name]).max(), 1e-9 * largest)
        assert np.abs(grad - wanted[name]).max() <= 1e-10 * scale + 1e-12 * largest, name

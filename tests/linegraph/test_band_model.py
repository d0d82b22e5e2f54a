"""BAND-1: who speaks when, and what the way back says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch

from linegraph import Cell, CrystalGraph, build_model, views
from linegraph.models import BandModel
from linegraph.models.band import rows_at_end, signed_root, signed_square
from linegraph.reversal import reversed_features
from tests.bands import rock_salt_band
from tests.linegraph.test_band_features import quartz_like
from tests.linegraph.test_reversal import back
from training.forest import grow
from training.kernel_machine import fit_machine

SMALL: dict[str, Any] = {
    "hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 8, "head": 8,
    "trees": 5, "leaves": 8, "supports": 8,
}  # fmt: skip
BANDS = [quartz_like(seed) for seed in range(3)] + [rock_salt_band("Na", "S", 5.0)]


def graphs_of(cells: list[Cell]) -> dict[str, Any]:
    """Batches by view."""
    of = [views(cell, BandModel.views) for cell in cells]
    return {view: Batch.from_data_list([graphs[view] for graphs in of]) for view in of[0]}


GRAPHS = graphs_of(BANDS)


def band_model(tree_share: float = 0.3, machine_share: float = 0.5, **more: Any) -> BandModel:
    """A model whose trees and machine know some bands; the same weights whatever the shares."""
    torch.manual_seed(0)
    config = {**SMALL, "tree_share": tree_share, "machine_share": machine_share, **more}
    model = build_model("BAND-1", **config)
    assert isinstance(model, BandModel)
    features = GRAPHS["path"]["features"]
    both = torch.cat([features, reversed_features(features)]).numpy()
    roots = np.array([0.3, -0.2, 0.9, 0.6] * 2)
    grown = grow(both, roots, model.forest.trees, model.forest.leaves, seed=0)
    model.forest.load_state_dict(grown.state_dict())
    fitted = fit_machine(both, roots, model.machine.supports, seed=0)
    model.machine.load_state_dict(fitted.state_dict())
    with torch.no_grad():
        # New layers whisper: what the host says would be lost in rounding.
        model.conv.source.weight.mul_(30)
    model.mean.copy_(torch.linspace(-0.5, 0.5, 8))
    model.width.copy_(torch.linspace(0.5, 2, 8))
    return model.eval()


def said(model: BandModel, batch: Any = GRAPHS) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(batch)
    return out


def with_vectors(cell: Cell) -> dict[str, CrystalGraph]:
    """The path alone; what is said of an atom of the host depends on nothing but its place."""
    graph = views(cell, ["path"])["path"]
    generator = torch.Generator().manual_seed(3)
    host = torch.randn(len(cell) - 5, 8, generator=generator)
    graph["vectors"] = torch.cat([torch.randn(5, 8), host])
    return {"path": graph}


def test_shares() -> None:
    """Barriers are averaged, not roots; the network has what trees and machine leave."""
    network, trees, machine = (said(band_model(*shares)) for shares in ((0, 0), (1, 0), (0, 1)))
    assert (network - trees).abs().min() > 1e-4
    assert (network - machine).abs().min() > 1e-4
    torch.testing.assert_close(said(band_model()), 0.2 * network + 0.3 * trees + 0.5 * machine)
    model, features = band_model(), GRAPHS["path"]["features"]
    back_again = reversed_features(features)
    root = (model.forest(features).mean(1) + model.forest(back_again).mean(1)) / 2
    torch.testing.assert_close(trees, root * root.abs())
    assert (trees < 0).any()
    root = (model.machine(features) + model.machine(back_again)) / 2
    torch.testing.assert_close(machine, root * root.abs())


def test_the_network_is_alone_while_it_learns() -> None:
    model, network = band_model(dropout=0.0), said(band_model(0, 0))
    model.train()
    model.trunk.eval()
    torch.testing.assert_close(said(model), network)
    # Trees and machine are no parameters, and get no gradient.
    model(GRAPHS).sum().backward()
    names = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert names == {"trunk", "conv", "readout", "ion", "whole", "head"}


def test_dropout_only_while_training() -> None:
    model = band_model()
    assert torch.equal(said(model), said(model))
    model.train()
    model.trunk.eval()
    assert not torch.equal(said(model), said(model))


def there_and_back(
    band: Cell, graphs: Callable[[Cell], dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Graphs of a hop and of its way back, without the rounding of features."""
    there, again = graphs(band), graphs(back(band))
    again["path"]["features"] = reversed_features(there["path"]["features"])
    return there, again


@pytest.mark.parametrize("seed", range(3))
def test_the_way_back_has_the_same_barrier(seed: int) -> None:
    """Given the same vectors of the host; those of the images do not matter."""
    there, again = there_and_back(quartz_like(seed), with_vectors)
    for shares in ((0, 0), (1, 0), (0, 1), (0.3, 0.5)):
        model = band_model(*shares)
        torch.testing.assert_close(said(model, again), said(model, there), rtol=0, atol=1e-6)
    again["path"]["vectors"][5:] += 1
    assert not torch.allclose(said(model, again), said(model, there), rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_way_back_by_the_trunk(seed: int) -> None:
    """It sees the structures at both ends, and takes the mean."""
    network = band_model(0, 0)
    network.width.mul_(0.1)
    there, again = there_and_back(quartz_like(seed), lambda cell: views(cell, network.views))
    torch.testing.assert_close(said(network, again), said(network, there), rtol=0, atol=2e-7)
    one = {**there, "final": there["initial"]}
    assert not torch.allclose(said(network, one), said(network, there), rtol=0, atol=2e-6)


def test_vectors_take_the_place_of_the_trunk() -> None:
    model = band_model()
    path = GRAPHS["path"]
    with torch.no_grad():
        ends = [
            model.trunk.atoms(GRAPHS[end])[rows_at_end(path, GRAPHS[end])]
            for end in ("initial", "final")
        ]
    given = path.clone()
    given["vectors"] = (ends[0] + ends[1]) / 2
    torch.testing.assert_close(said(model, {"path": given}), said(model))
    given["vectors"] = ends[0] + 1
    assert not torch.allclose(said(model, {"path": given}), said(model))


def test_vectors_are_scaled() -> None:
    model = band_model()
    path = GRAPHS["path"].clone()
    path["vectors"] = torch.randn(path.num_nodes, 8)
    expected = (path["vectors"] - model.mean) / model.width
    torch.testing.assert_close(model.host({"path": path}), expected)


@pytest.mark.parametrize("end", ["initial", "final"])
def test_which_atom_of_the_structure_at_an_end(end: str) -> None:
    path, structure = GRAPHS["path"], GRAPHS[end]
    rows = rows_at_end(path, structure)
    for number, cell in enumerate(BANDS):
        start, first = int(path.ptr[number]), int(structure.ptr[number])
        expected = [0] * 5 + list(range(1, len(cell) - 4))
        assert (rows[start : start + len(cell)] - first).tolist() == expected
    host = torch.cat([torch.arange(int(a) + 5, int(b)) for a, b in path.ptr.unfold(0, 2, 1)])
    assert torch.equal(structure.pos[rows[host]], path.pos[host])
    one = views(BANDS[0], BandModel.views)
    assert rows_at_end(one["path"], one[end]).tolist()[:7] == [0, 0, 0, 0, 0, 1, 2]


def test_a_batch_says_what_its_bands_say() -> None:
    model = band_model()
    alone = torch.cat([said(model, views(cell, model.views)) for cell in BANDS])
    torch.testing.assert_close(said(model), alone)


def test_order_of_the_host() -> None:
    band, model = BANDS[0], band_model()
    order = np.r_[:5, 5 + np.random.default_rng(0).permutation(len(band) - 5)]
    mixed = Cell(band.lattice, band.frac[order], band.numbers[order])
    torch.testing.assert_close(
        said(model, graphs_of([mixed])), said(model, graphs_of([band])), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("value", [-2.25, 0.0, 1e-4, 0.25, 9.0])
def test_roots_and_squares(value: float) -> None:
    barrier = torch.tensor([value], dtype=torch.float64, requires_grad=True)
    root = signed_root(barrier)
    torch.testing.assert_close(signed_square(root), barrier, rtol=1e-5, atol=2e-6)
    (slope,) = torch.autograd.grad(root.sum(), barrier)
    assert slope.isfinite()
    assert signed_square(torch.tensor(-0.5)) == -0.25


@pytest.mark.parametrize(("value", "bias"), [(0.25, 0.5), (-1.0, 0.0), (0.0, 0.0)])
def test_center(value: float, bias: float) -> None:
    model = band_model()
    model.center(value)
    assert model.head.output.bias.tolist() == [bias]


@pytest.mark.parametrize(
    "shares",
    [(0.6, 0.5), (-0.1, 0.5), (0.5, -0.1), (2, 0), (float("nan"), 0.1), (0.1, float("nan"))],
)
def test_shares_that_are_none(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="leave none to the network"):
        band_model(*shares)
    assert band_model(0.6, 0.4).training is False


def test_views_that_are_missing() -> None:
    model = band_model()
    with pytest.raises(ValueError, match="looks at 'initial', the batch has path"):
        model({"path": GRAPHS["path"]})
    with pytest.raises(ValueError, match="looks at 'path', the batch has initial"):
        model({"initial": GRAPHS["initial"]})


@pytest.mark.parametrize("head", [1, 5])
def test_odd_widths(head: int) -> None:
    assert said(band_model(head=head)).isfinite().all()


def test_precision() -> None:
    model = band_model(0, 0)
    expected = said(model)
    torch.testing.assert_close(said(model.double()).float(), expected, rtol=1e-3, atol=1e-4)
    assert said(model.bfloat16()).isfinite().all()

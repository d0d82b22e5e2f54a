"""BAND-1: who speaks when, and what the way back says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from linegraph import Cell, build_model, views
from linegraph.models import BandModel
from linegraph.reversal import reversed_features
from linegraph.roots import signed_square, smooth_root
from tests.bands import rock_salt_band
from tests.linegraph.test_band_features import quartz_like
from tests.linegraph.test_reversal import back
from training.forest import grow
from training.kernel_machine import fit_machine

SMALL: dict[str, Any] = {
    "hidden": 8, "head": 8, "networks": 2, "trees": 5, "leaves": 8, "supports": 8, "machines": 3,
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
    fitted = fit_machine(both, roots, model.machine.supports, seed=0, machines=3, share=0.5)
    model.machine.load_state_dict(fitted.state_dict())
    with torch.no_grad():
        # New layers whisper: what the host says would be lost in rounding.
        for network in model.networks:
            network.conv.source.weight.mul_(30)
    return model.eval()


def said(model: BandModel, batch: Any = GRAPHS) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(batch)
    return out


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


def test_roots_of_both_ways_are_averaged_before_the_square() -> None:
    """Of trees and machine that say another thing of the way back."""
    features = GRAPHS["path"]["features"]
    back_again = reversed_features(features)
    both = torch.cat([features, back_again]).numpy()
    roots = np.array([0.9, -0.8, 0.1, 0.7, 0.1, 0.6, 0.9, -0.2])
    for share in ((1, 0), (0, 1)):
        model = band_model(*share)
        grown = grow(both, roots, model.forest.trees, model.forest.leaves, seed=0)
        model.forest.load_state_dict(grown.state_dict())
        fitted = fit_machine(both, roots, model.machine.supports, seed=0, machines=3, share=0.5)
        model.machine.load_state_dict(fitted.state_dict())
        there, back = (
            model.forest(x).mean(1) if share == (1, 0) else model.machine(x)
            for x in (features, back_again)
        )
        squares = (signed_square(there) + signed_square(back)) / 2
        expected = signed_square((there + back) / 2)
        assert (squares - expected).abs().max() > 0.05
        torch.testing.assert_close(said(model), expected)


@pytest.mark.parametrize("training", [False, True])
def test_a_negative_root_is_a_negative_barrier(training: bool) -> None:
    """And what is averaged of the networks are barriers."""
    model = band_model(0, 0).train(training)
    with torch.no_grad():
        for network, root in zip(model.networks, (-0.5, 0.3), strict=True):
            network.head.output.weight.zero_()
            network.head.output.bias.fill_(root)
    expected = torch.tensor([-0.25, 0.09]).expand(len(BANDS), 2)
    torch.testing.assert_close(said(model), expected if training else expected.mean(1))


def test_networks_are_alone_while_they_learn() -> None:
    model, network = band_model(dropout=0.0), said(band_model(0, 0))
    model.train()
    every = said(model)
    assert every.shape == (len(BANDS), 2)
    assert (every[:, 0] - every[:, 1]).abs().min() > 1e-4
    torch.testing.assert_close(every.mean(1), network)
    # Trees and machine are no parameters, and get no gradient.
    model(GRAPHS).sum().backward()
    names = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert names == {"networks"}


def test_each_network_learns_by_itself() -> None:
    model = band_model(dropout=0.0).train()
    model(GRAPHS)[:, 1].sum().backward()
    first, second = (
        [bool(p.grad is not None and p.grad.any()) for p in network.parameters()]
        for network in model.networks
    )
    assert not any(first) and all(second)


def test_without_networks() -> None:
    with pytest.raises(ValueError, match="there are no networks"):
        band_model(networks=0)


def test_dropout_only_while_training() -> None:
    model = band_model()
    assert torch.equal(said(model), said(model))
    model.train()
    assert not torch.equal(said(model), said(model))


@pytest.mark.parametrize("part", ["readout", "whole", "head"])
def test_every_part_drops_out_while_training(part: str) -> None:
    model = band_model(dropout=0.5).train()
    for network in model.networks:
        for name, module in network.named_modules():
            if isinstance(module, nn.Dropout) and not name.startswith(part):
                module.p = 0.0
    assert not torch.equal(said(model), said(model))


@pytest.mark.parametrize("seed", range(3))
def test_the_way_back_has_the_same_barrier(seed: int) -> None:
    there, again = (views(band, ["path"]) for band in (quartz_like(seed), back(quartz_like(seed))))
    # Without the rounding of features.
    again["path"]["features"] = reversed_features(there["path"]["features"])
    other = views(quartz_like(seed + 3), ["path"])
    for shares in ((0, 0), (1, 0), (0, 1), (0.3, 0.5)):
        model = band_model(*shares)
        torch.testing.assert_close(said(model, again), said(model, there), rtol=0, atol=1e-6)
    assert not torch.allclose(said(model, other), said(model, there), rtol=0, atol=1e-5)


def test_the_network_hears_elements_and_features() -> None:
    """Of the host, of the ion, and what trees and machine know."""
    network = band_model(0, 0)
    path = views(BANDS[0], ["path"])["path"]
    expected = said(network, path)
    for rows, element in ((slice(5, None), 16), (slice(0, 5), 11)):
        other = path.clone()
        other["z"][rows] = element
        assert not torch.allclose(said(network, other), expected, rtol=0, atol=1e-5)
    other = path.clone()
    other["features"] = GRAPHS["path"]["features"][-1:]
    assert not torch.allclose(said(network, other), expected, rtol=0, atol=1e-5)


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
    root = smooth_root(barrier)
    torch.testing.assert_close(signed_square(root), barrier, rtol=1e-5, atol=2e-6)
    (slope,) = torch.autograd.grad(root.sum(), barrier)
    assert slope.isfinite()
    assert signed_square(torch.tensor(-0.5)) == -0.25


@pytest.mark.parametrize(("value", "bias"), [(0.25, 0.5), (-1.0, 0.0), (0.0, 0.0)])
def test_center(value: float, bias: float) -> None:
    model = band_model()
    model.center(value)
    assert [network.head.output.bias.tolist() for network in model.networks] == [[bias]] * 2
    assert model.head is model.networks[0].head


@pytest.mark.parametrize(
    "shares",
    [(0.6, 0.5), (-0.1, 0.5), (0.5, -0.1), (2, 0), (float("nan"), 0.1), (0.1, float("nan"))],
)
def test_shares_that_are_none(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="leave none to the networks"):
        band_model(*shares)
    assert band_model(0.6, 0.4).training is False


def test_views_that_are_missing() -> None:
    with pytest.raises(ValueError, match="looks at 'path', the batch has initial"):
        band_model()({"initial": GRAPHS["path"]})
    # One view needs no name.
    assert torch.equal(said(band_model(), GRAPHS["path"]), said(band_model()))


@pytest.mark.parametrize(("hidden", "head"), [(1, 1), (5, 3)])
def test_odd_widths(hidden: int, head: int) -> None:
    assert said(band_model(hidden=hidden, head=head)).isfinite().all()


def test_it_has_no_trunk() -> None:
    with pytest.raises(ValueError, match="BAND-1 has no setting alignn_layers, embedding; known"):
        band_model(alignn_layers=1, embedding=8)


def test_precision() -> None:
    model = band_model(0, 0)
    expected = said(model)
    torch.testing.assert_close(said(model.double()).float(), expected, rtol=1e-3, atol=1e-4)
    assert said(model.bfloat16()).isfinite().all()

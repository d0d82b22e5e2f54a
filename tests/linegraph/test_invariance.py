"""What does not change the crystal does not change what the trunk says about it."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Batch

import linegraph
from linegraph import LineGraph, crystal_graph, expand
from linegraph.crystal import SHELL_TOL
from linegraph.nn import ALIGNN
from linegraph.structure import Cell

from .. import crystals
from .test_layers import shaken

SEED = st.integers(0, 2**31 - 1)
FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@cache
def trunk() -> ALIGNN:
    torch.manual_seed(0)
    model = ALIGNN(hidden=16, alignn_layers=2, conv_layers=2, embedding=8)
    model = shaken(model)
    # Running estimates near those of real data, so that features are of order 1.
    model.train()
    with torch.no_grad():
        for seed in range(20):
            model(graph_of(crystals.random_cell(seed, atoms=3)))
    return model.eval()


def graph_of(cell: Cell, canonical: bool = False) -> linegraph.CrystalGraph:
    return LineGraph()(crystal_graph(cell, canonical=canonical, dtype=torch.float64))


def atoms(cell: Cell, canonical: bool) -> Tensor:
    with torch.no_grad():
        return trunk().atoms(graph_of(cell, canonical))


def a_cell(seed: int, count: int | None = None) -> Cell:
    """A random cell none of whose shells ends within rounding of another neighbour."""
    cell = crystals.random_cell(seed, count)
    assume(crystals.shells(cell, 12, SHELL_TOL).margin > 1e-6)
    return cell


def close(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> None:
    assert a.abs().max() > 1e-3
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def test_the_trunk_tells_crystals_apart() -> None:
    """Else all that follows would be easy."""
    cell = crystals.random_cell(5, atoms=3)
    for other in (
        Cell(cell.lattice * 1.01, cell.frac, cell.numbers),
        Cell(cell.lattice, cell.frac, cell.numbers[::-1]),
        Cell(cell.lattice, cell.frac + np.eye(3) * 0.01, cell.numbers),
    ):
        assert (atoms(cell, False) - atoms(other, False)).abs().max() > 1e-4
    assert (atoms(cell, False) - atoms(cell, True)).abs().max() > 1e-3
    assert (atoms(cell, False)[0] - atoms(cell, False)[1]).abs().max() > 1e-3


@FEW
@given(SEED, st.booleans())
def test_order_of_the_atoms(seed: int, canonical: bool) -> None:
    cell = a_cell(seed, 4)
    order = np.random.default_rng(seed).permutation(4)
    shuffled = Cell(cell.lattice, cell.frac[order], cell.numbers[order])
    close(atoms(shuffled, canonical), atoms(cell, canonical)[order])


@FEW
@given(SEED, st.booleans())
def test_order_of_the_atoms_in_training(seed: int, canonical: bool) -> None:
    cells = [a_cell(seed + i, 4) for i in range(2)]
    orders = [np.random.default_rng(seed + i).permutation(4) for i in range(2)]
    shuffled = [
        Cell(c.lattice, c.frac[o], c.numbers[o]) for c, o in zip(cells, orders, strict=True)
    ]
    ours, theirs = copy.deepcopy(trunk()).train(), copy.deepcopy(trunk()).train()
    a = ours.atoms(Batch.from_data_list([graph_of(c, canonical) for c in cells]))
    b = theirs.atoms(Batch.from_data_list([graph_of(c, canonical) for c in shuffled]))
    close(a[np.concatenate([orders[0], 4 + orders[1]])].detach(), b.detach(), 1e-8)
    for (name, mine), its in zip(
        ours.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, its, rtol=1e-8, atol=1e-8, msg=name)
    assert (
        ours.state_dict()["conv_layers.0.norm_nodes.running_mean"]
        .ne(trunk().state_dict()["conv_layers.0.norm_nodes.running_mean"])
        .any()
    )


@FEW
@given(SEED, st.booleans())
def test_whole_lattice_vectors(seed: int, canonical: bool) -> None:
    """Atoms may lie anywhere outside of the cell, each on its own."""
    cell = a_cell(seed)
    moves = np.random.default_rng(seed).integers(-3, 4, cell.frac.shape)
    moved = Cell(cell.lattice, cell.frac + moves, cell.numbers)
    close(atoms(moved, canonical), atoms(cell, canonical))


@FEW
@given(SEED, st.booleans())
def test_translation_of_the_whole(seed: int, canonical: bool) -> None:
    cell = a_cell(seed)
    moved = Cell(cell.lattice, cell.frac + np.random.default_rng(seed).normal(size=3), cell.numbers)
    close(atoms(moved, canonical), atoms(cell, canonical))


@FEW
@given(SEED, st.booleans(), st.sampled_from([1.0, -1.0]))
def test_rotation_and_reflection(seed: int, canonical: bool, handedness: float) -> None:
    """Lengths and angles know no hand either."""
    cell = a_cell(seed)
    turned = handedness * cell.lattice @ crystals.rotation(seed)
    close(atoms(Cell(turned, cell.frac, cell.numbers), canonical), atoms(cell, canonical))


@FEW
@given(SEED, st.booleans())
def test_choice_of_lattice_vectors(seed: int, canonical: bool) -> None:
    """The same crystal in a cell sheared by whole vectors."""
    cell = a_cell(seed)
    shear = np.array([[1, 1, 0], [0, 1, 0], [-1, 0, 1]])
    sheared = Cell(shear @ cell.lattice, cell.frac @ np.linalg.inv(shear), cell.numbers)
    close(atoms(sheared, canonical), atoms(cell, canonical))


@FEW
@given(SEED, st.booleans(), st.sampled_from([(2, 1, 1), (1, 2, 1), (1, 1, 3)]))
def test_supercells(seed: int, canonical: bool, times: tuple[int, int, int]) -> None:
    """Of cells large enough that no atom is bonded to its own image."""
    cell = a_cell(seed, 10)
    source, target = graph_of(cell).edge_index
    assume(bool((source != target).all()))
    big = atoms(crystals.supercell(cell, times), canonical)
    close(big, atoms(cell, canonical).repeat(int(np.prod(times)), 1))


@pytest.mark.parametrize("canonical", [False, True])
def test_supercells_of_cells_too_small(canonical: bool) -> None:
    """Known of the reference, and kept: own images are special.

    A bond to an own image is no partner of itself, though in a supercell the bond and its
    continuation are two; in canonical lists such bonds also count twice.
    """
    cell = crystals.random_cell(11, atoms=2)
    supercell = crystals.supercell(cell, (4, 4, 4))
    small, big = graph_of(cell, canonical), graph_of(supercell, canonical)
    assert (small.edge_index[0] == small.edge_index[1]).any()
    assert (big.edge_index[0] != big.edge_index[1]).all()
    assert big.num_bonds == 64 * small.num_bonds
    assert big.num_triplets == 64 * small.num_triplets
    difference = atoms(supercell, canonical) - atoms(cell, canonical).repeat(64, 1)
    assert difference.abs().max() > 1e-6
    if not canonical:
        # It is the angles alone: without them the two agree.
        model = copy.deepcopy(trunk())
        model.alignn_layers = torch.nn.ModuleList()
        with torch.no_grad():
            close(model.atoms(big), model.atoms(small).repeat(64, 1))


@pytest.mark.parametrize("canonical", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_distinct_bonds_give_what_all_copies_give(
    seed: int, training: bool, canonical: bool
) -> None:
    """Outputs, running estimates and gradients; cells of 1 to 4 atoms, own images included."""
    cells = [crystals.random_cell(10 * seed + count, count) for count in (1, 2, 3, 4)]
    graphs = [graph_of(cell, canonical) for cell in cells]
    assert any((g.edge_index[0] == g.edge_index[1]).any() for g in graphs)
    results = []
    for members in (graphs, [expand(g) for g in graphs]):
        model = copy.deepcopy(trunk()).train(training)
        out = model(Batch.from_data_list(members))
        (out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        results.append((out.detach(), grads, model.state_dict()))
    (out, grads, state), (wanted, their_grads, their_state) = results
    close(out, wanted, 1e-10)
    largest = max(float(g.abs().max()) for g in their_grads.values() if g is not None)
    for name, theirs in their_grads.items():
        ours: Any = grads[name]
        assert (ours is None) == (theirs is None), name
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10 * largest, msg=name)
    for name, tensor in their_state.items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-10, atol=1e-10, msg=name)

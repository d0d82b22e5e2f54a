"""Parts of the benchmarks: clocks, memory, literal graphs, sizes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import build, memory, scaling, timing
from benchmarks.compare import Measured, Options
from benchmarks.literal import (
    Literal,
    distinct_graph,
    largest_difference,
    only_noise,
    ordered,
    pairs_of,
)
from benchmarks.memory import Memory, peak_memory
from benchmarks.report import machine, machine_line
from benchmarks.shapes import CUBIC, some_bands, supercell
from benchmarks.timing import Timing, time_in_turn
from linegraph import Cell, LineGraph, crystal_graph, expand
from tests.bands import data_file, rock_salt_band


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "REST", 0.0)
    monkeypatch.setattr(timing, "SHORTEST", 0.0)


def literal(cell: Cell, shell_tol: float = 1e-8) -> Literal:
    """Our graph with every bond written down."""
    copies = expand(LineGraph()(crystal_graph(cell, shell_tol=shell_tol)))
    source, target = copies.edge_index
    return Literal(source, target, copies.edge_vec, copies.line_index, copies.line_cos)


def shuffled(graph: Literal) -> Literal:
    """The same graph with bonds and pairs in another order."""
    generator = torch.Generator().manual_seed(0)
    bonds = torch.randperm(len(graph.source), generator=generator)
    where = torch.empty_like(bonds)
    where[bonds] = torch.arange(len(bonds))
    pairs = torch.randperm(graph.pairs.size(1), generator=generator)
    return Literal(
        graph.source[bonds],
        graph.target[bonds],
        graph.vector[bonds],
        where[graph.pairs][:, pairs],
        graph.cosine[pairs],
    )


def test_sides_take_turns() -> None:
    calls: list[str] = []
    sides = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    found = time_in_turn(sides, seconds=0.0)
    assert calls[-6:] == ["a", "b"] * 3
    assert found["a"].rounds == timing.FEWEST_ROUNDS == 3
    assert found["a"].spread >= 0


def test_a_slow_side_warms_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "LONG", 0.0)
    calls: list[int] = []
    time_in_turn({"slow": lambda: calls.append(1)}, seconds=0.0)
    assert len(calls) == 1 + timing.FEWEST_ROUNDS


def test_literal_graphs_are_the_same_in_any_order() -> None:
    cell = rock_salt_band(jitter=1)
    one = literal(cell)
    assert largest_difference(ordered(one, cell), ordered(shuffled(one), cell)) == 0.0


def test_pairs_of_a_literal_list_are_those_of_the_expanded_graph() -> None:
    cell = Cell(np.diag([3.0, 3.2, 3.5]), [[0.0, 0.0, 0.0], [0.4, 0.5, 0.6]], [3, 8])
    one = literal(cell)
    pairs, cosine = pairs_of(one.source, one.target, one.vector)
    other = one._replace(pairs=pairs, cosine=cosine)
    assert largest_difference(ordered(one, cell), ordered(other, cell)) < 1e-6


def test_a_wrong_angle_or_vector_is_a_difference() -> None:
    cell = rock_salt_band(jitter=1)
    right = ordered(one := literal(cell), cell)
    cosine, vector = one.cosine.clone(), one.vector.clone()
    cosine[7] += 0.5
    vector[3] += 0.25
    for changed in (one._replace(cosine=cosine), one._replace(vector=vector)):
        assert largest_difference(right, ordered(changed, cell)) >= 0.25
    missing = one._replace(pairs=one.pairs[:, 1:], cosine=one.cosine[1:])
    assert largest_difference(right, ordered(missing, cell)) == math.inf


def test_only_shells_that_rounding_splits_may_differ() -> None:
    # Fourteen neighbours at one distance and a little more: sites of the 12th are in or out.
    c = math.sqrt((3 * math.sqrt(2) - 4e-6) ** 2 - 9)
    tied = Cell(np.diag([3.0, 3.0, c]), [[0.2, 0.3, 0.4]], [29])
    narrow, wide = ordered(literal(tied), tied), ordered(literal(tied, 1e-3), tied)
    assert largest_difference(narrow, wide) == math.inf
    assert only_noise(tied, narrow, wide)
    # Here the next shell is a real one.
    cell = rock_salt_band(jitter=1)
    near, far = ordered(literal(cell), cell), ordered(literal(cell, 0.5), cell)
    assert not only_noise(cell, near, far)
    assert not only_noise(cell, near, near)


def test_distinct_graph_has_the_copies_of_the_literal_one() -> None:
    cell = rock_salt_band(jitter=2)
    graph, again = crystal_graph(cell), distinct_graph(literal(cell, 1e-3), cell)
    assert torch.equal(graph.edge_index, again.edge_index)
    assert torch.equal(graph.multiplicity, again.multiplicity)


def test_a_builder_that_forgets_a_bond_is_found_out() -> None:
    cell = rock_salt_band(jitter=1)
    (case,) = [build._case("one", [cell])]
    assert case.difference is not None
    ours = case.runs["ours"]()
    right = literal(cell)
    assert case.difference(ours, [right]) <= case.tolerance
    keep = torch.arange(1, len(right.source))
    source, target, vector = right.source[keep], right.target[keep], right.vector[keep]
    wrong = Literal(source, target, vector, *pairs_of(source, target, vector))
    assert case.difference(ours, [wrong]) == math.inf


@pytest.mark.parametrize("crystal", sorted(scaling.REPEATS))
def test_supercells_have_about_the_atoms_they_are_named_after(crystal: str) -> None:
    one = len(supercell(crystal, (1, 1, 1)))
    for size, repeats in scaling.REPEATS[crystal].items():
        assert 0.6 * size <= one * math.prod(repeats) <= 1.6 * size


def test_supercells_are_the_same_crystal() -> None:
    assert sorted(CUBIC) == ["fcc", "garnet", "perovskite", "spinel"]
    one, two = (crystal_graph(supercell("garnet", (1, 1, n))) for n in (1, 2))
    assert two.num_bonds == 2 * one.num_bonds


def test_growth_is_fitted() -> None:
    (case, *_) = scaling.cases(Options(quick=True))
    atoms = {"1,000 atoms": 1000.0, "10,000 atoms": 10_000.0, "100 atoms": 100.0}
    times = {name: Timing(n**1.5, n) for name, n in atoms.items()}
    row = Measured(replace(case, work=atoms), times, {}, {})
    (sentence,) = scaling.conclude([row])
    assert "N^1.50 (CPU N^1.00)" in sentence and "+216 % (CPU +0 %)" in sentence


def test_inference_that_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "available_memory", lambda device: 2**20)
    *_, inference = scaling.cases(Options(quick=True))
    assert set(inference.left_out) == {"1,000 atoms", "100 atoms"}
    assert all("GiB" in why for why in inference.left_out.values())


def test_bands_default_to_the_published_or_the_starter_set(tmp_path: Path) -> None:
    assert len(some_bands(None, tmp_path / "none.json").bands) == 37
    here = data_file(tmp_path / "bands.json", 3)
    assert len(some_bands(None, here).bands) == 3


FREED = """
import torch
from benchmarks.memory import peak_of

def work():
    torch.ones(64 << 18)

work()
print(peak_of(work).extra)
"""


def test_peak_counts_what_was_freed_again() -> None:
    """In a process of its own: commands of other tests let this one keep freed memory."""
    done = subprocess.run(
        [sys.executable, "-c", FREED],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 0.9 * (64 << 20) < int(done.stdout) < 3 * (64 << 20)


def test_peak_is_taken_in_a_process_of_its_own(tmp_path: Path) -> None:
    data = data_file(tmp_path / "bands.json", 2)
    found = peak_memory("loading", "batches", "built anew", Options(data=data, quick=True))
    assert 0 < found.before <= found.peak


def test_memory_of_a_case_that_is_not_there(tmp_path: Path) -> None:
    words = json.dumps({"data": str(data_file(tmp_path / "bands.json", 2)), "quick": True})
    with pytest.raises(SystemExit, match="has no case 'none'; there are smallest band"):
        memory.main(["build", "none", "ours", words])


def test_memory_below_the_start_is_no_memory() -> None:
    assert Memory(before=5, peak=3).extra == 0
    assert json.loads(json.dumps(Memory(1, 2)._asdict())) == {"before": 1, "peak": 2}
    assert memory.ROOT.joinpath("benchmarks").is_dir()


def test_machine_names_only_what_is_installed() -> None:
    host = machine(("no-such-package",))
    assert host["versions"]["no-such-package"] == "not installed"
    assert "no-such-package" not in machine_line(host)
    assert f"torch {torch.__version__}" in machine_line(host)

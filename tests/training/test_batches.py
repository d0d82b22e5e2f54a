from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import linegraph
from tests.bands import sizes_of, some_bands
from training import graphs as graphs_module
from training.batches import (
    EpochBatches,
    Part,
    Targets,
    as_tensor,
    bytes_per_triplet,
    collate,
    loader,
    shared_out,
    split_evenly,
    triplet_budget,
)
from training.graphs import GraphSet, build_graphs, load_graphs
from training.recipe import Recipe

NAN = float("nan")
SETTINGS = {"canonical": False, "shell_tol": 1e-3, "lattice_decimals": None}

sizes_ = st.lists(st.integers(0, 300), min_size=1, max_size=40)


@given(sizes=sizes_, budget=st.integers(1, 400), data=st.data())
def test_parts_of_a_batch(sizes: list[int], budget: int, data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.sampled_from(range(len(sizes))), unique=True, min_size=1))
    parts = split_evenly(positions, sizes, budget)
    assert sorted(p for part in parts for p in part) == sorted(positions)
    for part in parts:
        assert part
        assert sum(sizes[p] for p in part) <= budget or len(part) == 1
        # The order of the batch.
        assert [p for p in positions if p in part] == part
    assert parts == split_evenly(positions, sizes, budget)
    # No more passes than parts half full would need, besides records larger than a part.
    small = [p for p in positions if sizes[p] <= budget]
    needed = max(1, math.ceil(2 * sum(sizes[p] for p in small) / budget)) if small else 0
    assert len(parts) <= needed + len(positions) - len(small)


def test_batch_that_fits_is_one_part() -> None:
    assert split_evenly([3, 0, 2], [5, 9, 5, 5], 15) == [[3, 0, 2]]


def test_parts_are_of_about_the_same_size() -> None:
    parts = split_evenly(range(10), [10] * 10, 90)
    assert sorted(map(len, parts)) == [5, 5]


def test_record_larger_than_the_budget_is_alone() -> None:
    parts = split_evenly([0, 1, 2, 3], [100, 3, 3, 3], 10)
    assert sorted(parts) == [[0], [1, 2, 3]]


@given(
    count=st.integers(1, 50),
    batch_size=st.integers(1, 20),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 1000),
)
def test_every_epoch_has_every_record_once(
    count: int, batch_size: int, seed: int, epoch: int
) -> None:
    positions = [7 * i for i in range(count)]
    sizes = [1] * (7 * count)
    batches = EpochBatches(positions, sizes, batch_size, 10**9, shuffle=True, seed=seed)
    batches.set_epoch(epoch)
    drawn = [part for [part] in batches]
    assert len(drawn) == len(batches) == math.ceil(count / batch_size)
    assert sorted(p for part in drawn for p in part) == positions
    assert all(len(part) == batch_size for part in drawn[:-1])
    again = EpochBatches(positions, sizes, batch_size, 10**9, shuffle=True, seed=seed)
    # Whatever was drawn before.
    list(again)
    again.set_epoch(epoch)
    assert [part for [part] in again] == drawn


@given(sizes=sizes_, shares=st.integers(1, 9), data=st.data())
def test_shares_of_a_pass(sizes: list[int], shares: int, data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.sampled_from(range(len(sizes))), unique=True, min_size=1))
    found = shared_out(positions, sizes, shares)
    assert len(found) == shares
    assert sorted(p for share in found for p in share) == sorted(positions)
    for share in found:
        # The order of the pass, and nobody idle while there is something to do.
        assert [p for p in positions if p in share] == share
        assert share or len(positions) < shares
    # Whoever has most would not have been given its smallest record if it had the most before.
    loads = [sum(sizes[p] for p in share) for share in found]
    most = found[loads.index(max(loads))]
    assert max(loads) - min(sizes[p] for p in most) <= min(loads)
    assert found == shared_out(positions, sizes, shares)


@given(sizes=sizes_, ranks=st.integers(2, 5), budget=st.integers(1, 2000), seed=st.integers(0, 99))
def test_processes_share_the_batches_of_one(
    sizes: list[int], ranks: int, budget: int, seed: int
) -> None:
    """Pass by pass, so that all go through the same number of them."""

    def batches(**more: int) -> list[list[list[int]]]:
        positions = range(len(sizes))
        return list(EpochBatches(positions, sizes, 7, budget, shuffle=True, seed=seed, **more))

    whole = batches()
    each = [batches(rank=rank, ranks=ranks) for rank in range(ranks)]
    for parts, *shares in zip(whole, *each, strict=True):
        for part, *pieces in zip(parts, *shares, strict=True):
            assert sorted(p for piece in pieces for p in piece) == sorted(part)


@pytest.mark.parametrize(("batch_size", "ranks"), [(16, 2), (16, 4), (64, 8)])
def test_processes_have_the_same_work(batch_size: int, ranks: int) -> None:
    """Sizes drawn as those of the published bands lie: what the busiest has over the mean."""
    generator = torch.Generator().manual_seed(0)
    drawn = (9.22 + 0.571 * torch.randn(559, generator=generator)).exp().long().tolist()
    over = []
    for epoch in range(3):
        each = []
        for rank in range(ranks):
            batches = EpochBatches(
                range(559), drawn, batch_size, 10**9, shuffle=True, rank=rank, ranks=ranks
            )
            batches.set_epoch(epoch)
            each.append([sum(drawn[p] for part in parts for p in part) for parts in batches])
        over += [ranks * max(work) / sum(work) - 1 for work in zip(*each, strict=True)]
    assert sum(over) / len(over) < 0.1


def test_part_without_records() -> None:
    """One structure of no atoms, which every model gets through; its output counts for nothing."""
    bands = some_bands(2)
    for name in linegraph.models():
        if name == "MPT":
            continue
        torch.manual_seed(0)
        config = {"hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 8, "head": 8}
        model = linegraph.build_model(name, **sizes_of(name, config))
        graphs = build_graphs(bands, model.views, SETTINGS)
        part = collate(graphs, [1.0, 2.0], [])
        assert part["target"].shape == part["position"].shape == (0,)
        assert part["position"].dtype == torch.int64
        for view in model.views:
            assert part[view].num_graphs == 1
            assert (part[view].num_nodes, part[view].num_edges) == (0, 0)
        model(part)[:0].sum().backward()
        for parameter in model.parameters():
            assert parameter.grad is None or not parameter.grad.any()


def test_order_changes_with_epoch_and_seed() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        batches = EpochBatches(range(30), [1] * 30, 4, 100, shuffle=True, seed=seed)
        batches.set_epoch(epoch)
        return tuple(p for [part] in batches for p in part)

    assert len({order(seed, epoch) for seed in (0, 1, 123) for epoch in range(5)}) == 15
    plain = EpochBatches(range(30), [1] * 30, 4, 100)
    assert [p for [part] in plain for p in part] == list(range(30))


def test_parts_hold_what_they_say() -> None:
    graphs = build_graphs(some_bands(6), ("initial", "band"), SETTINGS)
    targets = [0.5, None, 1.5, 2.5, None, 3.5]
    part = collate(graphs, targets, [3, 1])
    assert part["position"].tolist() == [3, 1]
    assert part["target"][0] == 2.5
    assert part["target"].isnan().tolist() == [False, True]
    for view in ("initial", "band"):
        assert part[view].num_graphs == 2
        whole = [graphs.graphs[p][view] for p in (3, 1)]
        assert torch.equal(part[view]["z"], torch.cat([g["z"] for g in whole]))


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_gives_parts_within_the_budget(workers: int) -> None:
    graphs = build_graphs(some_bands(6), ("band",), SETTINGS)
    budget = max(graphs.triplets) * 2
    batches = EpochBatches(range(6), graphs.triplets, 4, budget)
    found = list(loader(graphs, [0.1] * 6, batches, workers))
    assert len(found) == 2
    assert [[part["position"].tolist() for part in batch] for batch in found] == list(batches)
    assert len(found[0]) > 1


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ([0.5, None, NAN], [0.5, NAN, NAN]),
        ([], []),
        (torch.tensor([0.5, NAN]), [0.5, NAN]),
        (torch.tensor([[0.5, NAN], [NAN, 2.0]]), [[0.5, NAN], [NAN, 2.0]]),
    ],
)
def test_targets_are_tensors(given_: Targets, expected: list[float]) -> None:
    found = as_tensor(given_)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=0, equal_nan=True)


def test_targets_of_several_properties() -> None:
    """Row by row those of the records, unknown ones too."""
    graphs = build_graphs(some_bands(4), ("band",), SETTINGS)
    targets = torch.arange(12.0).reshape(4, 3)
    targets[2, 1] = NAN
    part = collate(graphs, targets, [2, 0])
    expected = torch.tensor([[6.0, NAN, 8.0], [0.0, 1.0, 2.0]])
    torch.testing.assert_close(part["target"], expected, rtol=0, atol=0, equal_nan=True)
    batches = EpochBatches([3, 2, 1], graphs.triplets, 2, 10**9)
    found = [part["target"] for [part] in loader(graphs, targets, batches)]
    assert [len(target) for target in found] == [2, 1]
    torch.testing.assert_close(torch.cat(found), targets[[3, 2, 1]], equal_nan=True)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GraphSet:
    """Graphs that are read from several files."""
    monkeypatch.setattr(graphs_module, "SHARD", 2)
    return load_graphs(
        some_bands(6), "f", ("initial", "band"), SETTINGS, cache=tmp_path, workers=1, progress=False
    )


def assert_same_part(found: Part, expected: Part) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        if torch.is_tensor(value):
            torch.testing.assert_close(found[name], value, rtol=0, atol=0, equal_nan=True)
            continue
        assert set(found[name].keys()) == set(value.keys())
        assert found[name].num_graphs == value.num_graphs
        for key in value.keys():  # noqa: SIM118
            assert torch.equal(found[name][key], value[key]), key


@pytest.mark.filterwarnings("ignore:.*will create .* worker processes")
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_give_the_same_batches(workers: int, used: bool, cached: GraphSet) -> None:
    """Those of graphs in memory; whether or not this process has read from the files, too."""
    memory = build_graphs(some_bands(6), cached.views, SETTINGS)
    targets = torch.tensor([[0.1 * i, NAN if i % 2 else 1.0] for i in range(6)])
    if used:
        assert len(list(cached.graphs)) == 6
    ours, theirs = (
        EpochBatches(range(6), memory.triplets, 4, max(memory.triplets) * 2, shuffle=True, seed=1)
        for _ in range(2)
    )
    feeding = loader(cached, targets, ours, workers)
    drawn = []
    for epoch in range(2):
        ours.set_epoch(epoch)
        theirs.set_epoch(epoch)
        found = list(feeding)
        expected = list(loader(memory, targets, theirs))
        assert [len(batch) for batch in found] == [len(batch) for batch in expected]
        for batch, other in zip(found, expected, strict=True):
            for part, whole in zip(batch, other, strict=True):
                assert_same_part(part, whole)
                drawn.append(part["position"].tolist())
    assert sorted(p for part in drawn for p in part) == sorted([*range(6)] * 2)


def test_budget_is_memory() -> None:
    recipe = Recipe(summary="", memory_gib=2.0)
    assert triplet_budget(recipe) == 2 * 2**30 // bytes_per_triplet(recipe)
    lean = Recipe(summary="", recompute=True)
    assert bytes_per_triplet(lean) < 0.8 * bytes_per_triplet(recipe)
    assert bytes_per_triplet(Recipe(summary="", precision="bf16-mixed")) < bytes_per_triplet(recipe)
    wide = Recipe(summary="", hidden=512)
    assert bytes_per_triplet(wide) > 1.8 * bytes_per_triplet(recipe)
    assert triplet_budget(Recipe(summary="", hidden=4096, memory_gib=0.05)) >= 1


MEMORY = """
import sys
from pathlib import Path

import torch

import linegraph
from tests.bands import rock_salt_band
from training.bands import Band
from training.batches import bytes_per_triplet, collate
from training.graphs import build_graphs
from training.recipe import Recipe

torch.set_num_threads(1)
hidden, layers, records, lean = map(int, sys.argv[1:])
sizes = {"hidden": hidden, "alignn_layers": layers, "conv_layers": 2, "embedding": 32}
recipe = Recipe(summary="", **sizes, recompute=bool(lean))
bands = [Band(str(i), rock_salt_band(jitter=i)) for i in range(records)]
graphs = build_graphs(bands, ("band",), recipe.graph_settings)
model = linegraph.build_model(recipe.model, **recipe.model_config)
linegraph.nn.set_recompute(model, recipe.recompute)

def peak():
    # Not resource.getrusage: its peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

def step(count):
    model(collate(graphs, [0.5] * records, range(count))).sum().backward()

step(2)
before = peak()
step(records)
print((peak() - before) / (sum(graphs.triplets[2:]) * bytes_per_triplet(recipe)))
"""


@pytest.mark.parametrize(
    ("hidden", "layers", "records", "lean"),
    [(64, 2, 60, 0), (64, 2, 60, 1), pytest.param(256, 4, 10, 0, marks=pytest.mark.slow)],
)
def test_estimate_of_memory(hidden: int, layers: int, records: int, lean: int) -> None:
    """Neither half of what a forward and backward pass takes, nor twice."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("memory is measured as Linux tells it")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *map(str, (hidden, layers, records, lean))],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 0.5 < float(done.stdout) < 1.2

"""Benchmarks of kernels and models: what they run, verify and count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from benchmarks import bare, bars, cache_graphs, conv, model, published, roofline, timing
from benchmarks.compare import Case, Measured, Options
from benchmarks.counting import Work, forward_work, training_work
from benchmarks.gpu import overall_difference, train_steps
from benchmarks.graphs import batch_of, literal_batch, read_graphs, repeated, with_triplets
from benchmarks.layer import Run, distinct_problem, literal_problem, new_layer
from benchmarks.passes import Batches, Pass, new_model
from benchmarks.peer_layers import check_conv, needs_layers
from benchmarks.published import needs_dgl_library
from benchmarks.sides import (
    OTHER,
    available_memory,
    backend_of,
    doubles,
    relative_difference,
    too_large,
)
from benchmarks.timing import Timing
from cli import main
from linegraph import CrystalGraph, InputError, LineGraph, crystal_graph
from tests.bands import data_file, rock_salt_band


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "REST", 0.0)
    monkeypatch.setattr(timing, "SHORTEST", 0.0)
    # Compiling takes longer than all the rest.
    monkeypatch.setenv("CXX", "none")
    monkeypatch.setenv("PATH", "")


@pytest.fixture(scope="module")
def graphs() -> list[CrystalGraph]:
    return [LineGraph()(crystal_graph(rock_salt_band(jitter=i))) for i in range(2)]


@pytest.fixture(scope="module")
def file_of_graphs(tmp_path_factory: pytest.TempPathFactory, graphs: list[CrystalGraph]) -> Path:
    path = tmp_path_factory.mktemp("graphs") / "graphs.pt"
    cache_graphs.write_graphs(path, graphs, graphs[:1], graphs[0])
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["benchmark", *(str(word) for word in words)])


@pytest.mark.parametrize("name", ["conv", "model", "mpt", "memory", "roofline", "gpu"])
def test_quick_runs(name: str, file_of_graphs: Path, tmp_path: Path) -> None:
    shown = run(name, "--quick", "--data", file_of_graphs, "--out", tmp_path)
    assert shown.exit_code == 0, shown.output
    found = json.loads((tmp_path / f"{name}.json").read_text())
    for case in found["cases"]:
        assert all(times["wall"] > 0 for times in case["times"].values())
    if name in ("conv", "model", "mpt", "memory", "gpu"):
        assert "ref-literal" in found["cases"][0]["differences"]
    if name == "gpu":
        assert found["cases"][-1]["figures"] == {"identical bits": 1.0}
    if name == "roofline":
        assert "% of the limit" in shown.output


def test_bands_are_read_where_there_is_no_file_of_graphs(tmp_path: Path) -> None:
    data = data_file(tmp_path / "bands.json", 3)
    shown = run("mpt", "--quick", "--data", data)
    assert shown.exit_code == 0, shown.output


def test_a_back_end_that_is_off_ends_the_run(
    file_of_graphs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = published.Published.norm_silu

    def wrong(*args: Any, **more: Any) -> tuple[Tensor, ...]:
        out, *rest = right(*args, **more)
        return 1.02 * out, *rest

    monkeypatch.setattr(published.Published, "norm_silu", wrong)
    for name in ("conv", "model", "mpt", "gpu", "memory"):
        shown = run(name, "--quick", "--data", file_of_graphs)
        assert shown.exit_code == 1, shown.output
        assert "ref-literal differs from ours" in shown.output


def test_a_gradient_that_is_off_is_found(graphs: list[CrystalGraph]) -> None:
    batches = Batches(graphs, 2, "cpu")
    net = new_model("MODEL-3", 8, "cpu")
    ours = Pass(lambda: net, batches.ours, "auto", True)()
    literal = Pass(lambda: net, batches.literal, backend_of("ref-literal"), True)()
    assert model.difference(ours, literal) < 1e-3
    max(literal.gradients, key=lambda grad: float(grad.abs().max())).mul_(1.05)
    assert model.difference(ours, literal) > model.TOLERANCE
    assert overall_difference(ours, literal) > 0.01
    assert overall_difference(ours, ours) == 0.0
    missing = ours._replace(gradients=ours.gradients[1:])
    with pytest.raises(ValueError):
        model.difference(ours, missing)


@pytest.mark.parametrize("backward", [False, True])
def test_literal_layer_is_the_same(graphs: list[CrystalGraph], backward: bool) -> None:
    graph = batch_of(graphs)
    layer = new_layer(8, "cpu").double()
    ours = _double(distinct_problem(graph, 8, "cpu"))
    literal = literal_problem(graph, ours)
    assert literal.edges.index.size(1) > ours.edges.index.size(1)
    one = Run(lambda: layer, lambda: ours, "auto", backward)()
    for backend in ("published", "reference"):
        backend_of("ref-literal")
        two = Run(lambda: layer, lambda: literal, backend, backward)()
        assert relative_difference(one, two) < 1e-9


def _double(problem: Any) -> Any:
    changed = {
        name: getattr(problem, name).detach().double() for name in ("x", "z", "grad_x", "grad_z")
    }
    return problem._replace(**{n: v.requires_grad_(n in ("x", "z")) for n, v in changed.items()})


@pytest.mark.skipif(bool(needs_dgl_library(Options())), reason="dgl is not installed")
@pytest.mark.parametrize("backward", [False, True])
def test_dgl_computes_the_published_function(graphs: list[CrystalGraph], backward: bool) -> None:
    batches = Batches(graphs, 2, "cpu")
    net = new_model("MODEL-3", 8, "cpu", batches.ours()[0]).double()
    for batch in (*batches.ours(), *batches.literal()):
        batch["edge_vec"] = batch["edge_vec"].double()
    ours = Pass(lambda: net, batches.ours, "auto", backward)()
    theirs = Pass(lambda: net, batches.literal, backend_of("dgl"), backward)()
    assert model.difference(ours, theirs) < 1e-6


@pytest.mark.skipif(bool(needs_layers(Options())), reason="alignn is not installed")
def test_layer_of_the_peer_is_ours_before_normalisation(graphs: list[CrystalGraph]) -> None:
    layer = new_layer(8, "cpu")
    problem = distinct_problem(batch_of(graphs), 8, "cpu")
    assert check_conv(layer, problem.x, problem.edges, problem.z) < 1e-5


def test_relative_difference() -> None:
    ours = [torch.tensor([1.0, -4.0]), torch.tensor([1e-9])]
    assert relative_difference(ours, [torch.tensor([1.0, -4.2]), ours[1]]) == pytest.approx(0.05)
    # Nothing but rounding beside numbers of size 4.
    assert relative_difference(ours, [ours[0], torch.tensor([-1e-9])]) < 1e-6
    assert relative_difference(ours, [ours[0][:1], ours[1]]) == float("inf")
    gone = [torch.tensor([float("nan"), -4.0]), ours[1]]
    assert relative_difference(ours, gone) != relative_difference(ours, gone)


def test_counts_of_a_tiny_graph() -> None:
    # One node, two edges, one channel, numbers of 1 byte: by hand from the table.
    assert forward_work(1, 2, 1, 1) == Work(4 + 8 + 48, 4 + 8)
    more = Work(2 + 1 + 10 + 14 + 48, 8 + 16)
    assert training_work(1, 2, 1, 1) == Work(60 + more.bytes, 12 + more.operations)
    # Four bytes and two channels: numbers double with the width, products quadruple.
    assert forward_work(1, 2, 2) == Work(4 * 2 * 12 + 48, 4 * 12)


def test_limits_do_as_much_as_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []
    monkeypatch.setattr(
        torch.Tensor, "copy_", lambda out, source: copied.append(source.numel()) or out
    )
    roofline.Copying(8 * 2 * 25, rows=10, channels=2, device="cpu")()
    assert sum(copied) == 2 * 25
    shapes: list[int] = []
    monkeypatch.setattr(torch, "mm", lambda a, b, out: shapes.append(len(a)) or out)
    roofline.Multiplying(2 * 4 * 25, rows=10, channels=2, device="cpu")()
    assert shapes == [10, 10, 5]


def test_share_of_the_limit_is_that_of_the_slower_one() -> None:
    case = Case("here", {}, {})
    times = {"ours": Timing(10.0, 1.0), "copy": Timing(5.0, 1.0), "products": Timing(4.0, 1.0)}
    row = Measured(case, times, {}, {roofline.BYTES: 1.0, roofline.OPERATIONS: 2.0})
    (sentence,) = roofline.conclude([row])
    assert "copies 200.0 GB/s" in sentence and "products 500 Gflop/s" in sentence
    assert "5 ms (memory), takes 10 ms: 50 % of the limit" in sentence


@pytest.mark.parametrize(("theirs", "says"), [(30.0, "3.0x, missed"), (70.0, "7.0x.")])
def test_bars_say_whether_they_are_reached(theirs: float, says: str) -> None:
    case = Case("forward+backward, width 256", {}, {})
    times = {"ours": Timing(10.0, 10.0), "ref-literal": Timing(theirs, theirs)}
    row = Measured(case, times, {}, {model.BAR: 6.0})
    (sentence,) = model.conclude([row])
    assert sentence.startswith("bar 6x (forward+backward, width 256, against ref-literal)")
    assert says in sentence
    assert "not measured" in bars.at_least("it", 2.0, None)
    assert "missed" in bars.at_most("it", 8.0, 9.0, "GiB")


def test_bar_of_the_peer_is_for_large_graphs_only() -> None:
    assert conv._bar(1_000_000, Options(), None) == {"bar, alignn / ours": 2.0}
    assert conv._bar(100_000, Options(), None) == {}


def test_gpu_without_one_is_one_line(file_of_graphs: Path) -> None:
    shown = run("gpu", "--data", file_of_graphs)
    assert shown.exit_code != 0
    assert shown.output.splitlines() == [
        "error: gpu measures a GPU: give --device cuda, or --quick to see that it runs on a CPU"
    ]


def test_two_trainings_agree_to_the_bit(graphs: list[CrystalGraph]) -> None:
    first, second = (train_steps(8, [batch_of(graphs)], "cpu") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    start = new_model("MODEL-3", 8, "cpu").state_dict().values()
    assert not all(torch.equal(a, b) for a, b in zip(first, start, strict=False))


def test_sides_that_do_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.sides.available_memory", lambda device: 2.0**30)
    wide = {"ours": 1.0, OTHER: 4.0}
    found = too_large({"ours": 2**20, "theirs": 2**20}, 256, Options(), wide)
    assert found == {"theirs": "needs 4 GiB"}
    assert available_memory("cpu") > 2**20
    assert doubles(Options())["native"] == "is ours"


def test_file_of_graphs_gives_back_the_graphs(
    graphs: list[CrystalGraph], file_of_graphs: Path
) -> None:
    found = read_graphs(file_of_graphs, "bands", 5)
    assert len(found) == 2 and len(read_graphs(file_of_graphs, "bands", 1)) == 1
    for one, two in zip(graphs, found, strict=True):
        for name in ("edge_index", "multiplicity", "line_index", "line_cos", "line_end"):
            assert torch.equal(one[name], two[name])


def test_files_that_hold_no_graphs(tmp_path: Path, file_of_graphs: Path) -> None:
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"no")
    for path, kind in ((tmp_path / "no.pt", "bands"), (damaged, "bands"), (file_of_graphs, "x")):
        with pytest.raises(InputError, match=path.name):
            read_graphs(path, kind, 1)


def test_cache_graphs_refuses_another_ending(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cache_graphs.main(["graphs.txt"])
    assert "must end in .pt" in capsys.readouterr().err


def test_batches_of_a_size(graphs: list[CrystalGraph]) -> None:
    small = min(graph.num_triplets for graph in graphs)
    assert with_triplets(graphs, 10).num_triplets == small
    large = with_triplets(graphs, 5 * small)
    assert 5 * small <= large.num_triplets < 7 * small
    assert repeated(graphs, 3)[2] is graphs[0]
    assert literal_batch(graphs)["line_index"].size(1) == Batches(graphs, 2, "cpu").sizes["literal"]


def test_bare_command_writes_what_the_other_one_does(
    file_of_graphs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["roofline", "--quick", "--data", str(file_of_graphs), "--out", str(tmp_path)]
    assert bare.main(words) == 0
    assert capsys.readouterr().out.startswith("## roofline")
    assert json.loads((tmp_path / "roofline.json").read_text())["workload"] == "roofline"
    assert bare.main(["none"]) == 1
    assert "no workload 'none'" in capsys.readouterr().err

"""Batch statistics over processes, against one process that has all rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from linegraph.kernels import norm_silu
from linegraph.kernels.sync_norm import sync_norm_silu
from linegraph.nn import BatchNormSiLU, EdgeGatedConv, set_synchronised

RANKS, CHANNELS = 2, 5
GOOD: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-9}

#: Which rows each process has.
SHARES = {
    "uneven": [slice(0, 17), slice(17, 60)],
    "nothing": [slice(0, 60), slice(60, 60)],
    "nobody": [slice(0, 0), slice(0, 0)],
}
GRAPHS = {"two": (7, 4), "empty": (7, 0), "empty-recompute": (0, 6)}


def rows(share: str, weighted: bool, far: float) -> dict[str, Any]:
    torch.manual_seed(len(share) + weighted)
    x, residual, grad = torch.randn(3, 60, CHANNELS, dtype=torch.float64)
    scale, shift = torch.randn(2, CHANNELS, dtype=torch.float64)
    weight = torch.randint(0, 3, (60,)) if weighted else None
    case = {"x": 3 * x + far, "residual": residual if weighted else None, "weight": weight}
    return {**case, "grad": grad, "scale": scale, "shift": shift, "rows": SHARES[share]}


def graph(atoms: int) -> dict[str, Tensor]:
    torch.manual_seed(atoms)
    bonds = 3 * atoms
    return {
        "x": torch.randn(atoms, CHANNELS, dtype=torch.float64),
        "bonds": torch.randn(bonds, CHANNELS, dtype=torch.float64),
        "index": torch.randint(0, max(1, atoms), (2, bonds)),
        "copies": torch.randint(1, 3, (bonds,)),
    }


CASES: dict[str, dict[str, Any]] = {
    f"{share}-{weighted}-{far:g}": rows(share, weighted, far)
    for share in SHARES
    for weighted in (False, True)
    # Far from zero, where the mean of the squares less the square of the mean has no digits left.
    for far in (0.0, 1e7)
} | {
    name: {
        "graphs": [graph(atoms) for atoms in sizes],
        "channels": CHANNELS,
        "recompute": "recompute" in name,
    }
    for name, sizes in GRAPHS.items()
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What every process found, of all cases."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.save(
        {k: {**c, "rows": c["rows"]} if "rows" in c else c for k, c in plain().items()},
        folder / "in.pt",
    )
    words = [sys.executable, "-m", "tests.linegraph.sync_job", str(folder / "meeting")]
    processes = [
        subprocess.Popen(
            [*words, str(rank), str(RANKS), str(folder / "in.pt"), str(folder / f"{rank}.pt")],
            cwd=Path(__file__).parents[2],
        )
        for rank in range(RANKS)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * RANKS
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(RANKS)]


def plain() -> dict[str, dict[str, Any]]:
    """The cases, rows as lists."""
    every = range(60)
    return {
        name: {**case, "rows": [list(every[part]) for part in case["rows"]]}
        if "rows" in case
        else case
        for name, case in CASES.items()
    }


def together(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts)


@pytest.mark.parametrize("name", [name for name in CASES if name not in GRAPHS])
def test_rows_of_two_processes(name: str, found: list[dict[str, Any]]) -> None:
    """Forward, running statistics and gradients, weighted and not, with an empty share."""
    case = CASES[name]
    mine = torch.cat([torch.arange(60)[part] for part in case["rows"]])
    x = case["x"][mine].clone().requires_grad_()
    residual = None if case["residual"] is None else case["residual"][mine].clone()
    weight = None if case["weight"] is None else case["weight"][mine]
    scale, shift = (case[k].clone().requires_grad_() for k in ("scale", "shift"))
    if residual is not None:
        residual.requires_grad_()
    out, *moments = norm_silu(x, scale, shift, 1e-5, weight, residual)
    (out * case["grad"][mine]).sum().backward()
    theirs = [one[name] for one in found]
    close = torch.testing.assert_close
    close(together([one["out"] for one in theirs]), out.detach(), **GOOD)
    assert x.grad is not None and scale.grad is not None and shift.grad is not None
    close(together([one["rows"]["x"] for one in theirs]), x.grad, **GOOD)
    if residual is not None and residual.grad is not None:
        close(together([one["rows"]["residual"] for one in theirs]), residual.grad, **GOOD)
    close(sum(one["sums"]["scale"] for one in theirs), scale.grad, **GOOD)
    close(sum(one["sums"]["shift"] for one in theirs), shift.grad, **GOOD)
    for one in theirs:
        for ours, its in zip(moments, one["moments"], strict=True):
            close(its, ours, **GOOD)
    for first, second in zip(theirs[0]["moments"], theirs[1]["moments"], strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_convolution_in_two_processes(name: str, found: list[dict[str, Any]]) -> None:
    """Also where a process has no atoms, and where little is kept for the backward pass."""
    first, second = CASES[name]["graphs"]
    torch.manual_seed(0)
    conv = EdgeGatedConv(CHANNELS).double()
    x = torch.cat([first["x"], second["x"]]).detach().requires_grad_()
    bonds = torch.cat([first["bonds"], second["bonds"]]).detach().requires_grad_()
    index = torch.cat([first["index"], second["index"] + len(first["x"])], 1)
    copies = torch.cat([first["copies"], second["copies"]])
    new_x, new_bonds = conv(x, index, bonds, edge_weight=copies, edge_count=copies)
    assert new_bonds is not None
    ((new_x**2).sum() + (new_bonds**3).sum()).backward()
    theirs = [one[name] for one in found]
    whole = (new_x.detach(), new_bonds.detach(), x.grad, bonds.grad)
    for i, ours in enumerate(whole):
        assert ours is not None
        torch.testing.assert_close(together([one["out"][i] for one in theirs]), ours, **GOOD)
    for key, parameter in conv.named_parameters():
        total = sum(one["sums"][key] for one in theirs)
        torch.testing.assert_close(total, parameter.grad, **GOOD)
    for key, value in conv.state_dict().items():
        for one in theirs:
            torch.testing.assert_close(one["state"][key], value, **GOOD)


def test_nothing_is_exchanged_in_evaluation() -> None:
    norm = BatchNormSiLU(3).eval()
    set_synchronised(norm)
    assert norm(torch.randn(4, 3)).shape == (4, 3)
    assert norm.of_edges().statistics is not None


def test_one_process_alone_is_told(recwarn: pytest.WarningsRecorder) -> None:
    """And back ends, which know the statistics of one process, are not given the norm."""
    norm = BatchNormSiLU(3)
    set_synchronised(norm)
    with pytest.raises(RuntimeError, match="init_process_group"):
        norm(torch.randn(4, 3))
    with pytest.raises(RuntimeError, match="init_process_group"):
        norm.of_linear(torch.randn(4, 2), torch.nn.Linear(2, 3))
    with pytest.raises(RuntimeError, match="statistics of one process"):
        norm.of_edges()
    with pytest.raises(RuntimeError, match="init_process_group"):
        sync_norm_silu(torch.randn(4, 3), torch.ones(3), torch.zeros(3), 1e-5)
    set_synchronised(norm, False)
    assert norm(torch.randn(4, 3)).shape == (4, 3)

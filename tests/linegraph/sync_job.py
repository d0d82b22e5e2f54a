"""Started as one of several processes: normalise a share of the rows, and train a layer on a graph.

Arguments: file to meet at, number of this process, how many there are, file of inputs, results.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from linegraph.kernels.sync_norm import sync_norm_silu
from linegraph.nn import EdgeGatedConv, set_recompute, set_synchronised


def rows_of(case: dict[str, Any], rank: int) -> dict[str, Any]:
    """What one process finds out about its rows."""
    mine = case["rows"][rank]
    x = case["x"][mine].requires_grad_()
    residual = None if case["residual"] is None else case["residual"][mine].requires_grad_()
    weight = None if case["weight"] is None else case["weight"][mine]
    scale, shift = case["scale"].requires_grad_(), case["shift"].requires_grad_()
    out, mean, var, count = sync_norm_silu(x, scale, shift, 1e-5, weight, residual)
    (out * case["grad"][mine]).sum().backward()
    grads = {"x": x.grad, "residual": None if residual is None else residual.grad}
    sums = {"scale": scale.grad, "shift": shift.grad}
    return {"out": out.detach(), "moments": (mean, var, count), "rows": grads, "sums": sums}


def graph_of(case: dict[str, Any], rank: int) -> dict[str, Any]:
    """What it finds out of a convolution on a graph of its own, which may have no atoms."""
    torch.manual_seed(0)
    conv = EdgeGatedConv(case["channels"]).double()
    set_synchronised(conv)
    set_recompute(conv, case["recompute"])
    graph = case["graphs"][rank]
    x, bonds = graph["x"].requires_grad_(), graph["bonds"].requires_grad_()
    new_x, new_bonds = conv(
        x, graph["index"], bonds, edge_weight=graph["copies"], edge_count=graph["copies"]
    )
    ((new_x**2).sum() + (new_bonds**3).sum()).backward()
    return {
        "out": (new_x.detach(), new_bonds.detach(), x.grad, bonds.grad),
        "sums": {name: p.grad for name, p in conv.named_parameters()},
        "state": dict(conv.state_dict()),
    }


def main() -> None:
    meeting, rank, count, inputs, results = sys.argv[1:]
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=int(count),
        timeout=timedelta(seconds=60),
    )  # fmt: skip
    cases = torch.load(inputs, weights_only=True)
    found = [
        (graph_of if "graphs" in case else rows_of)(case, int(rank)) for case in cases.values()
    ]
    torch.save(dict(zip(cases, found, strict=True)), results)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

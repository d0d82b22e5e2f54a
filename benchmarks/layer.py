"""One convolution on the line graph of a batch: what it works on, and one run of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from linegraph import CrystalGraph, expand, use_backend
from linegraph.kernels import Edges
from linegraph.nn import EdgeGatedConv
from linegraph.transforms import line_weights

T = TypeVar("T")

#: Rows of every result that are compared; all of them would crowd the memory.
SAMPLE = 1024


class Shown(NamedTuple):
    """Which rows of a result are compared.

    Attributes:
        rows: of the result.
        group: which row of the comparison each is a copy of.
    """

    rows: Tensor
    group: Tensor

    def mean(self, x: Tensor) -> Tensor:
        """Of the copies: they are equal."""
        return self.sum(x) / torch.bincount(self.group)[:, None]

    def sum(self, x: Tensor) -> Tensor:
        """Of the copies, whose gradients add up."""
        groups = int(self.group.max()) + 1
        part = x.detach()[self.rows].double()
        return part.new_zeros(groups, x.size(1)).index_add_(0, self.group, part)


class Problem(NamedTuple):
    """What a convolution on a line graph works on.

    Attributes:
        edges: bonds are its nodes, triplets its edges.
        node_count: copies of every bond.
        x: ``[E, C]`` features of bonds.
        z: ``[T, C]`` features of triplets.
        grad_x: ``[E, C]`` gradient of a loss with respect to the new bonds.
        grad_z: ``[T, C]`` and the new triplets.
        shown_x: bonds that are compared.
        shown_z: triplets that are compared.
    """

    edges: Edges
    node_count: Tensor
    x: Tensor
    z: Tensor
    grad_x: Tensor
    grad_z: Tensor
    shown_x: Shown
    shown_z: Shown


def distinct_problem(graph: CrystalGraph, channels: int, device: str) -> Problem:
    """Random features and gradients on a graph that stores every bond once."""
    copies = graph["multiplicity"]
    index = graph["line_index"]
    bonds, triplets = copies.numel(), index.size(1)
    weight, count = line_weights(copies, index)
    draw = torch.Generator().manual_seed(0)
    x, grad_x = (torch.randn(bonds, channels, generator=draw) for _ in range(2))
    z, grad_z = (torch.randn(triplets, channels, generator=draw) for _ in range(2))
    shown = []
    for rows in (bonds, triplets):
        # In another order than that of the rows, in case someone sorts them.
        chosen = torch.randperm(rows, generator=draw)[:SAMPLE]
        shown.append(Shown(chosen.to(device), torch.arange(len(chosen), device=device)))
    return Problem(
        Edges(index.to(device), bonds, weight.to(device), count.to(device)),
        copies.to(device),
        x.to(device).requires_grad_(),
        z.to(device).requires_grad_(),
        # One row stands for all copies, and so does its gradient.
        (grad_x * copies[:, None]).to(device),
        grad_z.mul_(count[:, None]).to(device),
        *shown,
    )


def literal_problem(graph: CrystalGraph, ours: Problem) -> Problem:
    """The same on the graph that stores every copy."""
    literal = expand(graph)
    copies, index = graph["multiplicity"].cpu(), literal["line_index"]
    bond = torch.arange(len(copies)).repeat_interleave(copies)
    code = _code(graph["line_index"], len(copies))
    order = torch.argsort(code)
    triplet = order[torch.searchsorted(code[order], _code(bond[index], len(copies)))]
    device = ours.x.device
    bond, triplet = bond.to(device), triplet.to(device)
    each_x = ours.node_count[bond, None]
    each_z = torch.bincount(triplet, minlength=len(code))[triplet, None]
    return Problem(
        Edges(index.to(device), len(bond)),
        torch.ones_like(bond),
        ours.x.detach()[bond].requires_grad_(),
        ours.z.detach()[triplet].requires_grad_(),
        ours.grad_x[bond] / each_x,
        ours.grad_z[triplet] / each_z,
        _copies(ours.shown_x, bond, len(copies)),
        _copies(ours.shown_z, triplet, len(code)),
    )


class Run:
    """One call of a layer on a problem, and if asked for the gradients of everything.

    Without gradients the layer is in evaluation mode.

    Args:
        layer: gives the layer; called when it is first needed.
        problem: gives what it works on, likewise.
        backend: name for :func:`linegraph.use_backend`.
        backward: whether gradients are wanted.
    """

    def __init__(
        self,
        layer: Callable[[], nn.Module],
        problem: Callable[[], Problem],
        backend: str,
        backward: bool,
    ) -> None:
        self.layer, self.problem, self.backend = layer, problem, backend
        self.backward = backward

    def __call__(self) -> list[Tensor]:
        layer, problem = self.layer(), self.problem()
        with use_backend(self.backend), torch.set_grad_enabled(self.backward):
            layer.train(self.backward)
            x, z = layer(problem.x, problem.edges, problem.z, node_count=problem.node_count)
            found = [problem.shown_x.mean(x), problem.shown_z.mean(z)]
            if not self.backward:
                return found
            wanted: list[Any] = [problem.x, problem.z, *layer.parameters()]
            grad_x, grad_z, *rest = torch.autograd.grad(
                (x, z), wanted, (problem.grad_x, problem.grad_z)
            )
            return [*found, problem.shown_x.sum(grad_x), problem.shown_z.sum(grad_z), *rest]


def new_layer(channels: int, device: str) -> EdgeGatedConv:
    """A layer with statistics of some rows, so that evaluation mode does something."""
    torch.manual_seed(0)
    layer = EdgeGatedConv(channels)
    for norm in (layer.norm_nodes, layer.norm_edges):
        torch.nn.init.uniform_(norm.running_mean, -0.5, 0.5)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return layer.to(device)


def same(value: T) -> T:
    """For what is there already, where something that gives it is asked for."""
    return value


def _code(pairs: Tensor, bonds: int) -> Tensor:
    return pairs[0] * bonds + pairs[1]


def _copies(shown: Shown, original: Tensor, rows: int) -> Shown:
    """Rows of the literal graph that are copies of the shown ones."""
    place = torch.full((rows,), -1, device=original.device)
    place[shown.rows] = shown.group
    group = place[original]
    found = (group >= 0).nonzero().squeeze(1)
    return Shown(found, group[found])

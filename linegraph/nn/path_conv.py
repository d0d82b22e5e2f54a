"""What the images of the ion hear from the host around them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..images import IMAGES
from ..kernels import Segments
from ..path_graph import REACH
from .rbf import RBFExpansion

#: Added to squared lengths, so that the gradient of a length of 0 is finite.
TINY = 1e-6


class PathConv(nn.Module):
    r"""One message from every atom of the host near an image, summed in three ways.

    .. math::
        m_{ki} &= f(r_{ki}) \odot W \,\mathrm{SiLU}(U x_i) \odot \sigma(V x_k) \, c(r_{ki}) \\
        s_k &= \sum_i m_{ki}, \quad
        p_k = \Bigl|\sum_i m'_{ki} \hat r_{ki}\Bigr|, \quad
        d_k = \Bigl|\sum_i m''_{ki} (\hat r_{ki} \hat r_{ki}^T - 1/3)\Bigr|

    The sum says how close the host is, the length of the vector on which side it is open, and
    the tensor whether the image is in a plane or on a line. All are the same however the crystal is
    turned. f is learned, from Gaussians of the distance; the cutoff c falls smoothly to 0. Of the
    images of a band, which are one ion, the first says what gets through.

    Args:
        channels: A, of whatever describes atoms.
        hidden: width H.
        reach: distance at which nothing is heard any more, Å.
        bins: Gaussians for distances, 0 to ``reach``.

    Shapes:
        - x ``[N, A]``, graph: a batch of :mod:`linegraph.path_graph` (``z [N]``,
          ``edge_index [2, E]``, ``edge_vec [E, 3]``)
        - output ``[B, 5, 2 H]``

    Source: ours. Continuous filters as in SchNet (Schütt et al., arXiv:1706.08566), moments of the
    directions as in moment tensor potentials (Shapeev, arXiv:1512.06054).
    """

    def __init__(self, channels: int, hidden: int, reach: float = REACH, bins: int = 32) -> None:
        super().__init__()
        self.hidden, self.reach = hidden, reach
        self.atom = nn.Sequential(nn.Linear(channels, hidden), nn.SiLU())
        self.widths = (hidden, hidden // 2, hidden - hidden // 2)
        self.source = nn.Linear(hidden, sum(self.widths))
        self.gate = nn.Linear(channels, sum(self.widths))
        self.basis = RBFExpansion(0.0, reach, bins)
        self.filter = nn.Sequential(
            nn.Linear(bins, hidden), nn.SiLU(), nn.Linear(hidden, sum(self.widths))
        )

    def forward(self, x: Tensor, graph: Any) -> Tensor:
        z, (atom, image), vector = graph["z"], graph["edge_index"], graph["edge_vec"]
        sent = self.source(self.atom(x))
        length = (vector.square().sum(1) + TINY).sqrt()
        side = (vector / length[:, None]).to(sent.dtype)
        length = length.to(sent.dtype)
        fading = 0.5 * (torch.cos(torch.pi * (length / self.reach).clamp(max=1)) + 1)
        images = images_of(graph)
        gate, groups = torch.sigmoid(self.gate(x[images[:, 0]])), images.numel()
        row = torch.full_like(z, -1)
        row[images.flatten()] = torch.arange(groups, device=z.device)
        into = row[image]
        weight = sent[atom] * (gate[into // IMAGES] * fading[:, None])
        message = self.filter(self.basis(length)) * weight
        near, turned, bent = torch.split(message, list(self.widths), dim=1)
        moments = torch.stack(_second_moments(side), dim=1)
        rows = torch.cat([near, _outer(side, turned), _outer(moments, bent)], dim=1)
        total = Segments.of(into, groups).sum(rows)
        alone, one, two = self.widths
        sums, vectors, tensors = torch.split(total, [alone, 3 * one, 5 * two], dim=1)
        heard = torch.cat([sums, _length(vectors, 3), _length(tensors, 5)], dim=1)
        # Sums of half precision are carried in float32.
        return heard.to(x.dtype).view(-1, IMAGES, heard.size(1))


def _outer(moment: Tensor, message: Tensor) -> Tensor:
    """``[E, M]`` and ``[E, C]`` to all products ``[E, M C]``."""
    return (moment[:, :, None] * message[:, None]).flatten(1)


def _length(total: Tensor, parts: int) -> Tensor:
    """Norms over the components of a moment, ``[R, parts C]`` to ``[R, C]``."""
    squares = total.view(total.size(0), parts, total.size(1) // parts).square()
    return (squares.sum(1) + TINY).sqrt()


def _second_moments(side: Tensor) -> list[Tensor]:
    """The five independent parts of ``side side^T - 1/3`` ``[E]``, scaled to keep its norm."""
    x, y, z = side.unbind(1)
    half = 0.5**0.5
    return [
        x * y / half,
        y * z / half,
        x * z / half,
        (x * x - y * y) * half,
        (2 * z * z - x * x - y * y) / 6**0.5,
    ]


def images_of(graph: Any) -> Tensor:
    """Rows of the images of every band of a batch ``[B, 5]``; ``[0, 5]`` if there are no atoms."""
    images = torch.arange(IMAGES, device=graph["z"].device)
    return first_atoms(graph)[:, None] + images


def first_atoms(graph: Any) -> Tensor:
    """Rows where the structures of a batch begin ``[B]``; ``[0]`` if there are no atoms at all."""
    z: Tensor = graph["z"]
    ptr = getattr(graph, "ptr", None)
    # A process without a share in a step has a structure without atoms, which has no images.
    if ptr is None or not z.size(0):
        return z.new_zeros(min(1, z.size(0)))
    first: Tensor = ptr[:-1]
    return first

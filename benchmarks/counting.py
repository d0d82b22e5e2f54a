"""The least that one convolution has to do: bytes to move, floating-point operations.

Counted for a graph of N nodes and E edges, C channels and b bytes a number, every edge once. It is
a lower bound: nothing that could stay in a cache from one step to the next is counted twice, and
nothing but matrix products is counted as an operation. (One conv on a line graph: nodes are bonds,
edges are triplets.)

===============  ===========  ===========  =====================================================
what             bytes / b    operations   why
===============  ===========  ===========  =====================================================
forward, edges   2 E C        2 E C^2      read y, write y'; one product
forward, nodes   8 N C        8 N C^2      read x, write x'; three terms that any edge may ask
                                           for, written and read; four products
training, edges  + E C                     batch statistics are known only when all y have been
                                           seen: y is read once more
training, nodes  + N C                     likewise x
backward, edges  5 E C        4 E C^2      the sums of the batch norm, then the gradients: y and
                                           the gradient of y' read twice, the gradient of y
                                           written; its product, and that of the weight
backward, nodes  14 N C       16 N C^2     likewise 5; the three terms read, their gradients
                                           written and read; two products for each of four
===============  ===========  ===========  =====================================================

Each direction also reads source and target (8 bytes each) and, where edges weigh more than 1, two
weights (4 bytes each) of every edge once.

The published layer in float32 moves each intermediate tensor to memory and back instead.
"""

from __future__ import annotations

from typing import NamedTuple

#: Bytes of source, target and the two weights of one edge.
INDEX = 24


class Work(NamedTuple):
    """What a job must do at least.

    Attributes:
        bytes: read and written.
        operations: of matrix products, a multiplication and an addition counting as two.
    """

    bytes: float
    operations: float


def forward_work(nodes: int, edges: int, channels: int, number: int = 4) -> Work:
    """One forward pass in evaluation mode."""
    moved = number * channels * (2 * edges + 8 * nodes) + INDEX * edges
    return Work(moved, channels**2 * (2 * edges + 8 * nodes))


def training_work(nodes: int, edges: int, channels: int, number: int = 4) -> Work:
    """One forward pass in training mode, and its backward pass."""
    forward = forward_work(nodes, edges, channels, number)
    moved = number * channels * (6 * edges + 15 * nodes) + INDEX * edges
    return Work(forward.bytes + moved, forward.operations + channels**2 * (4 * edges + 16 * nodes))

"""The two operations that all the time goes into, behind one function each."""

from .edge_gate import edge_gate
from .norm_silu import norm_silu

__all__ = ["edge_gate", "norm_silu"]

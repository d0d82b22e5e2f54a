"""The operations that all the time goes into, behind one function each, and their back ends."""

from .backend import BatchNorm, EdgeUpdate
from .choice import BackendInfo, backend_for, backends, set_backend, use_backend
from .edges import Edges, Segments
from .operations import edge_gate, edge_update, linear_norm_silu, norm_silu

__all__ = [
    "BackendInfo",
    "BatchNorm",
    "EdgeUpdate",
    "Edges",
    "Segments",
    "backend_for",
    "backends",
    "edge_gate",
    "edge_update",
    "linear_norm_silu",
    "norm_silu",
    "set_backend",
    "use_backend",
]

"""Which back end runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from .backend import Backend
from .compiled import Compiled
from .native import Native
from .reference import Reference
from .scatter import TorchScatter
from .triton import Triton

#: All back ends by name.
BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (Native(), Triton(), Compiled(), TorchScatter(), Reference())
}
AUTO = "auto"

_chosen = AUTO


class BackendInfo(NamedTuple):
    """One row of :func:`backends`.

    Attributes:
        name: for :func:`set_backend`.
        available: whether it can be used here.
        chosen_for: devices it would run on now (``"cpu"``, ``"cuda"``).
        why: how it works; if it is not available, what to install.
    """

    name: str
    available: bool
    chosen_for: tuple[str, ...]
    why: str


def set_backend(name: str = AUTO) -> None:
    """Choose the kernels that every layer runs on from now on, in the whole process.

    Parameters and state dicts stay as they are. ``"auto"`` goes by the device of the input.

    Raises:
        ValueError: unknown name.
        RuntimeError: it cannot be used here; the message says what to install.
    """
    global _chosen
    _chosen = _checked(name)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """:func:`set_backend` for the duration of a ``with`` block."""
    before = _chosen
    set_backend(name)
    try:
        yield
    finally:
        set_backend(before)


def backends() -> list[BackendInfo]:
    """All back ends, which can be used here, and which would run on what."""
    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    rows = []
    for backend in BACKENDS.values():
        missing = backend.missing()
        chosen = tuple(d for d in devices if backend_for(torch.device(d)) is backend)
        rows.append(BackendInfo(backend.name, missing is None, chosen, missing or backend.about))
    return rows


def backend_for(device: torch.device) -> Backend:
    """The back end that runs on a device now."""
    if _chosen != AUTO:
        return BACKENDS[_chosen]
    if device.type == "cuda" and BACKENDS["triton"].missing() is None:
        return BACKENDS["triton"]
    return BACKENDS["native"]


def _checked(name: str) -> str:
    if name == AUTO:
        return name
    if name not in BACKENDS:
        raise ValueError(f"unknown back end {name!r}; known are {AUTO}, {', '.join(BACKENDS)}")
    missing = BACKENDS[name].missing()
    if missing is not None:
        raise RuntimeError(f"back end {name!r} cannot be used here: {missing}")
    return name

"""Other programs that we are compared with: whether they are here, and how to load them."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from linegraph import Cell
from linegraph.elements import SYMBOLS

from .compare import Options

#: Without their dependencies: those that matter are here already, and dgl would replace PyTorch.
INSTALL = "pip install --no-deps"

#: The peer package, and what its graph modules import besides what linegraph needs.
ALIGNN = ("alignn==2026.8.11", "jarvis-tools", "xmltodict", "toolz")
DGL = ("dgl==2.1.0",)


def needs_alignn(options: Options) -> str:
    """What to install for the peer package's PyTorch modules; "" if it is here."""
    return _missing(ALIGNN, "jarvis.core.atoms", "alignn.torch_graph_builder")


def needs_published(options: Options) -> str:
    """What to install for the published graph code without DGL; "" if it is here."""
    return _missing(ALIGNN, "jarvis.core.atoms", "alignn.graphs")


def needs_dgl(options: Options) -> str:
    """What to install for the published graph code with DGL; "" if it is here."""
    return _missing((*ALIGNN, *DGL), "dgl", "alignn.graphs")


def load_dgl() -> ModuleType:
    """DGL, without its sampling library ``graphbolt``.

    graphbolt has binaries for a few versions of PyTorch only and fails to load beside others; the
    reference does not use it. The rest of DGL 2.1 runs on current PyTorch.

    Raises:
        ImportError, OSError: it is not here, or its own binary does not load.
    """
    os.environ.setdefault("DGLBACKEND", "pytorch")
    sys.modules.setdefault("dgl.graphbolt", ModuleType("dgl.graphbolt"))
    return import_module("dgl")


def jarvis_atoms(cell: Cell) -> Any:
    """A structure as jarvis-tools has it (which rounds the lattice to five decimals)."""
    from jarvis.core.atoms import Atoms

    return Atoms(
        lattice_mat=np.asarray(cell.lattice),
        coords=np.asarray(cell.frac),
        elements=[SYMBOLS[z - 1] for z in cell.numbers],
        cartesian=False,
    )


@cache
def _missing(packages: tuple[str, ...], *modules: str) -> str:
    try:
        # alignn imports dgl if it can: it must find the one that loads.
        load_dgl()
    except Exception as error:  # a binary that does not fit fails in many ways
        if "dgl" in modules:
            return _reason(error, packages)
    try:
        for module in modules:
            import_module(module)
    except Exception as error:
        return _reason(error, packages)
    return ""


def _reason(error: Exception, packages: tuple[str, ...]) -> str:
    words = str(error).splitlines()
    return f"{words[0] if words else type(error).__name__}; {INSTALL} {' '.join(packages)}"

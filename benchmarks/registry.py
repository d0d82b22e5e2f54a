"""The workloads of the command line, by name."""

from __future__ import annotations

from importlib import import_module

from linegraph import InputError

from .compare import Workload

#: Module of each workload, imported when it is asked for; each has a ``WORKLOAD``.
MODULES = {
    "build": "benchmarks.build",
    "scaling": "benchmarks.scaling",
    "loading": "benchmarks.loading",
    "epoch": "benchmarks.epoch",
    "conv": "benchmarks.conv",
    "model": "benchmarks.model",
    "mpt": "benchmarks.mpt",
    "memory": "benchmarks.model_memory",
    "roofline": "benchmarks.roofline",
    "gpu": "benchmarks.gpu",
}


def load_workload(name: str) -> Workload:
    """A workload by its name.

    Raises:
        InputError: there is none of that name; the message lists those that are.
    """
    if name not in MODULES:
        raise InputError(f"no workload {name!r}; known are {', '.join(MODULES)}")
    found: Workload = import_module(MODULES[name]).WORKLOAD
    return found

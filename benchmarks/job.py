"""One workload from beginning to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .compare import Options, Workload, measure, unavailable
from .report import machine
from .tables import as_json, report

#: What the report names the versions of, besides numpy and torch.
PACKAGES = (
    "torch-geometric",
    "vesin",
    "torch_scatter",
    "triton",
    "alignn",
    "jarvis-tools",
    "dgl",
)


def run(
    workload: Workload, options: Options, note: Callable[[str], object], **facts: Any
) -> tuple[str, dict[str, Any]]:
    """Measure a workload.

    Args:
        workload: what to measure.
        options: on what, and for how long.
        note: told of every case that is done.
        facts: what the report should know of the machine besides :func:`report.machine`.

    Returns:
        The report for people, and all its numbers.

    Raises:
        DifferenceError: a side computes other numbers than ours.
    """
    missing = unavailable(workload, options)
    host = machine(PACKAGES, options.device) | facts
    rows = []
    for row in measure(workload, options, missing):
        rows.append(row)
        note(f"measured {workload.name}, {row.case.name}")
    text = report(workload, host, rows, missing)
    return text, as_json(workload, options, host, rows, missing)

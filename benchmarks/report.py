"""Tables, and the machine they come from."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def markdown_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table whose columns line up as plain text; all but the first to the right."""
    cells = [[str(value) for value in row] for row in (head, *rows)]
    width = [max(3, *(len(row[column]) for row in cells)) for column in range(len(head))]
    rule = [":" + "-" * (width[0] - 1), *("-" * (w - 1) + ":" for w in width[1:])]
    lines = []
    for row in (cells[0], rule, *cells[1:]):
        padded = [
            row[0].ljust(width[0]),
            *(c.rjust(w) for c, w in zip(row[1:], width[1:], strict=True)),
        ]
        lines.append("| " + " | ".join(padded) + " |")
    return "\n".join(lines)


def machine(packages: Iterable[str] = ()) -> dict[str, Any]:
    """CPU, cores, threads, load and versions: what a timing means little without.

    Args:
        packages: distributions whose versions matter, besides numpy and torch.
    """
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        models = [li for li in info.read_text().splitlines() if li.startswith("model name")]
        cpu = models[0].split(":")[1].strip() if models else cpu
    versions = {"python": platform.python_version()}
    for package in ("numpy", "torch", *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    cores = os.cpu_count() or 1
    return {
        "cpu": cpu,
        "cores": cores,
        "threads": int(os.environ.get("OMP_NUM_THREADS") or cores),
        "load": round(os.getloadavg()[0], 2),
        "versions": versions,
    }

"""Tables, and the machine they come from."""

from __future__ import annotations

import os
import platform
import subprocess
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


def machine(packages: Iterable[str] = (), device: str = "cpu") -> dict[str, Any]:
    """CPU, cores, threads, load and versions: what a timing means little without.

    Args:
        packages: distributions whose versions matter, besides numpy and torch.
        device: where the work is done; a GPU is named as well.
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
    found = {
        "cpu": cpu,
        "cores": cores,
        "threads": int(os.environ.get("OMP_NUM_THREADS") or cores),
        "load": round(os.getloadavg()[0], 2),
        "versions": versions,
    }
    if device.startswith("cuda"):
        import torch

        found["gpu"] = torch.cuda.get_device_name(device)
    if code := commit():
        found["commit"] = code
    return found


def machine_line(host: dict[str, Any]) -> str:
    """:func:`machine` in one line, with the versions of what is installed."""
    words = [host["gpu"]] if "gpu" in host else []
    words += [host["cpu"], f"{host['cores']} cores", f"{host['threads']} threads"]
    there = {k: v for k, v in host["versions"].items() if v != "not installed"}
    versions = ", ".join(f"{name} {number}" for name, number in there.items())
    memory = [
        *(["huge pages"] if os.environ.get("THP_MEM_ALLOC_ENABLE") == "1" else []),
        *(["freed memory kept"] if host.get("keeps_memory") else []),
    ]
    words.append(" and ".join(memory) or "memory as the system does it")
    code = f"; commit {host['commit']}" if "commit" in host else ""
    return f"{', '.join(words)}, load {host['load']}; {versions}{code}"


def commit() -> str:
    """The commit that this code is, with ``+`` where files differ from it; "" if unknown."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        found = subprocess.run(
            ["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10
        )
        return found.stdout.strip()

    try:
        name = git("rev-parse", "--short", "HEAD")
        return name + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""

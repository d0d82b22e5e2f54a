"""The page on the code has a line for every module, which is the module's own first line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def first_line(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def test_every_module_is_on_the_page() -> None:
    page = (ROOT / "docs" / "code.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`([^`]+)`\]\(../\1\) \| (.*) \|$", page, re.M)
    modules = [
        path
        for package in ("linegraph", "training", "benchmarks")
        for path in (ROOT / package).rglob("*.py")
    ]
    assert sorted(rows) == sorted(
        (path.relative_to(ROOT).as_posix(), first_line(path)) for path in modules
    )

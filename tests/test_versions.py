"""What .ci/versions tests the oldest releases by: a lower bound of every dependency."""

from __future__ import annotations

import runpy
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = runpy.run_path(str(ROOT / ".ci" / "versions"))


def test_every_dependency_has_a_lower_bound_that_ci_is_above() -> None:
    needed, tools = SCRIPT["requirements"]()
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    assert {Requirement(line).name for line in tools} == {
        "ase",
        "hypothesis",
        "pytest",
        "pytest-xdist",
    }
    for line in needed + tools:
        requirement = Requirement(line)
        assert [bound.operator for bound in requirement.specifier] == [">="], line
        assert Version(pins[requirement.name]) in requirement.specifier, line


def test_the_tests_that_it_runs_exist() -> None:
    assert all((ROOT / name).exists() for name in SCRIPT["TESTS"])

"""Nothing is needed whose licence nobody looked at."""

from __future__ import annotations

import re
import runpy
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = runpy.run_path(str(ROOT / ".ci" / "licences"))
COPYLEFT = re.compile(r"GPL|GNU|MPL|Mozilla")


def wanted() -> dict[str, set[str]]:
    """Which of core and extras name a package in setup.cfg, by package."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    groups = {"core": config["options"]["install_requires"]}
    groups.update(config["options.extras_require"])
    found: dict[str, set[str]] = {}
    for group, text in groups.items():
        for line in text.strip().split("\n"):
            if not line.startswith("#"):
                found.setdefault(canonicalize_name(Requirement(line).name), set()).add(group)
    return found


def table() -> dict[str, list[str]]:
    """The cells of every row of docs/licences.md, by package."""
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    head, _, *rest = [[cell.strip() for cell in row] for row in rows]
    assert head[:4] == ["package", "version", "licence", "for"]
    return {canonicalize_name(row[0].strip("*")): row for row in rest}


@pytest.mark.parametrize(("name", "groups"), sorted(wanted().items()))
def test_every_dependency_has_a_licence(name: str, groups: set[str]) -> None:
    assert name in table(), "write it there with .ci/licences"
    package, _, licence, users, *_ = table()[name]
    assert package.startswith("**")
    assert re.search(r"MIT|BSD|Apache|MPL|GPL|Python", licence), licence
    if "core" in groups:
        assert users == "core"
    elif users != "core":
        # The test extra is said only of what stands in no other.
        assert (groups - {"test"} or groups) <= set(users.split(", "))


@pytest.mark.parametrize("name", sorted(wanted()))
def test_licence_is_what_the_package_states(name: str) -> None:
    try:
        here = version(name).partition("+")[0]
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    if here != table()[name][1]:
        pytest.skip(f"{name} {here} is not the one in the table")
    assert SCRIPT["licence"](name) == table()[name][2]


def test_versions_are_those_that_ci_tests() -> None:
    rows = table()
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions = dict(line.split("==") for line in pins if "==" in line)
    assert len(versions) > 20
    for name, pin in versions.items():
        assert rows[canonicalize_name(name)][1] == pin, name


def test_every_copyleft_licence_is_weighed() -> None:
    copyleft = {name: row for name, row in table().items() if COPYLEFT.search(row[2])}
    assert "ase" in copyleft
    for name, row in copyleft.items():
        assert len(row) == 5 and len(row[4].split()) > 3, f"{name}: {row[2]}, and no remark"
    # No package of the core asks more than that changes to its own files stay open.
    for name, row in copyleft.items():
        if row[3] == "core":
            assert "GPL" not in row[2] or "BSD" in row[2], name

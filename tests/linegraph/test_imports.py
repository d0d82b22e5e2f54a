"""The library needs torch and torch-geometric alone, and stands below everything else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "linegraph"

#: What a forward pass must work without.
OPTIONAL = [
    "ase",
    "click",
    "lightning",
    "matplotlib",
    "pymatgen",
    "rich",
    "safetensors",
    "sklearn",
    "spglib",
    "torch_scatter",
    "training",
    "triton",
    "vesin",
    "yaml",
]

SCRIPT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ImportError(f"{{name}} is not installed")

import torch, torch_geometric.data, torch_geometric.loader, torch_geometric.transforms
sys.meta_path.insert(0, Refuse())
for name in {refused!r}:
    sys.modules.pop(name, None)

import linegraph
index = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 1]])
vector = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [1, 0, 0], [-1, 0, 0]])
graph = linegraph.CrystalGraph(
    z=torch.tensor([3, 8]), edge_index=index, edge_vec=vector, multiplicity=torch.ones(4).long()
)
model = linegraph.build_model("MODEL-3", hidden=8, alignn_layers=1, conv_layers=1)
print(model({{"band": linegraph.LineGraph()(graph)}}).shape)
"""


def test_forward_pass_without_optional_packages() -> None:
    refused = list(OPTIONAL)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(refused=refused)],
        capture_output=True,
        text=True,
        cwd=LIBRARY.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "torch.Size([1])"


@pytest.mark.parametrize("file", sorted(LIBRARY.rglob("*.py")), ids=lambda f: f.stem)
def test_imports_at_the_top_are_few(file: Path) -> None:
    allowed = {"torch", "torch_geometric", "numpy", "__future__", *sys.stdlib_module_names}
    if file.stem.startswith("triton_"):
        # Files of kernels, which kernels/triton.py imports on first use.
        allowed.add("triton")
    for node in ast.parse(file.read_text()).body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        assert {name.split(".")[0] for name in names} <= allowed, file

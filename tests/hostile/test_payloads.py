"""Code in files: it would run where somebody opened them carelessly, and does not run here."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from linegraph.errors import InputError
from linegraph.published import convert_checkpoint
from linegraph.reading import as_cell
from tests.bands import TINY, data_file
from tests.tuning import QUIET
from training.properties import read_properties
from training.read import read_bands
from training.recipe import Recipe, load_recipe
from training.train import train

from .checkpoints import EVIL, Payload
from .structures import pymatgen

pytest.importorskip("pymatgen", reason="structures need pymatgen")

#: A module that leaves a mark when it is imported, and a call that pymatgen's JSON may ask for.
MODULE = "a_module_of_a_stranger"
CALL = {"@module": MODULE, "@callable": "anything"}


def test_a_pickle_with_a_payload_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path, out = tmp_path / "model.pt", tmp_path / "out.safetensors"
    torch.save({"weight": Payload(tmp_path / EVIL)}, path)
    with pytest.raises(InputError, match=r"model\.pt: holds more than tensors"):
        convert_checkpoint(path, out, "MODEL-3")
    assert not (tmp_path / EVIL).exists() and not out.exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / EVIL).exists()  # the payload is a real one


def test_a_checkpoint_with_a_payload_is_not_resumed(tmp_path: Path) -> None:
    data, run = data_file(tmp_path / "bands.json"), tmp_path / "run"
    recipe = Recipe(summary="").changed({**TINY, "epochs": 1})
    train(run, recipe, data=data, machine=QUIET)
    last = run / "checkpoints" / "last.ckpt"
    whole = torch.load(last, weights_only=True)
    torch.save({**whole, "evil": Payload(tmp_path / EVIL)}, last)
    with pytest.raises(InputError, match=r"last\.ckpt"):
        train(run, recipe, data=data, resume=True, machine=QUIET)
    assert not (tmp_path / EVIL).exists()


@pytest.mark.parametrize("tag", ["object/apply", "object/new"])
def test_a_tag_in_a_recipe_runs_nothing(tag: str, tmp_path: Path) -> None:
    path, mark = tmp_path / "mine.yaml", tmp_path / EVIL
    path.write_text(f"lr: !!python/{tag}:os.mkdir ['{mark}']\n")
    with pytest.raises(InputError, match=r"mine\.yaml: is no YAML \(could not determine a constr"):
        load_recipe(str(path))
    assert not mark.exists()
    yaml.unsafe_load(path.read_text())
    assert mark.exists()


def _structure() -> dict[str, Any]:
    from tests.bands import some_bands

    structure: dict[str, Any] = pymatgen(some_bands(1)[0].structures[0]).as_dict()
    structure["sites"][0]["properties"] = {"evil": CALL}
    return structure


@pytest.mark.parametrize("form", ["structure", "property"])
def test_names_of_modules_in_a_structure_import_nothing(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pymatgen.core import Structure

    mark = tmp_path / EVIL
    (tmp_path / f"{MODULE}.py").write_text(f"open({str(mark)!r}, 'w').close()\nanything = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    structure = _structure()
    if form == "structure":
        path = tmp_path / "a.json"
        path.write_text(json.dumps(structure))
        assert len(as_cell(path)) == len(structure["sites"])
    else:
        path = tmp_path / "bulk.json"
        record = {"id": "a", "property": "bulk", "value": 0.5, "structure": structure}
        # Two images of the band are nearer than atoms ever are, but on no one site.
        path.write_text(json.dumps([record]))
        assert len(read_properties(path).crystals) == 1
    assert not mark.exists()
    Structure.from_dict(structure)
    assert mark.exists()
    sys.modules.pop(MODULE, None)


def test_plain_pickle_of_the_payload_works(tmp_path: Path) -> None:
    """What the cases of the checkpoint reader would write, if it were carried out."""
    pickle.loads(pickle.dumps(Payload(tmp_path / EVIL)))
    assert (tmp_path / EVIL).exists()


def test_a_trajectory_that_is_a_pickle_is_refused(tmp_path: Path) -> None:
    """As ASE wrote them once, and does not read any more."""
    pytest.importorskip("ase", reason="trajectories need ASE")
    path = tmp_path / "a.traj"
    path.write_bytes(b"PickleTrajectory" + pickle.dumps(Payload(tmp_path / EVIL)))
    with pytest.raises(InputError, match=r"a\.traj: cannot be read as a trajectory"):
        read_bands(path)
    assert not (tmp_path / EVIL).exists()

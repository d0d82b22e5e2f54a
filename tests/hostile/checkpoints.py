"""Checkpoints of torch: cases, and how ``convert`` reads them."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

from linegraph.published import convert_checkpoint
from linegraph.weights import load_weights

from .case import Reader
from .damage import damaged
from .saved import original, same
from .weights import written

#: The file that a payload would write, were it carried out.
EVIL = "evil"


class Payload:
    """What a pickle from a stranger may hold: unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.target,)


def _read_checkpoint(path: Path) -> None:
    out = path.parent / "out"
    out.mkdir()
    try:
        found = convert_checkpoint(path, out / "converted.safetensors", "MODEL-3")
    finally:
        assert [f.name for f in out.iterdir()] in ([], ["converted.safetensors"])
        assert not (path.parent / EVIL).exists(), "the payload was carried out"
    same(found.model.state_dict(), "zip")
    same(load_weights(out / "converted.safetensors").model.state_dict(), "zip")


def _torch_file(folder: Path, random: Random) -> Path:
    kind = random.choice(("zip", "zip", "legacy"))
    return written(folder, damaged(original(kind)[0], random), "model.pt")


def _pickled(wrap: Callable[[Path], Any]) -> Callable[[Path], Path]:
    """What :func:`torch.save` makes of an object."""

    def make(folder: Path) -> Path:
        buffer = io.BytesIO()
        torch.save(wrap(folder / EVIL), buffer)
        return written(folder, buffer.getvalue(), "model.pt")

    return make


def _plain_pickle(folder: Path) -> Path:
    return written(folder, pickle.dumps(Payload(folder / EVIL)), "model.pt")


def _legacy_payload(folder: Path) -> Path:
    path = folder / "model.pt"
    torch.save({"a": Payload(folder / EVIL)}, path, _use_new_zipfile_serialization=False)
    return path


def _bomb(folder: Path) -> Path:
    """An archive of 4 MB that would become 4 GB."""
    path = folder / "model.pt"
    with (
        zipfile.ZipFile(io.BytesIO(original("zip")[0])) as whole,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in whole.namelist():
            with archive.open(name, "w", force_zip64=True) as entry:
                if not name.endswith("data.pkl"):
                    entry.write(whole.read(name))
                    continue
                for _ in range(64):
                    entry.write(bytes(1 << 26))
    return path


def _tar(folder: Path) -> Path:
    """The oldest format, with a path that leads out of its folder."""
    path = folder / "model.pt"
    with tarfile.open(path, "w") as archive:
        for name in ("../../evil", "storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    return path


def _huge_storage(folder: Path) -> Path:
    """One number that is said to be 10^12 of them."""
    return _pickled(lambda _: {"a": torch.zeros(1).expand(10**12)})(folder)


_OF_CHECKPOINT: dict[str, Callable[[Path], Path]] = {
    "untouched": lambda folder: written(folder, original("zip")[0], "model.pt"),
    "untouched, legacy": lambda folder: written(folder, original("legacy")[0], "model.pt"),
    "payload": _pickled(Payload),
    "payload in a state dict": _pickled(lambda t: {"a": torch.ones(1), "b": Payload(t)}),
    "payload in a training checkpoint": _pickled(lambda t: {"model": {"b": Payload(t)}}),
    "payload as a pickle": _plain_pickle,
    "payload in the legacy format": _legacy_payload,
    "a number that is 10^12": _huge_storage,
    "zip bomb of 4 GB": _bomb,
    "tar with a path": _tar,
    "one letter": lambda folder: written(folder, b"x", "model.pt"),
}

READERS = (Reader("checkpoint", "files", _torch_file, _read_checkpoint, _OF_CHECKPOINT, 1.5),)

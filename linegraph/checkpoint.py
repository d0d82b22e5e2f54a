"""Checkpoints from strangers: tensors by name, and nothing else."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from os import PathLike
from os.path import isfile

import torch
from torch import Tensor

from .errors import InputError, shortened
from .warned import warnings_as

#: What training checkpoints call the state dict of their model; the published scripts say "model".
ENTRIES = ("model", "state_dict", "model_state_dict")

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def read_tensors(path: str | PathLike[str]) -> dict[str, Tensor]:
    """The state dict in a file, opened with ``weights_only``.

    Raises:
        InputError: no such file, damaged, or more or other than tensors by name; the message says
            what to save instead.
    """
    if not isfile(path):
        raise InputError("no such checkpoint", file=path)
    check_archive(path)
    try:
        with warnings_as("ignore"):  # of formats that are refused anyway
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        advice = (
            "and is not opened; save the plain state dict, as in torch.save(model.state_dict(), ..."
            ") or, of a training checkpoint, torch.save(checkpoint['model'], ...)"
        )
        raise InputError(f"{_what_else(path)} {advice}", file=path) from error
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        raise InputError(f"is no readable checkpoint ({reason(error)})", file=path) from error
    if not isinstance(state, Mapping):
        raise InputError(f"holds a {type(state).__name__}, not tensors by name", file=path)
    for entry in ENTRIES:
        if isinstance(state.get(entry), Mapping):
            raise InputError(
                f"is a training checkpoint ({', '.join(map(str, state))}), not a plain state "
                f"dict; save its {entry!r} entry alone: torch.save(checkpoint[{entry!r}], ...)",
                file=path,
            )
    if not state:
        raise InputError("is empty", file=path)
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(
                f"is no plain state dict: a {type(value).__name__}, not a tensor by name",
                file=path,
                field=str(name),
            )
    return dict(state)


def check_archive(path: str | PathLike[str]) -> None:
    """Refuse an archive of torch whose content is damaged, or larger than it looks.

    Torch stores everything as it is and writes a checksum beside it, but does not look at the
    checksums of weights, and reads compressed content, too. A file that is no archive is left to
    torch.

    Raises:
        InputError: compressed content, or bytes that have changed since they were written.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise InputError("is no checkpoint of torch: its content is compressed", file=path)
            damaged = archive.testzip()
    # Of an archive's own words about itself, each may be anything.
    except (OSError, ValueError, LookupError, EOFError, RuntimeError, zipfile.BadZipFile,
            struct.error) as error:  # fmt: skip
        raise InputError(f"is no readable checkpoint ({reason(error)})", file=path) from error
    if damaged is not None:
        raise InputError(f"is damaged in {shortened(damaged, 100)!r}", file=path)


def _what_else(path: str | PathLike[str]) -> str:
    """Why a pickle was not opened, from its instructions, none of which is carried out."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(os.fspath(path))
    except Exception:  # it reads the current format only, and only files that are whole
        names = []
    if not names:
        return "holds more than tensors, or is damaged,"
    return f"holds more than tensors ({', '.join(sorted(names))})"


def reason(error: Exception) -> str:
    """What an error says first."""
    # What follows the first sentence is torch's advice to open the file without precautions.
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0] if lines else type(error).__name__


def checked(state: dict[str, Tensor], path: str | PathLike[str]) -> dict[str, Tensor]:
    """The tensors as they are, without ``module.``, if every one can be a weight.

    Raises:
        InputError: NaN, infinite or missing numbers, or not one floating-point type.
    """
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    first = next((tensor.dtype for tensor in state.values() if tensor.dtype in DTYPES), None)
    for name, tensor in state.items():
        counter = name.endswith("num_batches_tracked")
        if counter and tensor.dtype != torch.int64:
            problem = f"is {tensor.dtype}, not a whole number"
        elif not counter and tensor.dtype not in DTYPES:
            problem = f"is {tensor.dtype}, not a floating-point weight"
        elif not counter and tensor.dtype != first:
            problem = f"is {tensor.dtype}, but weights before it are {first}"
        elif not _is_dense(tensor):
            problem = "is no dense array of numbers"
        elif not torch.isfinite(tensor).all():
            problem = "holds NaN or infinite weights"
        else:
            continue
        raise InputError(problem, file=path, field=name)
    return {name: tensor.detach() for name, tensor in state.items()}


def _is_dense(tensor: Tensor) -> bool:
    """Whether there are elements, and all of them in memory."""
    if tensor.is_nested or tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    needed = tensor.numel() * tensor.element_size()
    return 0 < needed <= tensor.untyped_storage().nbytes()

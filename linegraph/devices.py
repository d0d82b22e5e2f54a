"""Where to compute, by name."""

from __future__ import annotations

import re

import torch

from .errors import InputError


def usable_device(name: str) -> str:
    """A device that is here: ``auto`` is a GPU if there is one.

    Raises:
        InputError: not of the names known, or not here.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", name):
        raise InputError(f"unknown device {name!r}; known are auto, cpu, cuda, cuda:N")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is available here; use cpu")
    if number and int(number) >= torch.cuda.device_count():
        raise InputError(f"there are {torch.cuda.device_count()} CUDA devices, none {number}")
    return name

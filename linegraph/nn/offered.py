"""What a state offers in place of buffers that follow rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def offered_buffers(
    module: nn.Module, state: Mapping[str, Any], prefix: str, kind: str
) -> dict[str, Tensor] | None:
    """The buffers a module would have after loading, checked before anything is copied.

    Args:
        module: its own buffers say shapes, and whether numbers are whole. They stay where the
            state offers nothing.
        state: tensors by name.
        prefix: of the module's names in it.
        kind: what the module is called in errors: ``"forest"``.

    Returns:
        Tensors by name, floating ones in the precision of the module; None where some are on
        the meta device and so hold no numbers that could break a rule.

    Raises:
        ValueError: a tensor cannot take the place of the module's own, or is NaN or infinite.
    """
    found: dict[str, Tensor] = {}
    for name, own in module.named_buffers(recurse=False):
        tensor = state.get(prefix + name, own)
        if not isinstance(tensor, Tensor) or tensor.shape != own.shape:
            raise ValueError(f"{name} of a {kind} is no tensor of shape {list(own.shape)}")
        floating = own.is_floating_point()
        if not (tensor.is_floating_point() if floating else tensor.dtype == own.dtype):
            raise ValueError(f"{name} of a {kind} is {tensor.dtype}, not {own.dtype}")
        found[name] = tensor.to(own.dtype)
    if any(tensor.is_meta for tensor in found.values()):
        return None
    for name, tensor in found.items():
        if not tensor.float().isfinite().all():
            raise ValueError(f"{name} of a {kind} is NaN or infinite")
    return found

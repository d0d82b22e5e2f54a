"""Parts of a model by name: what can be frozen, or learn at a rate of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

#: Patterns for names of parameters and modules. Two-body layers pass messages along bonds,
#: three-body layers along pairs of bonds; the head is whatever is not in the trunk.
PARTS = {
    "trunk": r"trunk\.",
    "embeddings": r"trunk\.(atom|bond|angle)_embedding\.",
    "atom_embedding": r"trunk\.atom_embedding\.",
    "bond_embedding": r"trunk\.bond_embedding\.",
    "angle_embedding": r"trunk\.angle_embedding\.",
    "alignn_layers": r"trunk\.alignn_layers\.",
    "conv_layers": r"trunk\.conv_layers\.",
    "two_body": r"trunk\.(alignn_layers\.\d+\.atom_conv|conv_layers\.\d+)\.",
    "three_body": r"trunk\.alignn_layers\.\d+\.bond_conv\.",
    "head": r"(?!trunk\.)",
}


def in_part(name: str, part: str) -> bool:
    """Whether a parameter (``trunk.conv_layers.0.root.weight``) belongs to a part."""
    return re.match(PARTS[part], name) is not None


def modules_in(model: nn.Module, parts: tuple[str, ...]) -> Iterator[nn.Module]:
    """The innermost modules that belong to any of the parts."""
    for name, module in model.named_modules():
        leaf = next(module.children(), None) is None
        if leaf and any(in_part(f"{name}.", part) for part in parts):
            yield module

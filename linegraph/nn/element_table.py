"""What is known of elements, beside the weights of a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..features import element_features


class ElementTable(nn.Module):
    """A module with weights that looks up the 92 numbers of elements.

    They are facts, not weights, so no checkpoint holds them. ``load_state_dict`` fills them in
    again, in the precision and on the device of the weights: a module made on the device ``meta``
    and given memory by ``to_empty`` holds whatever lay there.

    Attributes:
        table: ``[104, 92]``, :func:`linegraph.features.element_features`.
    """

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        table = element_features().to(torch.get_default_dtype())
        self.register_buffer("table", table, persistent=False)
        self.register_load_state_dict_post_hook(_fill)  # type: ignore[no-untyped-call]

    def elements(self, z: Tensor) -> Tensor:
        """Numbers ``[N, 92]`` of atoms of atomic numbers ``z [N]``, int64, 1 to 103.

        Raises:
            ValueError: there is no such element.
        """
        if z.numel() > 0 and not 1 <= int(z.min()) <= int(z.max()) < self.table.size(0):
            raise ValueError(f"atomic numbers must lie in 1..{self.table.size(0) - 1}")
        return self.table[z]


def _fill(module: ElementTable, keys: object) -> None:
    like = next(module.parameters())
    table = element_features().to(like.device, like.dtype)
    if (module.table.device, module.table.dtype) == (table.device, table.dtype):
        # In place, as weights are loaded: whatever holds on to the buffer goes on with it.
        module.table.copy_(table)
    else:
        module.table = table

"""Whether atoms are those of a chemical formula."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from .elements import SYMBOLS, Z_OF

#: Neutron work has names of its own for the isotopes of hydrogen.
Z_OF_NUCLIDE: dict[str, int] = {**Z_OF, "D": 1, "T": 1}

#: What an amount that is no whole number may be off, as a part of it: such are measured.
MEASURED = 0.02

# A symbol, an amount, and its standard deviation.
_PART = r"([A-Z][a-z]?)(\d*\.?\d*)(?:\(\d+\))?"
_FORMULA = re.compile(rf"(?:\s*{_PART},?)+\s*")

#: For each atomic number the amount, and what it may be off.
Formula = dict[int, tuple[float, float]]


def parsed_formula(text: str) -> Formula | None:
    """The elements of a formula like ``Li4 Fe4 P4 O16``.

    Whole numbers are exact. Others are rounded to their last digit, and may be off by
    :data:`MEASURED`. D and T count as H.

    Returns:
        None where it cannot be read, for instance because of parentheses.
    """
    if not _FORMULA.fullmatch(text):
        return None
    formula: Formula = {}
    for symbol, digits in re.findall(_PART, text):
        if symbol not in Z_OF_NUCLIDE or digits == ".":
            return None
        amount = float(digits or 1)
        decimals = len(digits.partition(".")[2])
        slack = max(0.5 * 10.0**-decimals, MEASURED * amount) if decimals else 0.0
        before = formula.get(Z_OF_NUCLIDE[symbol], (0.0, 0.0))
        formula[Z_OF_NUCLIDE[symbol]] = before[0] + amount, before[1] + slack
    return {z: (amount, slack) for z, (amount, slack) in formula.items() if amount} or None


def agrees(numbers: Iterable[int], formula: Formula) -> bool:
    """Whether atoms are of the elements of a formula, in its ratios.

    Args:
        numbers: atomic numbers, one for each atom.
        formula: of any number of atoms; only ratios matter.
    """
    count = Counter(numbers)
    if set(count) != set(formula):
        return False
    # Each element bounds the number of formula units; all of them have to leave some room.
    least = max(n / (formula[z][0] + formula[z][1]) for z, n in count.items())
    most = min(
        n / (formula[z][0] - formula[z][1]) if formula[z][0] > formula[z][1] else float("inf")
        for z, n in count.items()
    )
    return least <= most * (1 + 1e-9)


def formula_of(numbers: Iterable[int]) -> str:
    """Elements and how many atoms there are of each, in the order of their first atoms."""
    return " ".join(f"{SYMBOLS[z - 1]}{n}" for z, n in Counter(numbers).items())

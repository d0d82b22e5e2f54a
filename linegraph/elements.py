"""Element symbols and atomic numbers, so that reading plain JSON needs no structure library."""

from __future__ import annotations

_TABLE = """
    H He
    Li Be B C N O F Ne
    Na Mg Al Si P S Cl Ar
    K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe
    Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn
    Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
"""

#: Symbols of the elements 1 (H) to 103 (Lr); ``SYMBOLS[z - 1]`` is the symbol of ``z``.
SYMBOLS: tuple[str, ...] = tuple(_TABLE.split())

#: Atomic number of every symbol, 1 to 103.
Z_OF: dict[str, int] = {symbol: z for z, symbol in enumerate(SYMBOLS, start=1)}

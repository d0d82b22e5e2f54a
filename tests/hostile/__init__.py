"""Files from strangers: thousands of damaged and malicious ones, and what the readers make of them.

Every case is one file (or folder) made from a real one by a seeded random damage, or made up by
hand, and read by the function that a command would call. It has to end in an ``InputError`` of one
line that names the file, or in a right answer, within :data:`SECONDS` and :data:`MEMORY`, and leave
no file where none belongs. ``python -m tests.hostile`` counts.
"""

from __future__ import annotations

#: A case may take so long (seconds of processor time) ...
SECONDS = 10.0

#: ... and so much memory (bytes) beyond what the process had before it.
MEMORY = 2 << 30

"""The command ``screen``: barriers of all crystals in a folder, ranked."""

"""Unmodified programs under `python -m pyconc run`."""

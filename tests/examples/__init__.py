"""Each example, under `python` and under `python -m pyconc run`."""

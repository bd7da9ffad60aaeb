"""Processes are killed at every crash point; the survivors are looked at."""

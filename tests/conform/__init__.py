"""The same assertions on the standard library and on pyconc."""

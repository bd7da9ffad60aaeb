"""A package whose modules are called like the standard library's."""

"""Build the example: `python setup.py build_ext --inplace`."""

from setuptools import Extension, setup

import pyconc

setup(
    name="waves",
    version="1",
    ext_modules=[
        Extension(
            "waves", sources=["waves.c"], include_dirs=[pyconc.get_include()]
        )
    ],
)

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prints the requirements of one extra in pyproject.toml, for `make lock`."""

import pathlib
import sys
import tomllib

PROJECT = pathlib.Path(__file__).parents[1] / "pyproject.toml"

print(
    *tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"][sys.argv[1]], sep="\n"
)

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prints the requirements of an extra of setup.py that the project itself lacks: `make lock`."""

import importlib.metadata
import sys

for requirement in importlib.metadata.requires("mmv_tf") or ():
    name, _, marker = requirement.partition(";")
    if marker.strip() == f'extra == "{sys.argv[1]}"':
        print(name.strip())

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Names of files as text that can be printed and stored."""

from __future__ import annotations

import os


def printable_name(name: str | os.PathLike[str]) -> str:
    r"""A file's name as UTF-8 text: bytes that are no UTF-8 are written as in "caf\xe9".

    On Linux a name may be any bytes; Python keeps such ones as lone surrogates, which neither JSON
    nor a terminal takes.
    """
    text = os.fspath(name)
    try:
        return os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # A surrogate that stands for no byte, of a list in JSON.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

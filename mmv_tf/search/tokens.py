# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A server's secret token, from a file or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mmv_tf.util.files import read_regular

VARIABLE = "MMV_SEARCH_TOKEN"
LEAST_CHARACTERS = 16  # as for the model server's key
_MAX_BYTES = 4096


def read_token(path: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the token from a file or the variable `MMV_SEARCH_TOKEN`; None if there is neither.

    Raises:
      ValueError: the token is too short, or not one line of printable ASCII.
      OSError: the file can't be read.
    """
    if path is not None:
        where, token = path, read_regular(path, _MAX_BYTES).decode("latin-1").strip()
    elif environment.get(VARIABLE):
        where, token = VARIABLE, environment[VARIABLE].strip()
    else:
        return None
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ValueError(f"{where}: expected a token on one line of ASCII, without spaces.")
    if len(token) < LEAST_CHARACTERS:
        raise ValueError(
            f"{where}: the token has {len(token)} characters; expected {LEAST_CHARACTERS} or more; "
            "create one, for example with: openssl rand -hex 16"
        )
    return token

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads NumPy's `.npz` files that may be damaged: the arrays, or one error that names the file."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence

import numpy as np

from mmv_tf.regular_files import check_regular

# Ours. Compressed scores take a tenth of their size; zip's best is a thousandth, which a bomb uses.
_MAX_EXPANSION = 100
_FREE_BYTES = 64 << 20


def read_npz(
    path: str | os.PathLike[str], names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Returns arrays of a file by name; nothing is unpickled.

    Args:
      path: of the file.
      names: of the arrays that are wanted; None for all.

    Raises:
      ValueError: the file is damaged, lacks an array, or unpacks to over 100 times its size.
      OSError: it is not there or can't be read.
    """
    room = _MAX_EXPANSION * check_regular(path) + _FREE_BYTES
    with open(path, "rb"):
        pass  # What the system refuses is no damage.
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > room:
                raise ValueError(f"it unpacks to over {_MAX_EXPANSION} times its size")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (file.files if names is None else names)}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it holds something else than arrays")
        return arrays
    # zipfile and NumPy raise what they meet: OSError, zlib.error, NotImplementedError, ...
    except Exception as error:
        raise ValueError(f"{os.fspath(path)}: is no whole .npz file ({error})") from error

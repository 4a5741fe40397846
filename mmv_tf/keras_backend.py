# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Imports Keras with the TensorFlow backend, whatever backend the user's settings name.

Keras reads its backend from KERAS_BACKEND or keras.json when it is first imported, and keeps it for
the life of the process, so every subpackage imports this module before any other.
"""

from __future__ import annotations

from mmv_tf import backend_choice

_REMEDY = (
    "Set KERAS_BACKEND=tensorflow, or import mmv_tf before Keras and TensorFlow; Keras can have "
    "only one backend per process."
)


def import_keras() -> None:
    """Import Keras with the TensorFlow backend, without changing the environment.

    Raises:
      ImportError: Keras already runs on another backend, or rejects its keras.json.
    """
    backend_choice.choose()
    try:
        import keras
    except ImportError as error:
        # TensorFlow had already begun to import Keras, on a backend that is not installed.
        raise ImportError(f"Keras can't be imported: {error}. {_REMEDY}") from error
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise ImportError(
            f"Keras can't be imported: {error}. Its settings may be the cause: fix or remove "
            "keras.json, in the folder that KERAS_HOME names, or in ~/.keras if it is not set."
        ) from error
    finally:
        backend_choice.restore()
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise ImportError(
            f"mmv_tf needs Keras on TensorFlow, but Keras runs on {backend!r}. {_REMEDY}"
        )


import_keras()

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Server for exported models, in the extra `mmv_tf[serve]`."""

from __future__ import annotations

from mmv_tf import keras_backend as keras_backend  # isort: skip  # Keras on TensorFlow first

from collections.abc import Callable

from mmv_tf.serving.settings import ServerSettings as ServerSettings


def serve(settings: ServerSettings, announce: Callable[[str], None] = print) -> None:
    """Serve until SIGTERM or SIGINT, then answer the accepted requests and return.

    Args:
      settings: the model, the ports and the limits.
      announce: called once the server is ready, with a line that contains its URLs.

    Raises:
      ValueError: the model can't be loaded.
      OSError: a port is taken.
    """
    # Imported at first use: the settings alone need none of the server's libraries.
    from mmv_tf.serving.server import run

    run(settings, announce)

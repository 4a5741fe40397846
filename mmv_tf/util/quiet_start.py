# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Imports TensorFlow without its startup notes, and Keras with the project's settings.

Programs import this module before any other in the package. TensorFlow prints ten harmless lines
while it loads, before the program's own first line; the user's Keras settings may name another
backend or other types.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# On import, Keras reads these and ~/.keras/keras.json, or the file in KERAS_HOME.
for _name in [name for name in os.environ if name.startswith("KERAS_")]:
    del os.environ[_name]
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_HOME"] = os.devnull  # nothing can be read or written there

# TensorFlow's C++ code then logs only errors.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# TensorFlow 2.21 prints these while it loads, at any level: its logging is set up later.
_NOTE = re.compile(
    rb"WARNING: All log messages before absl::Init|[IW]0000 |To enable the following"
)
# This is an error only where there is an NVIDIA driver.
_NO_GPU = re.compile(rb"E0000 .*failed call to cuInit")


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Remove TensorFlow's startup notes from standard error.

    C++ writes them to the file descriptor, out of reach of `sys.stderr`. All other output is passed
    on at the end.
    """
    with tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        shown = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
            caught.seek(0)
            for line in caught:
                no_gpu = _NO_GPU.match(line) and not os.path.exists("/proc/driver/nvidia")
                if not no_gpu and not _NOTE.match(line):
                    sys.stderr.write(line.decode(errors="replace"))


if "tensorflow" not in sys.modules and sys.stderr is not None:
    with _without_notes():
        import tensorflow

        # This prints one more note where there is no GPU.
        tensorflow.config.list_physical_devices("GPU")

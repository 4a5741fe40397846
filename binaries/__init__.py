# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Programs: `python -m binaries.NAME --help`.

This package is imported before any program in it, so it is where TensorFlow's start-up notes (ten
lines, harmless, before the program's first own line) are hushed, and Keras' settings are made those
of the project, whatever the user has for other work.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import tempfile
import types
from collections.abc import Sequence

# Keras reads these when it is imported, and ~/.keras/keras.json unless KERAS_HOME is another place.
for _name in [name for name in os.environ if name.startswith("KERAS_")]:
    del os.environ[_name]
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_HOME"] = os.devnull  # nothing can be read or written there

# From here on it logs errors and warnings of its C++ parts only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# TensorFlow 2.21 prints these while it is loaded whatever the level: its logging is set up later.
_NOTE = re.compile(
    rb"WARNING: All log messages before absl::Init|[IW]0000 |To enable the following"
)
# An error only where there is an NVIDIA driver.
_NO_GPU = re.compile(rb"E0000 .*failed call to cuInit")


class _QuietTensorFlow(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports TensorFlow with its start-up notes taken out of standard error.

    They are written by C++ to the file descriptor, out of reach of `sys.stderr`. What else appears
    during the import is passed on at its end.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        spec.loader = module.__loader__ = self._loader
        with tempfile.TemporaryFile() as caught:
            sys.stderr.flush()
            shown = os.dup(2)
            os.dup2(caught.fileno(), 2)
            try:
                self._loader.exec_module(module)
                # Looks for a GPU, with one more note where there is none.
                module.config.list_physical_devices("GPU")
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
    sys.meta_path.insert(0, _QuietTensorFlow())

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Models of mmv_tf whose video and image backbones run in OpenVINO, an engine for CPUs."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.deflation import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference.graph_network import GraphNetwork
from mmv_tf.inference.network import ENGINES, IMAGE, OPENVINO, VIDEO

# Our name of a precision -> OpenVINO's, and that of the processor's ability.
_PRECISIONS = {
    "float32": ("f32", "FP32"),
    "mixed_bfloat16": ("bf16", "BF16"),
    "bfloat16": ("bf16", "BF16"),
    "mixed_float16": ("f16", "FP16"),
}
# The other inputs take a small part of a program's time, and need TensorFlow's string operations.
_COMPILED = (VIDEO, IMAGE)


def check_engine(engine: str) -> None:
    """Check the name of an engine, and that it is installed.

    Raises:
      ValueError: it is unknown or missing.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}; use one of {', '.join(ENGINES)}.")
    if engine == OPENVINO and importlib.util.find_spec("openvino") is None:
        raise ValueError(
            "engine=openvino needs OpenVINO, which is an extra: pip install 'mmv_tf[openvino]'."
        )


class OpenVinoNetwork(GraphNetwork):
    """A `GraphNetwork` that embeds video and images with OpenVINO; the rest stays in TensorFlow.

    Args:
      model, image_model: as for `GraphNetwork`, in float32.
      dtype: precision to compute in, one of `graphs.precision.DTYPES`. OpenVINO has one bfloat16,
        which keeps float32 where it is needed.

    Raises:
      ValueError: this processor does not compute in that precision.
    """

    def __init__(
        self,
        model: EmbeddingGraph | None = None,
        image_model: ImageEncoder | None = None,
        dtype: str = "float32",
    ):
        super().__init__(model, image_model)
        self._precision, ability = _PRECISIONS[dtype]
        self._core = _core()
        abilities = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if ability not in abilities:
            raise ValueError(
                f"OpenVINO does not compute in {dtype} on this processor, only in "
                f"{', '.join(sorted(abilities))}; choose another dtype, or engine=tensorflow."
            )
        self._compiled: dict[Any, Callable[..., dict[str, np.ndarray]]] = {}

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256; in float32 that of the same model in TensorFlow."""
        fingerprint = super().fingerprint
        if self._precision == "f32":
            return fingerprint
        return hashlib.sha256(f"{fingerprint} openvino {self._precision}".encode()).hexdigest()

    def _function(self, kind: str, dtype: tf.DType, shape: tuple[int | None, ...]) -> Any:
        """Return a function compiled once for a size of frames."""
        traced = super()._function(kind, dtype, shape)
        if kind not in _COMPILED:
            return traced
        if traced not in self._compiled:
            self._compiled[traced] = self._compile(traced)
        return self._compiled[traced]

    def _compile(self, traced: Any) -> Callable[..., dict[str, np.ndarray]]:
        import openvino

        model = openvino.convert_model(traced.get_concrete_function())
        compiled = self._core.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": self._precision}
        )
        names = {port: port.get_any_name() for port in compiled.outputs}

        def call(inputs: tf.Tensor) -> dict[str, np.ndarray]:
            found = compiled(inputs.numpy())
            # Copied, since the next call writes to the same memory.
            return {name: np.array(found[port], np.float32) for port, name in names.items()}

        return call


def _core() -> Any:
    """Return OpenVINO's entry point, which loads its plug-ins."""
    import openvino

    return openvino.Core()

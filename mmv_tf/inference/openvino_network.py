# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Models from mmv_tf whose video and image backbones run in OpenVINO, an engine for CPUs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.deflation import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference.graph_network import GraphNetwork
from mmv_tf.inference.network import ENGINES, IMAGE, OPENVINO, VIDEO
from mmv_tf.inference.quantization import Quantized, as_floats, read_quantized

# Our name for a precision -> OpenVINO's name, and the processor capability it needs.
_PRECISIONS = {
    "float32": ("f32", "FP32"),
    "mixed_bfloat16": ("bf16", "BF16"),
    "bfloat16": ("bf16", "BF16"),
    "mixed_float16": ("f16", "FP16"),
}
# The other inputs take little of a program's time, and need TensorFlow's string operations.
_COMPILED = (VIDEO, IMAGE)


def check_engine(engine: str) -> None:
    """Check an engine's name, and that the engine is installed.

    Raises:
      ValueError: the engine is unknown or not installed.
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
      dtype: precision to compute in, one of `graphs.precision.DTYPES`. OpenVINO has only one
        bfloat16 mode, which keeps float32 where it is needed.
      quantized: folder of the model's video backbone in 8-bit integers; see `quantization`.

    Raises:
      ValueError: this processor does not support the precision, or `quantized` belongs to another
        model.
    """

    def __init__(
        self,
        model: EmbeddingGraph | None = None,
        image_model: ImageEncoder | None = None,
        dtype: str = "float32",
        quantized: str | os.PathLike[str] | None = None,
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
        self._quantized: Quantized | None = None
        if quantized is not None:
            self._quantized = read_quantized(pathlib.Path(quantized))
            if self._quantized.fingerprint != super().fingerprint:
                raise ValueError(
                    f"{quantized} was made from another model; create it again with 'mmv quantize'."
                )

    @property
    def fingerprint(self) -> str:
        """The hexadecimal SHA-256; in float32 it equals that of the same model in TensorFlow."""
        fingerprint, computed = super().fingerprint, [self._precision]
        if self._quantized is not None:
            computed.append(self._quantized.weights_sha256)
        if computed == ["f32"]:
            return fingerprint
        return hashlib.sha256(f"{fingerprint} openvino {computed}".encode()).hexdigest()

    def description(self) -> dict[str, Any]:
        """Return class, number of parameters and engine, for result files."""
        engine = {"name": OPENVINO, "precision": self._precision}
        if self._quantized is not None:
            engine["quantized"] = self._quantized.weights_sha256
        return {**super().description(), "engine": engine}

    def _sharing_backbone(self) -> None:
        return None  # windows are embedded one by one

    def check_settings(self) -> None:
        """Check, before reading any video, that clips have the size that the quantized model needs.

        Raises:
          ValueError: they have another size.
        """
        frames, size = self.settings.num_frames, self.settings.size
        if self._quantized is not None and frames is not None and size is not None:
            _check_clip(self._quantized, (frames, size, size))

    def _function(self, kind: str, dtype: tf.DType, shape: tuple[int | None, ...]) -> Any:
        """Return a function that is compiled once per frame size."""
        if kind == VIDEO and self._quantized is not None:
            return self._quantized_function(self._quantized, shape)
        traced = super()._function(kind, dtype, shape)
        if kind not in _COMPILED:
            return traced
        if traced not in self._compiled:
            self._compiled[traced] = self._compile(traced)
        return self._compiled[traced]

    def _quantized_function(
        self, quantized: Quantized, shape: tuple[int | None, ...]
    ) -> Callable[..., dict[str, np.ndarray]]:
        _check_clip(quantized, shape[:3])
        if quantized.path not in self._compiled:
            call = self._by_batch(self._core.read_model(quantized.path))
            self._compiled[quantized.path] = lambda inputs: call(as_floats(np.asarray(inputs)))
        return self._compiled[quantized.path]

    def _compile(self, traced: Any) -> Callable[..., dict[str, np.ndarray]]:
        import openvino

        model = openvino.convert_model(traced.get_concrete_function())
        _, *sizes = model.inputs[0].partial_shape
        known = all(size.is_static for size in sizes)
        call = self._by_batch(model) if known else self._call(model)
        return lambda inputs: call(inputs.numpy())

    def _by_batch(self, model: Any) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        """Return a function that compiles a model once per batch size.

        A model compiled for any batch size takes half as long again (S3D-G in bfloat16). `run` uses
        only a few sizes: its largest batch, and powers of two.
        """
        calls: dict[int, Callable[[np.ndarray], dict[str, np.ndarray]]] = {}

        def call(inputs: np.ndarray) -> dict[str, np.ndarray]:
            count = len(inputs)
            if count not in calls:
                fixed = model.clone()
                fixed.reshape(inputs.shape)
                calls[count] = self._call(fixed)
            return calls[count](inputs)

        return call

    def _call(self, model: Any) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        """Return a function that calls an OpenVINO model."""
        compiled = self._core.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": self._precision}
        )
        names = {port: port.get_any_name() for port in compiled.outputs}

        def call(inputs: np.ndarray) -> dict[str, np.ndarray]:
            found = compiled(inputs)
            # Copied, because the next call writes to the same memory.
            return {name: np.array(found[port], np.float32) for port, name in names.items()}

        return call


def _check_clip(quantized: Quantized, clip: tuple[int | None, ...]) -> None:
    if clip != quantized.clip:
        expected, got = (" x ".join(map(str, one)) for one in (quantized.clip, clip))
        raise ValueError(
            f"The quantized model expects clips of {expected} (frames, height, width); got {got}. "
            "Quantize the model for this size."
        )


def _core() -> Any:
    """Return OpenVINO's entry point, which loads its plug-ins."""
    import openvino

    return openvino.Core()

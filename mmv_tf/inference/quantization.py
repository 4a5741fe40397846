# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Video backbones in 8-bit integers for OpenVINO, calibrated on clips of the user's own videos.

The method is NNCF's post-training quantization. A quantized backbone is a folder with OpenVINO's
two files and `quantized.json`, which records the source model and how closely the outputs agree.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.inference.graph_network import GraphNetwork
from mmv_tf.inference.network import VIDEO
from mmv_tf.training import opening
from mmv_tf.util import files
from mmv_tf.util.configuration import write_json
from mmv_tf.util.safe_files import Count, read_json

DESCRIPTION, MODEL, WEIGHTS = opening.QUANTIZED_FILE, "video.xml", "video.bin"
FORMAT_VERSION = 1
_FORM = {
    "format_version": Count,
    "fingerprint": str,
    "clip": [Count],
    "cosines": {str: {"lowest": (int, float), "mean": (int, float)}},
    "sha256": {str: str},
}
# Ours: one clip in this many is held out to measure the agreement.
_HELD_OUT = 5
# Kept in floating point. Gates, means and heads take little time, and with quantized gates the
# mean cosine with float32 fell from 0.999 to 0.996 (the quickstart's model, 60 clips of its film).
_NOT_QUANTIZED = ("Multiply", "ReduceMean", "MatMul")
_LEAST_CLIPS = 10


@dataclasses.dataclass(frozen=True)
class Quantized:
    """A quantized backbone.

    Attributes:
      path: OpenVINO's model file.
      fingerprint: fingerprint of the float32 model that it was made from.
      clip: expected frames, height and width.
      cosines: feature -> lowest and mean cosine similarity with float32 on held-out clips.
      weights_sha256: hexadecimal SHA-256 of OpenVINO's weights file.
    """

    path: pathlib.Path
    fingerprint: str
    clip: tuple[int, ...]
    cosines: Mapping[str, Mapping[str, float]]
    weights_sha256: str


def check_installed() -> None:
    """Check that the quantizer is installed.

    Raises:
      ValueError: it is not installed.
    """
    for module in ("openvino", "nncf"):
        if importlib.util.find_spec(module) is None:
            raise ValueError(
                f"Quantizing needs {module}, an extra: pip install 'mmv_tf[quantize]'."
            )


def quantize_video(network: GraphNetwork, clips: np.ndarray, folder: pathlib.Path) -> Quantized:
    """Quantize the video backbone with its heads, and write the result.

    Args:
      network: the model, in float32.
      clips: uint8 [N, T, H, W, 3], 10 or more. Every fifth is held out to measure the agreement.
      folder: folder to write; missing or empty.

    Returns:
      A description of the quantized backbone.

    Raises:
      ValueError: there are too few clips.
    """
    import nncf
    import openvino

    if len(clips) < _LEAST_CLIPS:
        raise ValueError(
            f"Got {len(clips)} clips to calibrate on; expected at least {_LEAST_CLIPS}, "
            "preferably a few hundred; use more or longer videos."
        )
    held_out = np.arange(len(clips)) % _HELD_OUT == _HELD_OUT - 1
    calibration = [index for index, held in enumerate(held_out) if not held]
    spec = tf.TensorSpec([None, *clips.shape[1:]], tf.float32)
    traced = tf.function(
        lambda inputs: network.compute(VIDEO, inputs), autograph=False, input_signature=[spec]
    )
    model = openvino.convert_model(traced.get_concrete_function())
    model.reshape([1, *clips.shape[1:]])  # calibrating is faster for one size
    dataset = nncf.Dataset(calibration, lambda index: as_floats(clips[index : index + 1]))
    quantized = nncf.quantize(
        model,
        dataset,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration),
        ignored_scope=nncf.IgnoredScope(types=list(_NOT_QUANTIZED), validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=_whole_range()
        ),
    )
    description = {
        "format_version": FORMAT_VERSION,
        "fingerprint": network.fingerprint,
        "clip": list(clips.shape[1:4]),
        "clips": len(calibration),
        "cosines": _cosines(model, quantized, clips[held_out]),
        "versions": {"openvino": openvino.__version__, "nncf": nncf.__version__},
    }
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        openvino.save_model(quantized, temporary / MODEL, compress_to_fp16=False)
        hashes = {name: files.file_sha256(temporary / name) for name in (MODEL, WEIGHTS)}
        write_json({**description, "sha256": hashes}, temporary / DESCRIPTION)
    return read_quantized(folder)


def read_quantized(folder: pathlib.Path) -> Quantized:
    """Read a quantized backbone's description, and verify the checksums of its files.

    Raises:
      ValueError: there is no description, or the backbone is damaged.
    """
    try:
        found = read_json(folder / DESCRIPTION, _FORM)
        for name in (MODEL, WEIGHTS):
            files.check_content(folder / name, sha256=found["sha256"].get(name, ""))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder} is not a quantized model ({error}); create one with 'mmv quantize'."
        ) from None
    if found["format_version"] != FORMAT_VERSION or len(found["clip"]) != 3:
        raise ValueError(
            f"{folder} was written by a different version of mmv_tf; create it again with 'mmv "
            "quantize'."
        )
    return Quantized(
        folder / MODEL,
        found["fingerprint"],
        tuple(found["clip"]),
        found["cosines"],
        found["sha256"][WEIGHTS],
    )


def as_floats(clips: np.ndarray) -> np.ndarray:
    """Return pixels as float32 in [0, 1]; uint8 pixels are divided by 255."""
    if clips.dtype == np.uint8:
        return clips.astype(np.float32) / 255.0
    return clips.astype(np.float32, copy=False)


def _whole_range() -> Any:
    """Return how to choose the range of an activation: from its smallest to its largest value.

    NNCF's default averages the extremes over all clips, and thereby cuts off those of unusual
    clips: cosines of 0.969 instead of 0.997 (the quickstart's model, gates in floating point too).
    """
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return RangeEstimatorParametersSet.MINMAX


def _cosines(model: Any, quantized: Any, clips: np.ndarray) -> dict[str, dict[str, float]]:
    """Return the agreement between two models, by feature."""
    import openvino

    core = openvino.Core()
    exact = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rounded = core.compile_model(quantized, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    values: dict[str, list[float]] = {}
    for clip in clips:
        inputs = as_floats(clip[np.newaxis])
        expected, found = exact(inputs), rounded(inputs)
        for port in exact.outputs:
            name = port.get_any_name()
            one, other = expected[port][0], found[rounded.output(name)][0]
            cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
            values.setdefault(name, []).append(float(cosine))
    return {
        name: {"lowest": round(min(one), 5), "mean": round(float(np.mean(one)), 5)}
        for name, one in values.items()
    }

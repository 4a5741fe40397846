# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Imports MIL-NCE's text-video model for PyTorch: S3D-G trained on HowTo100M.

Miech et al., "End-to-End Learning of Visual Representations from Uncurated Instructional Videos",
CVPR 2020 (arXiv 1912.06430); names and shapes as in https://github.com/antoine77340/S3D_HowTo100M.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf import backbones, graphs
from mmv_tf.layers import Conv3DUnit, InceptionBlock, MilNceTokenizer
from mmv_tf.pretrained.checks import checked_values, some
from mmv_tf.pretrained.pickle_reader import forget_pages
from mmv_tf.pretrained.torch_reader import read_state_dict
from mmv_tf.pretrained.word_lists import check_words, read_words
from mmv_tf.util.files import file_sha256
from mmv_tf.util.keras_files import bounded_by
from mmv_tf.util.storage.workspace import companion

State = Mapping[str, np.ndarray]

SOURCE = "https://github.com/antoine77340/S3D_HowTo100M"
LICENCE = "none stated for the weights (code: Apache-2.0)"
# Released beside the weights.
DICTIONARY = "s3d_dict.npy"
MAX_WORDS = 16

# Number of batches that a norm has seen; PyTorch uses it only for norms without momentum.
_UNUSED = ".num_batches_tracked"
# [out, in, time, height, width] -> [time, height, width, in, out]; [out, in] -> [in, out].
_CONVOLUTION, _LINEAR = (2, 3, 4, 1, 0), (1, 0)
_UNITS = {"Conv2d_1a_7x7": "conv1", "Conv2d_2b_1x1": "conv_2b", "Conv2d_2c_3x3": "conv_2c"}
_STAGES = {"3": "bc", "4": "bcdef", "5": "bc"}
# Kernel and channels of the stem -> our name for the stem.
_STEMS: dict[tuple[int, ...], str] = {(24, 2, 4, 4): "space_to_depth", (3, 3, 7, 7): "rgb_4x8x8"}


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A checkpoint's array, and the variable that it fills.

    Attributes:
      name: the array's name.
      variable: our variable.
      axes: the array's axes in the variable's order.
      zeros: number of zeros to append to the array along each axis of the variable.
    """

    name: str
    variable: Any
    axes: tuple[int, ...] = (0,)
    zeros: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        zeros = self.zeros or (0,) * len(self.axes)
        ours = [size - more for size, more in zip(self.variable.shape, zeros, strict=True)]
        return tuple(ours[self.axes.index(axis)] for axis in range(len(ours)))

    def fill(self, array: np.ndarray) -> None:
        """Check the array and assign it."""
        values = checked_values(self.name, array, self.shape).transpose(self.axes)
        if self.zeros:
            values = np.pad(values, [(0, more) for more in self.zeros])
        self.variable.assign(values)


def import_mil_nce_checkpoint(
    path: str | os.PathLike[str],
    *,
    dictionary: str | os.PathLike[str] | Sequence[str] | None = None,
) -> graphs.Disjoint:
    """Build the model from a MIL-NCE S3D-G checkpoint for PyTorch, with its weights.

    The file is read without torch and without being unpickled (`torch_reader`), in either of
    torch's formats: the released `s3d_howto100m.pth`, or the output of the training code
    ({"state_dict": {"module....": ...}, "optimizer": ..., ...}). The stem, the width and the sizes
    of word vectors and spaces come from the arrays. Video and text are each mapped into one space,
    "vt", by a linear map; vectors are not normalized, and MIL-NCE was trained with their plain dot
    product.

    Args:
      path: the checkpoint.
      dictionary: the words in the order of their rows in the table (row 0 is padding): a list, or
        the path to a file; see `read_words`. None uses `s3d_dict.npy` beside the checkpoint;
        without that file, the model has no tokenizer and accepts only word ids.

    Returns:
      A float32 model with the tokenizer `MilNceTokenizer`. Its `metadata` holds the input range and
      rates, the weights' source and license, the file's sha256 and the unused arrays.

    Raises:
      ValueError: a file is damaged or of the wrong kind, or the words don't match the table; the
        message says what was found and what to do. Nothing is executed.
      OSError: a file can't be read.

    Example:
    >>> model = import_mil_nce_checkpoint("s3d_howto100m.pth")  # doctest: +SKIP
    >>> ids = model.tokenizer(["cut the tomato"])  # doctest: +SKIP
    >>> model({"text": ids})["text"]["vt"].shape  # doctest: +SKIP
    TensorShape([1, 512])
    """
    state = read_state_dict(path)
    name = os.fspath(path)
    try:
        arguments = _find_architecture(state)
        video = backbones.S3D(**arguments["video"], dtype="float32", name="video")
        _check_channels(state, video, arguments)
    except ValueError as error:
        raise ValueError(_not_released(name, error)) from error
    # Before building the model, which takes seconds.
    tokenizer = _make_tokenizer(path, dictionary, arguments["text"]["vocabulary_size"] - 1)
    try:
        with bounded_by(path):
            model = graphs.Disjoint(
                video=video,
                text=backbones.Sentence(**arguments["text"], dtype="float32", name="text"),
                tokenizer=tokenizer,
                dim=arguments["dim"],
                hidden_dim=None,
                dtype="float32",
            )
        entries = list(_model_entries(model))
        unused = _check_names(state, {entry.name for entry in entries})
        for entry in entries:
            entry.fill(state[entry.name])
            forget_pages(state[entry.name])
    except ValueError as error:
        raise ValueError(_not_released(name, error)) from error
    model.metadata.update(
        {
            "input_range": [0.0, 1.0],
            # Its training clips: 32 frames at 10 frames per second, 200 x 200.
            "num_frames": 32,
            "frame_rate": 10.0,
            "size": 200,
            "square_crop": True,
            "max_words": MAX_WORDS,
            "source": SOURCE,
            "licence": LICENCE,
            "file": os.path.basename(name),
            "sha256": file_sha256(path),
            "unused_arrays": unused,
        }
    )
    return model


def _not_released(name: str, error: ValueError) -> str:
    return f"{name} is not a checkpoint of MIL-NCE's S3D-G: {error}"


def _make_tokenizer(
    path: str | os.PathLike[str],
    dictionary: str | os.PathLike[str] | Sequence[str] | None,
    words: int,
) -> MilNceTokenizer | None:
    if dictionary is None:
        dictionary = companion(os.path.join(os.path.dirname(os.fspath(path)), DICTIONARY))
        if dictionary is None:
            return None
    if isinstance(dictionary, str | os.PathLike):
        what = os.fspath(dictionary)
        found = read_words(dictionary)
    else:
        what, found = "dictionary", list(dictionary)
    check_words(found, words, what)
    return MilNceTokenizer(found, max_words=MAX_WORDS)


def _find_architecture(state: State) -> dict[str, Any]:
    """Return the backbones' arguments and the space's size, inferred from the arrays' shapes."""
    stem = _shape(state, "conv1.conv1.weight", 5)
    if stem[1:] not in _STEMS:
        raise ValueError(
            f"conv1.conv1.weight has shape {stem}; expected (filters, ...) and one of "
            f"{sorted(_STEMS)}."
        )
    blocks = tuple(
        sum(f"mixed_{stage}{letter}.conv_b0.conv1.weight" in state for letter in letters)
        for stage, letters in _STAGES.items()
    )
    if 0 in blocks:
        raise ValueError(
            f"it has {blocks} blocks mixed_3, mixed_4 and mixed_5; expected one or more of each."
        )
    rows, embedding_dim = _shape(state, "text_module.word_embd.weight", 2)
    if rows < 2:
        raise ValueError(f"its table of words has {rows} rows; expected 2 or more (row 0 pads).")
    return {
        "video": {
            "stem": _STEMS[stem[1:]],
            "width": stem[0] / 64,
            "blocks": blocks,
            "pool_padding": "zeros_after",
        },
        "text": {
            "vocabulary_size": rows,
            "embedding_dim": embedding_dim,
            "dim": _shape(state, "text_module.fc1.weight", 2)[0],
        },
        "dim": _shape(state, "fc.weight", 2)[0],
    }


def _check_channels(state: State, video: backbones.S3D, arguments: Mapping[str, Any]) -> None:
    """Check that the larger arrays match each other, before building a model of their sizes."""
    channels = _shape(state, "conv1.conv1.weight", 5)[1]
    kernels: dict[str, tuple[int, int]] = {}
    for name, layer in zip(video.layer_names, video.sequence, strict=True):
        if isinstance(layer, Conv3DUnit):
            kernels[f"{_UNITS[name]}.conv1"] = (layer.filters, channels)
            channels = layer.filters
        elif isinstance(layer, InceptionBlock):
            for path, unit in _branches(layer).items():
                inner = {"conv_b1_b": layer.filters[1], "conv_b2_b": layer.filters[3]}
                kernels[f"{name.lower()}.{path}.conv1"] = (unit.filters, inner.get(path, channels))
            channels = layer.output_channels
    linear = {
        "fc": (arguments["dim"], channels),
        "text_module.fc1": (arguments["text"]["dim"], arguments["text"]["embedding_dim"]),
        "text_module.fc2": (arguments["dim"], arguments["text"]["dim"]),
    }
    for name, expected in {**kernels, **linear}.items():
        shape = _shape(state, f"{name}.weight", 2 if name in linear else 5)
        if shape[:2] != expected:
            raise ValueError(
                f"{name}.weight has shape {shape}; expected {expected[0]} x {expected[1]} channels."
            )


def _shape(state: State, name: str, rank: int) -> tuple[int, ...]:
    if name not in state:
        raise ValueError(
            f"{name} is missing; the checkpoint holds {some(state)}. Pass s3d_"
            "howto100m.pth, or the output of MIL-NCE's training code."
        )
    shape = state[name].shape
    if len(shape) != rank:
        raise ValueError(f"{name} has shape {shape}; expected {rank} axes.")
    return shape


def _check_names(state: State, expected: set[str]) -> list[str]:
    """Compare the names on both sides, and return the arrays that are deliberately unused."""
    norms = {name.removesuffix(".running_mean") for name in expected if "running_mean" in name}
    unused = sorted(f"{norm}{_UNUSED}" for norm in norms if f"{norm}{_UNUSED}" in state)
    problems = []
    if missing := sorted(expected - state.keys()):
        problems.append(f"missing {some(missing)}")
    if extra := sorted(state.keys() - expected - set(unused)):
        problems.append(f"unknown {some(extra)}")
    if problems:
        raise ValueError(
            f"its arrays don't match the network: {'; '.join(problems)}. Only the released "
            "architecture (of any width) can be imported."
        )
    return unused


# Maps the network to the names of its arrays in a checkpoint.


# `Any`: the type allows graphs without the backbones that this model has.
def _model_entries(model: Any) -> Iterator[_Entry]:
    for name, layer in zip(model.video.layer_names, model.video.sequence, strict=True):
        if isinstance(layer, Conv3DUnit):
            yield from _unit_entries(layer, _UNITS[name], "gating")
        elif isinstance(layer, InceptionBlock):
            block = name.lower()
            for path, unit in _branches(layer).items():
                gate = f"{block}.gating_{path.split('_')[1]}"
                yield from _unit_entries(unit, f"{block}.{path}", gate)
    yield from _linear_entries(model.video_to_text.projection, "fc")
    yield _Entry("text_module.word_embd.weight", model.text.embedding.embeddings, (0, 1))
    yield from _linear_entries(model.text.projection, "text_module.fc1")
    yield from _linear_entries(model.text_to_video.projection, "text_module.fc2")


def _branches(block: InceptionBlock) -> dict[str, Conv3DUnit]:
    return {
        "conv_b0": block.branch_0,
        "conv_b1_a": block.branch_1_reduce,
        "conv_b1_b": block.branch_1,
        "conv_b2_a": block.branch_2_reduce,
        "conv_b2_b": block.branch_2,
        "conv_b3_b": block.branch_3,
    }


def _unit_entries(unit: Conv3DUnit, path: str, gate: str) -> Iterator[_Entry]:
    for index, (convolution, norm) in enumerate(zip(unit.convolutions, unit.norms, strict=True), 1):
        # The RGB stem: a zero tap at the end makes SAME padding equal the reference's padding.
        zeros = (1, 1, 1, 0, 0) if convolution.kernel_size == (4, 8, 8) else ()
        yield _Entry(f"{path}.conv{index}.weight", convolution.kernel, _CONVOLUTION, zeros)
        yield _Entry(f"{path}.bn{index}.weight", norm.gamma)
        yield _Entry(f"{path}.bn{index}.bias", norm.beta)
        yield _Entry(f"{path}.bn{index}.running_mean", norm.moving_mean)
        yield _Entry(f"{path}.bn{index}.running_var", norm.moving_variance)
    if unit.gate is not None:
        yield from _linear_entries(unit.gate.gate, f"{gate}.fc")


def _linear_entries(layer: Any, path: str) -> Iterator[_Entry]:
    yield _Entry(f"{path}.weight", layer.kernel, _LINEAR)
    yield _Entry(f"{path}.bias", layer.bias)

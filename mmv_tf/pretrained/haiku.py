# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Imports the released JAX/Haiku checkpoints."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf import backbones, graphs
from mmv_tf.layers import BatchNorm, Conv3DUnit, InceptionBlock, ProjectionHead
from mmv_tf.pretrained.checks import checked_values, some
from mmv_tf.pretrained.haiku_architecture import HEADS, Tree, find_architecture
from mmv_tf.pretrained.module_words import words_of_module
from mmv_tf.pretrained.pickle_reader import forget_pages, read_arrays
from mmv_tf.pretrained.presets import create_model
from mmv_tf.pretrained.table_words import (
    read_vocabulary,
    words_from_ids,
    words_from_list,
    words_from_vectors,
)
from mmv_tf.pretrained.word_vectors import open_word_vectors
from mmv_tf.util.files import file_sha256
from mmv_tf.util.keras_files import bounded_by

logger = logging.getLogger(__name__)

SOURCE = "https://github.com/google-deepmind/deepmind-research/tree/master/mmv"
LICENCE = "CC BY-NC 4.0"
# Heads that the released FAC networks created but never used (deepmind-research, mmv/).
UNUSED_HEADS = ("audio2txt_embd", "txt2audio_embd")
# Parts of an exponential moving average; evaluation reads only "average".
_UNUSED_STATE = ("hidden", "counter")
_NORM = "__cross_replica_batch_norm"


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A checkpoint's array, and the variable that it fills."""

    section: str
    module: str
    name: str
    shape: tuple[int, ...]
    variable: Any

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.section, self.module, self.name)


def import_haiku_checkpoint(
    path: str | os.PathLike[str],
    *,
    vocabulary: str | os.PathLike[str] | Sequence[str] | None = None,
    word_vectors: str | os.PathLike[str] | None = None,
    first_word_id: int = 0,
) -> graphs.FineAndCoarse:
    """Build the model from a released MMV pickle, with its weights.

    The file is read without being unpickled (`pickle_reader`). The architecture is inferred from
    the arrays: S3D-G or TSM-ResNet, its stem, depth and width, the audio backbone's depth and
    width, and the sizes of word vectors and spaces. Every array is used, except those that
    evaluation never reads: the heads `UNUSED_HEADS` and each moving average's "hidden" and
    "counter".

    The arrays do not show whether a ReLU precedes the coarse map (`fac_relu`). The released models
    have one, so it is built.

    The words of the word table were never released. Without `vocabulary` or `word_vectors`, the
    model has no tokenizer: it accepts word ids but not sentences.

    Args:
      path: the pickle.
      vocabulary: the words in the order of the table's rows, or a file with one word per line, or
        the folder of the model's TF-Hub module, which holds the words with their rows. `<pad>` and
        `<unk>` (or `[PAD]`, `[UNK]`) name the rows of padding and of unknown words.
      word_vectors: the word-vector file that the table was made from, Google News word2vec for
        the released models; it defines each row's word (see `mmv_tf.pretrained.word_rows`).
      first_word_id: row of the vocabulary's first word; 0 for a module's own rows.

    Returns:
      A float32 `FineAndCoarse` model. Its `metadata` holds the input range and rates, the weights'
      source and license, the file's sha256, the unused arrays and the number of rows with words.

    Raises:
      ValueError: the file isn't a plain pickle of arrays; an array is missing, unexpected, not
        finite or of another shape or dtype (the message names it); or the words don't match the
        table, see `words_from_list` and `words_from_vectors` in `mmv_tf.pretrained`.
      OSError: the file can't be read.

    Example:
    >>> model = import_haiku_checkpoint("mmv_s3d.pkl")  # doctest: +SKIP
    >>> model.save("mmv_s3d.keras")  # doctest: +SKIP

    With its words, to accept sentences:
    >>> model = import_haiku_checkpoint(  # doctest: +SKIP
    ...     "mmv_s3d.pkl", word_vectors="GoogleNews-vectors-negative300.bin.gz"
    ... )
    """
    if vocabulary is not None and word_vectors is not None:
        raise ValueError(
            "Got both a vocabulary and word vectors; pass only one, since each names the rows."
        )
    if vocabulary is None and first_word_id != 0:
        raise ValueError(
            f"first_word_id is {first_word_id}, but there is no vocabulary; pass `vocabulary` too."
        )
    words: Sequence[str] | Mapping[str, int] | None
    if isinstance(vocabulary, str | os.PathLike):
        words = (
            words_of_module(vocabulary)
            if os.path.isdir(vocabulary)
            else read_vocabulary(vocabulary)
        )
    else:
        words = vocabulary
    if word_vectors is not None:
        with open_word_vectors(word_vectors):
            pass  # Fail on an unreadable file before the import.
    tree = read_arrays(path)
    try:
        root = _check_form(tree)
        with bounded_by(path):
            model = create_model(find_architecture(tree["params"], root))
        entries = list(_model_entries(model, root))
        unused = _check_arrays(tree, entries, root)
        for entry in entries:
            array = tree[entry.section][entry.module][entry.name]
            name = f"{entry.section} {entry.module}/{entry.name}"
            values = checked_values(name, array, entry.shape)
            entry.variable.assign(values.reshape(entry.variable.shape))
            forget_pages(array)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} is not a released MMV checkpoint: {error}") from error
    model.metadata.update(
        {
            "source": SOURCE,
            "licence": LICENCE,
            "file": os.path.basename(os.fspath(path)),
            "sha256": file_sha256(path),
            "unused_arrays": unused,
        }
    )
    _give_words(model, words, word_vectors, first_word_id)
    return model


def _give_words(
    model: Any,
    vocabulary: Sequence[str] | Mapping[str, int] | None,
    word_vectors: str | os.PathLike[str] | None,
    first_word_id: int,
) -> None:
    """Set the model's tokenizer if its words are known."""
    max_words = model.metadata["max_words"]
    table = model.text.embedding.embeddings.numpy()
    if isinstance(vocabulary, Mapping):
        shift = first_word_id - min(vocabulary.values()) if first_word_id else 0
        ids = {word: row + shift for word, row in vocabulary.items()}
        model.tokenizer, found = words_from_ids(table, ids, max_words)
    elif vocabulary is not None:
        model.tokenizer, found = words_from_list(table, vocabulary, first_word_id, max_words)
    elif word_vectors is not None:
        model.tokenizer, found = words_from_vectors(table, word_vectors, max_words)
        found["word_vectors"] = os.path.basename(os.fspath(word_vectors))
    else:
        logger.warning(
            "The model has no text input: the checkpoint holds %d word vectors but not their "
            "words. Pass word_vectors, the file that they were taken from, or a vocabulary, the "
            "words in the order of the rows.", len(table),
        )  # fmt: skip
        return
    model.metadata["words"] = found
    logger.info("%d of %d rows have words", found["matched"], len(table))


def _check_form(tree: Any) -> str:
    """Check the tree's form and return the root module's name."""
    if set(tree) != {"params", "state"}:
        raise ValueError(f"its keys are {some(tree)}; expected 'params' and 'state'.")
    for section in ("params", "state"):
        modules = tree[section]
        for module, arrays in modules.items() if isinstance(modules, dict) else [(section, None)]:
            if not isinstance(arrays, dict) or not all(
                isinstance(array, np.ndarray) for array in arrays.values()
            ):
                raise ValueError(f"{section} of {module!r} is not a dict of arrays.")
    roots = sorted({module.split("/")[0] for part in tree.values() for module in part})
    if len(roots) != 1:
        raise ValueError(f"its arrays are under {some(roots)}; expected one root module.")
    return roots[0]


# Maps the network to the names and shapes of its arrays in a checkpoint.


# `Any`: the type allows graphs without the backbones that every released model has.
def _model_entries(model: Any, root: str) -> Iterator[_Entry]:
    if isinstance(model.video, backbones.S3D):
        yield from _s3d_entries(model.video, f"{root}/visual_module/~/S3D")
    else:
        network = f"{root}/visual_module/~/TSMResNetV2"
        yield from _resnet_entries(
            model.video,
            network,
            stem=f"{network}/tsm_resnet_stem",
            group=lambda index: f"{network}/tsm_resnet_unit_{index}",
            convolution=lambda block, name: f"{block}/{name}",
        )
    network = f"{root}/audio_module/~/res_net_v2"
    yield from _resnet_entries(
        model.audio,
        network,
        stem=f"{network}/~/initial_conv",
        group=lambda index: f"{network}/~/block_group_{index}",
        convolution=lambda block, name: f"{block}/~/{name}",
    )
    words = f"{root}/text_module/~"
    table = model.text.embedding.embeddings
    yield _Entry("params", f"{words}/embed", "embeddings", tuple(table.shape), table)
    # A convolution over words with a kernel of one.
    projection = model.text.projection
    for name, variable in (("w", projection.kernel), ("b", projection.bias)):
        shape = tuple(variable.shape)
        shape = (1, *shape) if name == "w" else shape
        yield _Entry("params", f"{words}/text_conv1", name, shape, variable)
    heads = f"{root}/{HEADS}"
    for name, head in {
        "vid2audio_embd": model.video_to_fine,
        "vis_embd": model.fine_to_coarse,
        "audio_embd": model.audio_to_fine,
        "txt_embd": model.text_to_coarse,
    }.items():
        yield from _head_entries(head, f"{heads}/{name}")


def _s3d_entries(network: backbones.S3D, path: str) -> Iterator[_Entry]:
    for name, layer in zip(network.layer_names, network.sequence, strict=True):
        if isinstance(layer, Conv3DUnit):
            yield from _unit_entries(layer, f"{path}/{name}")
        elif isinstance(layer, InceptionBlock):
            for branch, unit in {
                "Branch_0_Conv2d_0a_1x1": layer.branch_0,
                "Branch_1_Conv2d_0a_1x1": layer.branch_1_reduce,
                "Branch_1_Conv2d_0b_3x3": layer.branch_1,
                "Branch_2_Conv2d_0a_1x1": layer.branch_2_reduce,
                "Branch_2_Conv2d_0b_3x3": layer.branch_2,
                "Branch_3_Conv2d_0b_1x1": layer.branch_3,
            }.items():
                yield from _unit_entries(unit, f"{path}/{name}/{branch}")


def _unit_entries(unit: Conv3DUnit, path: str) -> Iterator[_Entry]:
    for index, (convolution, norm) in enumerate(zip(unit.convolutions, unit.norms, strict=True)):
        yield from _linear_entries(convolution, f"{path}/~/conv3_d{_suffix(index)}")
        yield from _norm_entries(norm, path, index, rank=5)
    if unit.gate is not None:
        yield from _linear_entries(unit.gate.gate, f"{path}/self_gating")


def _resnet_entries(
    network: backbones.ResNet,
    path: str,
    stem: str,
    group: Callable[[int], str],
    convolution: Callable[[str, str], str],
) -> Iterator[_Entry]:
    yield from _linear_entries(network.stem_convolution, stem)
    for group_index, blocks in enumerate(network.groups):
        for block_index, block in enumerate(blocks):
            name = f"{group(group_index)}/block_{block_index}"
            if block.shortcut is not None:
                yield from _linear_entries(block.shortcut, convolution(name, "shortcut_conv"))
            for index, (layer, norm) in enumerate(
                zip(block.convolutions, block.norms, strict=True)
            ):
                yield from _linear_entries(layer, convolution(name, f"conv_{index}"))
                yield from _norm_entries(norm, name, index, rank=4)
    yield from _norm_entries(network.final_norm, path, 0, rank=4)


def _head_entries(head: ProjectionHead, path: str) -> Iterator[_Entry]:
    norms = 0
    if head.inner is not None and head.inner_batch_norm is not None:
        yield from _linear_entries(head.inner, f"{path}/final_projection_inner")
        yield from _norm_entries(head.inner_batch_norm, path, norms, rank=2)
        norms += 1
    yield from _linear_entries(head.projection, f"{path}/final_projection")
    if head.output_batch_norm is not None:
        yield from _norm_entries(head.output_batch_norm, path, norms, rank=2)


def _linear_entries(layer: Any, path: str) -> Iterator[_Entry]:
    yield _Entry("params", path, "w", tuple(layer.kernel.shape), layer.kernel)
    if layer.use_bias:
        yield _Entry("params", path, "b", tuple(layer.bias.shape), layer.bias)


def _norm_entries(norm: BatchNorm, path: str, index: int, rank: int) -> Iterator[_Entry]:
    path = f"{path}/{_NORM}{_suffix(index)}"
    shape = (1,) * (rank - 1) + tuple(norm.gamma.shape)
    yield _Entry("params", path, "scale", shape, norm.gamma)
    yield _Entry("params", path, "offset", shape, norm.beta)
    yield _Entry("state", f"{path}/~/mean_ema", "average", shape, norm.moving_mean)
    yield _Entry("state", f"{path}/~/var_ema", "average", shape, norm.moving_variance)


def _suffix(index: int) -> str:
    """Return the suffix that Haiku appends to repeated module names; "" for the first."""
    return f"_{index}" if index else ""


# Checks.


def _check_arrays(tree: Mapping[str, Tree], entries: list[_Entry], root: str) -> list[str]:
    """Compare the names on both sides, and return the arrays that are deliberately unused."""
    expected = {entry.key for entry in entries}
    averages = {entry.module for entry in entries if entry.section == "state"}
    unused_heads = tuple(f"{root}/{HEADS}/{head}/" for head in UNUSED_HEADS)
    found, unused = set(), []
    for section, modules in tree.items():
        for module, arrays in modules.items():
            for name in arrays:
                key = (section, module, name)
                if key in expected:
                    found.add(key)
                elif module.startswith(unused_heads) or (
                    section == "state" and module in averages and name in _UNUSED_STATE
                ):
                    unused.append("{} {}/{}".format(*key))
                else:
                    found.add(key)
    missing = sorted("{} {}/{}".format(*key) for key in expected - found)
    extra = sorted("{} {}/{}".format(*key) for key in found - expected)
    problems = []
    if missing:
        problems.append(f"missing {some(missing)}")
    if extra:
        problems.append(f"unknown {some(extra)}")
    if problems:
        raise ValueError(
            f"its arrays don't match a FAC network: {'; '.join(problems)}. Only the architecture "
            "of the released networks (of any width and depth) can be imported."
        )
    return sorted(unused)

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The released JAX/Haiku checkpoints, as networks of this project."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from mmv_tf import backbones, graphs
from mmv_tf.layers import BatchNorm, Conv3DUnit, InceptionBlock, LogMel, ProjectionHead
from mmv_tf.pretrained.checks import checked_values, some
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

Tree = Mapping[str, Mapping[str, np.ndarray]]

SOURCE = "https://github.com/google-deepmind/deepmind-research/tree/master/mmv"
LICENCE = "CC BY-NC 4.0"
# Heads that the released FAC networks created and never used (PAPER section 1).
UNUSED_HEADS = ("audio2txt_embd", "txt2audio_embd")
# Of an exponential moving average, evaluation reads "average" alone.
_UNUSED_STATE = ("hidden", "counter")
_NORM = "__cross_replica_batch_norm"
_HEADS = "~_get_pair_embedding_heads"
# Residual blocks in each group -> depth, for bottleneck and for basic blocks.
_BOTTLENECK_DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101}
_BASIC_DEPTHS = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34}


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One array of a checkpoint, and the variable that it fills."""

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
    """Builds the network whose weights a released MMV pickle holds.

    The file is read without being unpickled (`pickle_reader`). Which network it is comes from its
    arrays: S3D-G or TSM-ResNet, its stem, depth and width, the audio network's depth and width, and
    the sizes of words and spaces. Every array is used, but for those that evaluation never reads:
    the heads `UNUSED_HEADS` and each moving average's "hidden" and "counter".

    Whether a ReLU stands before the coarse map (`fac_relu`) leaves no trace in the arrays: the
    released networks have it, so that is what is built.

    The words of its word table were never released. Without `vocabulary` or `word_vectors` the
    network has no tokenizer and takes word ids, but no sentences.

    Args:
      path: of the pickle.
      vocabulary: the words in the order of the table's rows, or a file of them, one a line, or the
        folder of the network's TF-Hub module, which holds them with their rows. `<pad>` and `<unk>`
        (or `[PAD]`, `[UNK]`) name the rows of padding and of unknown words.
      word_vectors: the file of word vectors that the table was made of, Google News word2vec for
        the released networks; it tells each row's word (see `mmv_tf.pretrained.word_rows`).
      first_word_id: the row of the vocabulary's first word; 0 for a module's own rows.

    Returns:
      A `FineAndCoarse` network, float32. Its `metadata` tells the input's range and rates, the
      source and licence of the weights, the file's sha256, what was left unused and how many rows
      have words.

    Raises:
      ValueError: the file isn't a plain pickle of arrays, or an array is missing, left over, of
        another shape or kind, or not finite; the message names it. Or the words are not the
        table's: see `words_from_list` and `words_from_vectors` in `mmv_tf.pretrained`.
      OSError: the file can't be read.

    Example:
    >>> model = import_haiku_checkpoint("mmv_s3d.pkl")  # doctest: +SKIP
    >>> model.save("mmv_s3d.keras")  # doctest: +SKIP

    With its words, so that it takes sentences:
    >>> model = import_haiku_checkpoint(  # doctest: +SKIP
    ...     "mmv_s3d.pkl", word_vectors="GoogleNews-vectors-negative300.bin.gz"
    ... )
    """
    if vocabulary is not None and word_vectors is not None:
        raise ValueError("Got a vocabulary and word vectors; give one of them, both name the rows.")
    if vocabulary is None and first_word_id != 0:
        raise ValueError(
            f"first_word_id is {first_word_id} and there is no vocabulary; give its words too."
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
            pass  # What is wrong from its first line on is told before anything is imported.
    tree = read_arrays(path)
    try:
        root = _check_form(tree)
        with bounded_by(path):
            model = create_model(_find_architecture(tree["params"], root))
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
    """Gives the network a tokenizer of the words that it can have."""
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
            "The network takes no sentences: the checkpoint holds %d word vectors and not their "
            "words. Give word_vectors, the file that they were taken from, or a vocabulary, the "
            "words in the order of the rows.", len(table),
        )  # fmt: skip
        return
    model.metadata["words"] = found
    logger.info("%d of %d rows have words", found["matched"], len(table))


def _check_form(tree: Any) -> str:
    """The name of the root module."""
    if set(tree) != {"params", "state"}:
        raise ValueError(f"its entries are {some(tree)}; expected 'params' and 'state'.")
    for section in ("params", "state"):
        modules = tree[section]
        for module, arrays in modules.items() if isinstance(modules, dict) else [(section, None)]:
            if not isinstance(arrays, dict) or not all(
                isinstance(array, np.ndarray) for array in arrays.values()
            ):
                raise ValueError(f"{section} of {module!r} is not a dict of arrays.")
    roots = sorted({module.split("/")[0] for part in tree.values() for module in part})
    if len(roots) != 1:
        raise ValueError(f"its arrays stand under {some(roots)}; expected one root module.")
    return roots[0]


# From the arrays to the architecture.


def _find_architecture(params: Tree, root: str) -> ml_collections.ConfigDict:
    heads = f"{root}/{_HEADS}"
    words = _shape(params, f"{root}/text_module/~/embed", "embeddings", 2)
    log_mel = LogMel()
    return ml_collections.ConfigDict(
        {
            "graph": {
                "name": "fac",
                "fine_dim": _shape(params, f"{heads}/vid2audio_embd/final_projection", "w", 2)[-1],
                "coarse_dim": _shape(params, f"{heads}/vis_embd/final_projection", "w", 2)[-1],
                "hidden_dim": _shape(
                    params, f"{heads}/vid2audio_embd/final_projection_inner", "w", 2
                )[-1],
                "variant": "fac_relu",
            },
            "video": _video_architecture(params, root),
            "audio": _audio_architecture(params, root),
            "text": {
                "vocabulary_size": words[0],
                "embedding_dim": words[1],
                "dim": _shape(params, f"{root}/text_module/~/text_conv1", "w", 3)[-1],
            },
            "log_mel": {},
            "metadata": {
                "input_range": [0.0, 1.0],
                # PAPER section 3: crops of 200 x 200.
                "size": 200,
                "square_crop": True,
                # PAPER section 3.
                "frame_rate": 10.0,
                "num_frames": 32,
                "sample_rate": log_mel.sample_rate,
                # Our reading of PAPER section 1: the compression that MMV used is not known.
                "log_mel": {
                    name: getattr(log_mel, name)
                    for name in (
                        "window",
                        "step",
                        "mel_bins",
                        "lower_hz",
                        "upper_hz",
                        "compression",
                    )
                },
                "max_words": 16,
            },
        }
    )


def _video_architecture(params: Tree, root: str) -> dict[str, Any]:
    visual = f"{root}/visual_module/~"
    found = sorted({name[len(visual) + 1 :].split("/")[0] for name in params if visual in name})
    if found == ["S3D"]:
        stem = _shape(params, f"{visual}/S3D/Conv2d_1a_7x7/~/conv3_d", "w", 5)
        names = {name[len(visual) + 1 :].split("/")[1] for name in params if visual in name}
        blocks = tuple(sum(name.startswith(f"Mixed_{stage}") for name in names) for stage in "345")
        kinds: dict[tuple[int, ...], str] = {(7, 7, 7, 3): "rgb", (2, 4, 4, 24): "space_to_depth"}
        if stem[:-1] not in kinds:
            raise ValueError(f"the stem's kernel has shape {stem}; expected one of {list(kinds)}.")
        return {
            "backbone": "s3d",
            "stem": kinds[stem[:-1]],
            "width": stem[-1] / 64,
            "blocks": blocks,
        }
    if found == ["TSMResNetV2"]:
        stem = _shape(params, f"{visual}/TSMResNetV2/tsm_resnet_stem", "w", 4)
        depth = _depth(params, f"{visual}/TSMResNetV2/tsm_resnet_unit_", "conv_2")
        return {"backbone": "tsm_resnet", "depth": depth, "width": stem[-1] / 64}
    raise ValueError(f"its visual module holds {some(found)}; expected 'S3D' or 'TSMResNetV2'.")


def _audio_architecture(params: Tree, root: str) -> dict[str, Any]:
    network = f"{root}/audio_module/~/res_net_v2/~"
    stem = _shape(params, f"{network}/initial_conv", "w", 4)
    depth = _depth(params, f"{network}/block_group_", "~/conv_2")
    return {"depth": depth, "width": stem[-1] / 64}


def _depth(params: Tree, prefix: str, last_convolution: str) -> int:
    counts = tuple(
        len({name.split("/block_")[-1].split("/")[0] for name in params if name.startswith(group)})
        for group in (f"{prefix}{index}/" for index in range(4))
    )
    bottleneck = f"{prefix}0/block_0/{last_convolution}" in params
    depths = _BOTTLENECK_DEPTHS if bottleneck else _BASIC_DEPTHS
    if counts not in depths:
        raise ValueError(
            f"{prefix}0 to 3 have {counts} blocks (missing or left over ones count); expected one "
            f"of {sorted(depths)}."
        )
    return depths[counts]


def _shape(params: Tree, module: str, name: str, rank: int) -> tuple[int, ...]:
    if name not in params.get(module, {}):
        raise ValueError(f"params {module}/{name} is missing.")
    shape = params[module][name].shape
    if len(shape) != rank:
        raise ValueError(f"params {module}/{name} has shape {shape}; expected {rank} axes.")
    return shape


# From the network to the names and shapes of its arrays in a checkpoint.


# `Any`: as far as types say, a graph may lack the towers that the released ones all have.
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
    heads = f"{root}/{_HEADS}"
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
    """Haiku numbers the second module of a name and those after it."""
    return f"_{index}" if index else ""


# Checks.


def _check_arrays(tree: Mapping[str, Tree], entries: list[_Entry], root: str) -> list[str]:
    """Compares the names on both sides; the arrays that are knowingly unused."""
    expected = {entry.key for entry in entries}
    averages = {entry.module for entry in entries if entry.section == "state"}
    unused_heads = tuple(f"{root}/{_HEADS}/{head}/" for head in UNUSED_HEADS)
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
        problems.append(f"not known {some(extra)}")
    if problems:
        raise ValueError(
            f"its arrays are not those of a FAC network: {'; '.join(problems)}. Only the released "
            "networks' architecture (any width and depth of it) can be imported."
        )
    return sorted(unused)

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the modules of TF-Hub: their formats, signatures and tables, with tiny networks."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.layers import WordTokenizer

WORDS = ("<pad>", "<unk>", "red", "grey", "square", "circle", "moves", "don't", "Paris")
DIMS = {"before_head": 8, "last_conv": 6, "va": 5, "vat": 4}
MIL_NCE = {"before_head": "mixed_5c", "vt": "video_embedding"}
MAX_WORDS = 4
# Of the table of tests/pretrained/testdata's checkpoint.
MANY_WORDS = [
    "<pad>", "<unk>", "red", "grey", "square", "circle", "moves", "stands", "sings", "falls",
    "left", "right", "under", "rabbit", "flower", "water", "don't", "dont", "Paris", "paris",
    "wellknown", "well-known", "the", "with", "of", "e-mail", "3d", "U.S.", "york", "yellow",
    "blue", "green", "dancing", "speaks", "guitar", "person", "piano", "kitchen", "window", "don",
]  # fmt: skip
V1 = tf.compat.v1


def weights(dims: dict[str, int] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a stand-in, the same in each call."""
    generator = np.random.default_rng(0)
    dims = {**DIMS, **(dims or {})}
    shapes = {
        **{f"video_{name}": (3, dims[name]) for name in ("before_head", "va", "vat")},
        **{f"audio_{name}": (4, dims[name]) for name in ("last_conv", "va", "vat")},
        "words": (len(WORDS), 7),
        "text_vat": (7, dims["vat"]),
    }
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def video(clips: Any, arrays: Any) -> dict[str, Any]:
    """Features of clips [B, T, H, W, 3]: maps of their mean colors."""
    colors = tf.reduce_mean(clips, axis=[1, 2, 3])
    return {
        name: tf.matmul(colors, arrays[f"video_{name}"]) for name in ("before_head", "va", "vat")
    }


def audio(waveforms: Any, arrays: Any) -> dict[str, Any]:
    """Features of waveforms [B, samples]; "last_conv" is a map [B, 10, 2, 6]."""
    count = tf.shape(waveforms)[1] // 80 * 80
    pieces = tf.reshape(tf.abs(waveforms[:, :count]), [tf.shape(waveforms)[0], 10, 2, -1, 4])
    pieces = tf.reduce_mean(pieces, axis=3)
    mean = tf.reduce_mean(pieces, axis=[1, 2])
    return {
        "last_conv": tf.tensordot(pieces, arrays["audio_last_conv"], 1),
        "va": tf.matmul(mean, arrays["audio_va"]),
        "vat": tf.matmul(mean, arrays["audio_vat"]),
    }


def text(sentences: Any, arrays: Any, look_up: Callable[[Any], Any]) -> dict[str, Any]:
    """Features of sentences [B]: lower case, spaces part words, unknown words go, 4 words stay."""
    words = tf.strings.split(tf.strings.lower(sentences), sep="")
    ids = words.with_flat_values(tf.ensure_shape(look_up(words.flat_values), [None]))
    ids = tf.ragged.boolean_mask(ids, ids.with_flat_values(ids.flat_values > 1))
    dense = ids.to_tensor(0, shape=[None, MAX_WORDS])
    return {
        "vat": tf.matmul(tf.reduce_max(tf.gather(arrays["words"], dense), 1), arrays["text_vat"])
    }


def make_table(kind: str, words: Sequence[str | bytes], folder: pathlib.Path) -> Any:
    """A table word -> id of -1, its initializer being of the given kind."""
    ids = np.arange(len(words), dtype=np.int64)
    if kind == "mutable":
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
        table.insert(tf.constant(words), ids)
        return table
    if kind == "strings":
        initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(words), ids)
    elif kind == "computed":
        joined = tf.concat([tf.constant(words[:2]), tf.constant(words[2:])], 0)
        initializer = tf.lookup.KeyValueTensorInitializer(
            joined, tf.cast(tf.range(tf.size(joined)), tf.int64)
        )
    else:
        path = folder / "words.txt"
        lines = [word if isinstance(word, bytes) else word.encode() for word in words]
        if kind == "pairs":
            lines = [b"%d\t%s" % (index, line) for index, line in enumerate(lines)]
        path.write_bytes(b"\n".join(lines) + b"\n")
        whole = tf.lookup.TextFileIndex
        initializer = tf.lookup.TextFileInitializer(
            str(path),
            tf.string,
            1 if kind == "pairs" else whole.WHOLE_LINE,
            tf.int64,
            0 if kind == "pairs" else whole.LINE_NUMBER,
            delimiter="\t",
        )
    return tf.lookup.StaticHashTable(initializer, -1)


class Module(tf.Module):
    """A TF2 module with the MMV signatures."""

    def __init__(self, table: Any, arrays: dict[str, np.ndarray] | None = None):
        super().__init__()
        self.arrays = {name: tf.Variable(value) for name, value in (arrays or weights()).items()}
        self.table = table

    def save(self, folder: pathlib.Path, renamed: dict[str, str] | None = None) -> None:
        """Writes the SavedModel; `renamed`: of outputs."""
        arrays, renamed = self.arrays, renamed or {}

        def output(found: dict[str, Any]) -> dict[str, Any]:
            return {renamed.get(name, name): value for name, value in found.items()}

        spec = tf.TensorSpec
        signatures = {
            "video": tf.function(
                lambda frames: output(video(frames, arrays)),
                input_signature=[spec([None, None, None, None, 3], name="frames")],
            ),
            "audio": tf.function(
                lambda waves: output(audio(waves, arrays)),
                input_signature=[spec([None, None], name="waves")],
            ),
            "text": tf.function(
                lambda words: output(text(words, arrays, self.table.lookup)),
                input_signature=[spec([None], tf.string, name="words")],
            ),
        }
        tf.saved_model.save(self, str(folder), signatures=signatures)


def write_tf2(
    folder: pathlib.Path, kind: str = "file", words: Sequence[Any] = WORDS
) -> pathlib.Path:
    """A TF2 SavedModel with the MMV signatures, and a table of the given kind."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    Module(make_table(kind, words, folder.parent)).save(folder)
    return folder


def write_tf1(
    folder: pathlib.Path,
    kind: str = "file",
    words: Sequence[Any] = WORDS,
    *,
    tags: Sequence[Sequence[str]] = ((), ("train",)),
    batch: int | None = None,
    frames: int | None = None,
    dims: dict[str, int] | None = None,
    renamed: dict[str, str] | None = None,
    shapes_known: bool = True,
) -> pathlib.Path:
    """A module in the TF1 format of TF-Hub; a graph for training gives ten times the numbers.

    Args:
      folder: to write.
      kind: of the table, see `make_table`.
      words: of the table.
      tags: of each graph.
      batch: the only size that "video" takes.
      frames: the only number of them.
      dims: of features, in the place of `DIMS`.
      renamed: signature -> feature -> the output's name; other signatures and outputs are left out.
      shapes_known: whether the outputs' shapes are in the graph.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    builder = V1.saved_model.Builder(str(folder))
    for index, names in enumerate(tags):
        with V1.Graph().as_default(), V1.Session() as session:
            scale = 10.0 if "train" in names else 1.0
            signatures = _tf1_signatures(kind, words, folder, scale, batch, frames, dims)
            definitions = _definitions(signatures, renamed, shapes_known)
            session.run(V1.global_variables_initializer())
            options = {
                "signature_def_map": definitions,
                "assets_collection": V1.get_collection(V1.GraphKeys.ASSET_FILEPATHS),
                "main_op": V1.tables_initializer(),
            }
            if index == 0:
                builder.add_meta_graph_and_variables(session, list(names), **options)
            else:
                builder.add_meta_graph(list(names), **options)
    builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")  # As hub.Module's exporter marks it.
    return folder


def _tf1_signatures(
    kind: str,
    words: Sequence[Any],
    folder: pathlib.Path,
    scale: float,
    batch: int | None,
    frames: int | None,
    dims: dict[str, int] | None,
) -> dict[str, tuple[Any, dict[str, Any]]]:
    arrays = {
        name: V1.get_variable(name, initializer=tf.constant(value), use_resource=False) * scale
        for name, value in weights(dims).items()
    }
    table = make_table(kind, words, folder.parent)
    inputs = {
        "video": V1.placeholder(tf.float32, [batch, frames, None, None, 3]),
        "audio": V1.placeholder(tf.float32, [None, None]),
        "text": V1.placeholder(tf.string, [None]),
    }
    return {
        "video": (inputs["video"], video(inputs["video"], arrays)),
        "audio": (inputs["audio"], audio(inputs["audio"], arrays)),
        "text": (inputs["text"], text(inputs["text"], arrays, table.lookup)),
    }


def _definitions(signatures: Any, renamed: Any, shapes_known: bool) -> dict[str, Any]:
    found = {}
    for name, (tensor, outputs) in signatures.items():
        if renamed is not None and name not in renamed:
            continue
        if not shapes_known:
            outputs = {
                key: V1.placeholder_with_default(value, None) for key, value in outputs.items()
            }
        names = {key: key for key in outputs} if renamed is None else renamed[name]
        found[name] = V1.saved_model.predict_signature_def(
            {"default": tensor}, {names[key]: outputs[key] for key in names}
        )
    return found


class TextModule(tf.Module):
    """A module with a text signature, and the table of its words as the graph has it."""

    def __init__(self, model: Any, tokenizer: Any, words: Sequence[str]):
        super().__init__()
        self.tower = [model.text, *(head for _, head, _ in model.chain("text"))]
        self.table = make_table("strings", words, pathlib.Path())
        self.tokenizer = tokenizer
        space, names = model.spaces("text")[-1], {"vt": "text_embedding"}

        def text(words: Any) -> dict[str, Any]:
            value = model({"text": tokenizer(words)}, training=False)["text"][space]
            # The table takes part, as tables that nothing uses are not saved.
            rows = tf.cast(self.table.lookup(words), tf.float32)
            return {names.get(space, space): value + 0.0 * rows[:, tf.newaxis]}

        self.signature = tf.function(
            text, input_signature=[tf.TensorSpec([None], tf.string, "words")], autograph=False
        )

    def save(self, folder: pathlib.Path) -> pathlib.Path:
        """Writes the SavedModel."""
        tf.saved_model.save(self, str(folder), signatures={"text": self.signature})
        return folder


def tokenizer_of(words: Sequence[str], shift: int = 0, **rules: Any) -> WordTokenizer:
    """A tokenizer whose ids are the places of the words, but for those in brackets."""
    ids = {word: index + shift for index, word in enumerate(words) if word[0] != "<"}
    return WordTokenizer(
        list(ids), **{"max_words": 16, "stop_words": (), "unknown_id": None, **rules},
        word_ids=list(ids.values()),
    )  # fmt: skip

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
r"""Convert a released checkpoint of MMV (JAX/Haiku) or MIL-NCE's S3D (PyTorch) to a `.keras` file.

The format is detected from the content, and no code in the file is executed. --checkpoint accepts a
path, or a name from docs/checkpoints.md that is downloaded once and then read from the cache
($MMV_TF_CACHE, ~/.cache/mmv_tf). Examples:

  mmv import_checkpoint --checkpoint=mmv_s3d --output=mmv_s3d.keras
  mmv import_checkpoint --checkpoint=mmv_s3d.pkl --output=mmv_s3d.keras
  mmv import_checkpoint --checkpoint=s3d_howto100m.pth --vocabulary=s3d_dict.npy \
    --output=mil_nce.keras

MMV's checkpoints contain word vectors but no words. To embed sentences, supply the words as a list,
or as the file from which the vectors were taken:

  mmv import_checkpoint --checkpoint=mmv_s3d.pkl --output=mmv_s3d.keras \
    --word_vectors=GoogleNews-vectors-negative300.bin.gz

Given the TF-Hub module of the same model, the program compares the two, and cleans sentences in the
same way:

  mmv import_checkpoint --checkpoint=mmv_s3d.pkl --output=mmv_s3d.keras \
    --check_against=modules/mmv_s3d
"""

from __future__ import annotations

import json
import os
import sys

from absl import flags

from mmv_tf import EmbeddingGraph, inference, pretrained
from mmv_tf.util import command_line, files
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import storage_flags

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "A pickle or torch file, or the name of published weights.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "The .keras file to write or replace.", required=True)
_WORD_VECTORS = flags.DEFINE_string(
    "word_vectors",
    None,
    "File that the word vectors were taken from, in word2vec or GloVe format, optionally gzipped.",
)
_VOCABULARY = flags.DEFINE_string(
    "vocabulary",
    None,
    "Words in the order of the word table: a text file with one word per line; for MMV, "
    "alternatively the folder of its TF-Hub module; for MIL-NCE, alternatively a .npy array "
    "(default: s3d_dict.npy beside the checkpoint).",
)
_FIRST_WORD_ID = flags.DEFINE_integer(
    "first_word_id", 0, "Row of the vocabulary's first word.", lower_bound=0
)
_CHECK_AGAINST = flags.DEFINE_string(
    "check_against",
    None,
    "Folder of the model's TF-Hub module, to compare outputs with it, to infer how to clean "
    "sentences, and to read the words from it if neither --vocabulary nor --word_vectors is given.",
)


storage_flags(
    inputs=["checkpoint", "word_vectors", "vocabulary", "check_against"], outputs=["output"]
)


@flags.validator("output", message="--output must end in .keras")
def _is_keras_file(path: str | None) -> bool:
    return path is None or path.endswith(".keras")


def _find(checkpoint: str) -> str:
    """Return the path to a file or to published weights; reject modules before downloading them."""
    entry = pretrained.registry().get(checkpoint)
    if entry and entry.format == "tf1_hub_module" and not os.path.exists(checkpoint):
        raise ValueError(
            f"{checkpoint} is a TF-Hub module, which can't become a .keras file; give a pickle or "
            "a torch file, or the name of a published one (docs/checkpoints.md)."
        )
    return str(pretrained.local_path(checkpoint))


def _import(path: str) -> EmbeddingGraph:
    if pretrained.is_torch_file(path):
        if _WORD_VECTORS.value is not None:
            raise ValueError(
                f"{path} was written by torch.save, but --word_vectors is for MMV's pickles; give "
                "the words with --vocabulary."
            )
        return pretrained.import_mil_nce_checkpoint(path, dictionary=_VOCABULARY.value)
    return pretrained.import_haiku_checkpoint(
        path,
        vocabulary=_vocabulary(),
        word_vectors=_WORD_VECTORS.value,
        first_word_id=_FIRST_WORD_ID.value,
    )


def _vocabulary() -> str | None:
    """Return the file or folder with the words, if there is one."""
    module = _CHECK_AGAINST.value
    if _VOCABULARY.value is not None or _WORD_VECTORS.value is not None or module is None:
        return _VOCABULARY.value
    try:
        pretrained.words_of_module(module)
    except ValueError:
        return None  # The comparison gives the reason, and skips sentences.
    return module


def _check(model: EmbeddingGraph) -> inference.ModuleCheck | None:
    """Compare with the module, and record the result in the model's metadata."""
    if _CHECK_AGAINST.value is None:
        return None
    check = inference.check_against_module(model, _CHECK_AGAINST.value)
    model.metadata["module_check"] = check.summary()
    return check


def main(argv: list[str]) -> int:
    """Import the checkpoint, save the model, and print a summary as JSON."""
    del argv
    if _WORD_VECTORS.value is not None and _VOCABULARY.value is not None:
        raise command_line.UsageError("Give only one of --word_vectors and --vocabulary; got both.")
    if _FIRST_WORD_ID.value and _VOCABULARY.value is None:
        raise command_line.UsageError("--first_word_id needs --vocabulary; give that too.")
    model = _import(_find(_CHECKPOINT.value))
    check = _check(model)
    with files.replacing(_OUTPUT.value) as temporary:
        model.save(temporary)
    metadata = dict(model.metadata)
    metadata["unused_arrays"] = len(metadata["unused_arrays"])
    summary = {
        "output": name_of(_OUTPUT.value),
        "video": type(model.video).__name__,
        "parameters": model.count_params(),
        "sentences": model.tokenizer is not None,
        **metadata,
    }
    print(json.dumps(summary, indent=2, default=dict))
    if check is not None and not check.agrees:
        apart = ", ".join(
            f"{name} by {one.greatest:.2g} (values around {one.rms:.2g})"
            for name, one in check.differences.items()
            if not one.agrees
        )
        print(
            f"error: {name_of(_OUTPUT.value)} was written, but differs from "
            f"{name_of(_CHECK_AGAINST.value or '')}: {apart}. If text differs, words or rules for "
            "sentences may be missing; if anything else does, the module belongs to another model.",
            file=sys.stderr,
        )
        return command_line.FAILED
    return 0


if __name__ == "__main__":
    command_line.run(main)

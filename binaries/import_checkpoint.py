# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
r"""Turns a released checkpoint into a `.keras` file: MMV's (JAX/Haiku) or MIL-NCE's S3D (PyTorch).

Which it is, is found from the file, which is read without being executed. In place of a path,
--checkpoint takes a name of docs/checkpoints.md: it is downloaded once, and read from the cache
($MMV_TF_CACHE, ~/.cache/mmv_tf) from then on. Examples:

  python -m binaries.import_checkpoint --checkpoint=mmv_s3d --output=mmv_s3d.keras
  python -m binaries.import_checkpoint --checkpoint=mmv_s3d.pkl --output=mmv_s3d.keras
  python -m binaries.import_checkpoint --checkpoint=s3d_howto100m.pth --vocabulary=s3d_dict.npy \
    --output=mil_nce.keras

MMV's checkpoints hold word vectors and not their words, so the network takes no sentences
until it is given these: by the file that the vectors were taken from, or by a list.

  python -m binaries.import_checkpoint --checkpoint=mmv_s3d.pkl --output=mmv_s3d.keras \
    --word_vectors=GoogleNews-vectors-negative300.bin.gz

With the network's TF-Hub module at hand, both are compared, and sentences are cleaned as there:

  python -m binaries.import_checkpoint --checkpoint=mmv_s3d.pkl --output=mmv_s3d.keras \
    --check_against=modules/mmv_s3d
"""

from __future__ import annotations

import json
import os

from absl import flags

from mmv_tf import EmbeddingGraph, inference, pretrained
from mmv_tf.util import command_line, files

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "The pickle or torch file to read, or the name of published weights.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "The .keras file to write; one that exists is replaced.", required=True
)
_WORD_VECTORS = flags.DEFINE_string(
    "word_vectors", None, "The file that the word vectors were taken from (word2vec, GloVe; .gz)."
)
_VOCABULARY = flags.DEFINE_string(
    "vocabulary",
    None,
    "The words in the order of the word table's rows: a text with one a line; for MMV also the "
    "folder of the network's TF-Hub module, for MIL-NCE a .npy array (by default s3d_dict.npy "
    "beside the checkpoint). Without words the network takes word ids, not sentences.",
)
_FIRST_WORD_ID = flags.DEFINE_integer(
    "first_word_id", 0, "The row of the vocabulary's first word.", lower_bound=0
)
_CHECK_AGAINST = flags.DEFINE_string(
    "check_against",
    None,
    "The folder of the network's TF-Hub module: both embed the same clip, sounds and sentences, "
    "the rules that clean sentences are chosen so that they agree, and the greatest difference of "
    "each output is printed. Without --vocabulary and --word_vectors the words come from it too.",
)


@flags.validator("output", message="--output must end in .keras")
def _is_keras_file(path: str | None) -> bool:
    return path is None or path.endswith(".keras")


def _find(checkpoint: str) -> str:
    """The path of a file or of published weights; modules are refused before their download."""
    entry = pretrained.registry().get(checkpoint)
    if entry and entry.format == "tf1_hub_module" and not os.path.exists(checkpoint):
        raise ValueError(
            f"{checkpoint} is a TF-Hub module, which does not become a .keras file; give a pickle "
            "or a torch file, or the name of one (docs/checkpoints.md)."
        )
    return str(pretrained.local_path(checkpoint))


def _import(path: str) -> EmbeddingGraph:
    if pretrained.is_torch_file(path):
        if _WORD_VECTORS.value is not None:
            raise ValueError(
                f"{path} is a file of torch.save, and --word_vectors is for MMV's pickles; give "
                "the words as --vocabulary."
            )
        return pretrained.import_mil_nce_checkpoint(path, dictionary=_VOCABULARY.value)
    return pretrained.import_haiku_checkpoint(
        path,
        vocabulary=_vocabulary(),
        word_vectors=_WORD_VECTORS.value,
        first_word_id=_FIRST_WORD_ID.value,
    )


def _vocabulary() -> str | None:
    """The file or folder of the words, if there is one."""
    module = _CHECK_AGAINST.value
    if _VOCABULARY.value is not None or _WORD_VECTORS.value is not None or module is None:
        return _VOCABULARY.value
    try:
        pretrained.words_of_module(module)
    except ValueError:
        return None  # The comparison says why, and goes on without sentences.
    return module


def _check(model: EmbeddingGraph) -> inference.ModuleCheck | None:
    """Compares with the module, and notes the result in the network's metadata."""
    if _CHECK_AGAINST.value is None:
        return None
    check = inference.check_against_module(model, _CHECK_AGAINST.value)
    model.metadata["module_check"] = check.summary()
    return check


def main(argv: list[str]) -> None:
    """Imports, saves, and prints what was imported as JSON."""
    del argv
    if _WORD_VECTORS.value is not None and _VOCABULARY.value is not None:
        raise command_line.UsageError("Give one of --word_vectors and --vocabulary, got both.")
    if _FIRST_WORD_ID.value and _VOCABULARY.value is None:
        raise command_line.UsageError("--first_word_id is of a --vocabulary; give that too.")
    model = _import(_find(_CHECKPOINT.value))
    check = _check(model)
    with files.replacing(_OUTPUT.value) as temporary:
        model.save(temporary)
    metadata = dict(model.metadata)
    metadata["unused_arrays"] = len(metadata["unused_arrays"])
    summary = {
        "output": _OUTPUT.value,
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
        raise ValueError(
            f"{_OUTPUT.value} was written and differs from {_CHECK_AGAINST.value}: {apart}. "
            "Sentences may lack their words or rules; other outputs are another network's."
        )


if __name__ == "__main__":
    command_line.run(main)

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exports a model: the SavedModel and the files beside it, ready to publish and to serve."""

from __future__ import annotations

import json
import logging
import os
import pathlib
import shutil

import tensorflow as tf

from mmv_tf.deflation import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.publishing.contract import CONTRACT_FILE, make_contract
from mmv_tf.publishing.example_program import write_example
from mmv_tf.publishing.model_card import CardDetails, write_card
from mmv_tf.publishing.options import ExportOptions
from mmv_tf.publishing.samples import WARMUP_FILE, sample_sentence, write_warmup
from mmv_tf.publishing.saved_model import Publication
from mmv_tf.util import files
from mmv_tf.util.files import file_sha256

SUMS_FILE = "SHA256SUMS"


def write_checksums(directory: str | os.PathLike[str]) -> None:
    """Write the SHA-256 sums of all files of a folder, at any depth, to `SHA256SUMS`."""
    root = pathlib.Path(directory)
    lines = [f"{file_sha256(root / name)}  {name}" for name in _files(root)]
    (root / SUMS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def verify_checksums(directory: str | os.PathLike[str]) -> None:
    """Check a folder against its `SHA256SUMS`.

    Raises:
      ValueError: there are no sums, or a file is missing, changed or not listed.
    """
    root = pathlib.Path(directory)
    path = root / SUMS_FILE
    if not path.is_file():
        raise ValueError(f"{root} has no {SUMS_FILE}; was it written by binaries.export?")
    listed = {}
    for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n"):
        digest, _, name = line.partition("  ")
        listed[name] = digest
    there = set(_files(root))
    wrong = [f"{name} is missing" for name in sorted(set(listed) - there)]
    wrong += [f"{name} is not listed" for name in sorted(there - set(listed))]
    wrong += [
        f"{name} was changed"
        for name in sorted(there & set(listed))
        if listed[name] != file_sha256(root / name)
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ValueError(f"{root} is not as it was published: {wrong[0]}{more}; export it again.")


def _files(root: pathlib.Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path != root / SUMS_FILE
    )


logger = logging.getLogger(__name__)


CARD_FILE = "model_card.md"

EXAMPLE_FILE = "example.py"

MODELS_CONFIG_FILE = "models.config"


def export(
    model: EmbeddingGraph,
    directory: str | os.PathLike[str],
    image_model: ImageEncoder | None = None,
    overwrite: bool = False,
    options: ExportOptions | None = None,
    details: CardDetails | None = None,
    version: int | None = None,
    model_name: str = "mmv",
) -> list[str]:
    """Write a folder with a SavedModel that loads with TensorFlow alone.

    Besides the SavedModel's own files it holds `model_card.md`, `example.py`, `SHA256SUMS` and,
    under `assets.extra`, the input contract and TensorFlow Serving's warm-up requests.

    Args:
      model: the model.
      directory: folder to write, atomically.
      image_model: its deflated model, for the "image" signature.
      overwrite: replace an existing SavedModel.
      options: see `ExportOptions`.
      details: for the model card.
      version: write to the folder of this number within `directory`, as TensorFlow Serving expects,
        with a `models.config` beside it; other versions there stay.
      model_name: name to serve the model under.

    Returns:
      The names of the signatures.

    Raises:
      ValueError: the folder exists and is not a SavedModel to replace, or the model lacks what a
        signature needs.
    """
    if version is not None and version < 1:
        raise ValueError(f"version is {version}; TensorFlow Serving's versions start at 1.")
    models_config = _models_config(model_name)
    root = pathlib.Path(directory)
    target = root if version is None else root / str(version)
    if target.exists() and not (overwrite and (target / "saved_model.pb").exists()):
        raise ValueError(f"{target} exists; choose another folder or remove it.")
    options = options or ExportOptions()
    publication = Publication(model, image_model, options)
    publication.trace_call()
    signatures = {
        name: function.get_concrete_function()
        for name, function in publication.make_signatures().items()
    }
    sample_rate = None if model.log_mel is None else model.log_mel.sample_rate
    sentence = None
    if "text" in signatures and model.tokenizer is not None:
        sentence = sample_sentence(model.tokenizer)
    contract = make_contract(
        signatures, model.metadata, sample_rate, publication.jpeg_size, sentence
    )
    card = write_card(model, contract, options, details or CardDetails())
    with files.replacing(target) as temporary:
        tf.saved_model.save(publication, str(temporary), signatures=signatures)
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
        (temporary / EXAMPLE_FILE).write_text(write_example(contract), encoding="utf-8")
        (temporary / CONTRACT_FILE).parent.mkdir(exist_ok=True)
        text = json.dumps(contract, indent=1) + "\n"
        (temporary / CONTRACT_FILE).write_text(text, encoding="utf-8")
        try:
            write_warmup(temporary / WARMUP_FILE, model_name, contract)
        except ValueError as error:
            logger.warning("The folder has no warm-up requests. %s", error)
        write_checksums(temporary)
        if target.exists():
            shutil.rmtree(target)
    if version is not None:
        files.write_text(models_config, root / MODELS_CONFIG_FILE)
    return list(signatures)


def _models_config(model_name: str) -> str:
    """TensorFlow Serving's --model_config_file, for a folder mounted at /models/NAME."""
    if not model_name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(
            f"model_name is {model_name!r}; use letters, digits, '-' and '_': it is part of an "
            "address."
        )
    return f"""model_config_list {{
  config {{
    name: "{model_name}"
    base_path: "/models/{model_name}"
    model_platform: "tensorflow"
  }}
}}
"""

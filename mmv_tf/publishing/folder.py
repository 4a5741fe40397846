# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Published model folders: the SavedModel, the files beside it, and their checksums."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mmv_tf.publishing.contract import CONTRACT_FILE
from mmv_tf.publishing.samples import WARMUP_FILE, write_warmup
from mmv_tf.util import files
from mmv_tf.util.files import file_sha256

CARD_FILE = "model_card.md"
EXAMPLE_FILE = "example.py"
MODELS_CONFIG_FILE = "models.config"
SUMS_FILE = "SHA256SUMS"


def write_checksums(directory: str | os.PathLike[str]) -> None:
    """Write the SHA-256 sums of all files in a folder and its subfolders to `SHA256SUMS`."""
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
        raise ValueError(f"{root} has no {SUMS_FILE}; was it written by mmv export?")
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
        raise ValueError(f"{root} is not as published: {wrong[0]}{more}; export it again.")


def _files(root: pathlib.Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path != root / SUMS_FILE
    )


logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Destination:
    """A folder to write a SavedModel to, optionally for serving.

    Attributes:
      directory: the folder.
      overwrite: whether to replace an existing SavedModel.
      version: write to the subfolder with this number, as TensorFlow Serving expects, and write a
        `models.config` beside it; other versions there are kept.
      model_name: name to serve the model under.

    Raises:
      ValueError: the version or name can't be served, or the folder exists and is not a SavedModel
        to replace.
    """

    directory: str | os.PathLike[str]
    overwrite: bool = False
    version: int | None = None
    model_name: str = "mmv"

    def __post_init__(self) -> None:
        if self.version is not None and self.version < 1:
            raise ValueError(
                f"version is {self.version}; TensorFlow Serving's versions start at 1."
            )
        if not self.model_name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(
                f"model_name is {self.model_name!r}; use letters, digits, '-' and '_': it is part "
                "of a URL."
            )
        target = self.target
        is_ours = (target / "saved_model.pb").exists()
        if target.exists() and not (self.overwrite and is_ours):
            remedy = "replace it with --overwrite" if is_ours else "remove it"
            raise ValueError(f"{target} exists; choose another folder, or {remedy}.")

    @property
    def target(self) -> pathlib.Path:
        """The SavedModel's folder."""
        root = pathlib.Path(self.directory)
        return root if self.version is None else root / str(self.version)

    def write(
        self,
        module: Any,
        signatures: Mapping[str, Any],
        contract: Mapping[str, Any],
        card: str,
        example: str,
    ) -> None:
        """Write all files in the folder atomically.

        Args:
          module: object to save.
          signatures: name -> concrete function.
          contract: see `make_contract`.
          card: the model card, in Markdown.
          example: the example program's text.
        """
        with files.replacing(self.target) as temporary:
            tf.saved_model.save(module, str(temporary), signatures=dict(signatures))
            (temporary / CARD_FILE).write_text(card, encoding="utf-8")
            (temporary / EXAMPLE_FILE).write_text(example, encoding="utf-8")
            (temporary / CONTRACT_FILE).parent.mkdir(exist_ok=True)
            text = json.dumps(contract, indent=1) + "\n"
            (temporary / CONTRACT_FILE).write_text(text, encoding="utf-8")
            try:
                write_warmup(temporary / WARMUP_FILE, self.model_name, contract)
            except ValueError as error:
                logger.warning("The folder has no warm-up requests. %s", error)
            write_checksums(temporary)
            if self.target.exists():
                shutil.rmtree(self.target)
        if self.version is not None:
            path = pathlib.Path(self.directory) / MODELS_CONFIG_FILE
            files.write_text(_models_config(self.model_name), path)


def _models_config(model_name: str) -> str:
    """Return TensorFlow Serving's --model_config_file for a folder mounted at /models/NAME."""
    return f"""model_config_list {{
  config {{
    name: "{model_name}"
    base_path: "/models/{model_name}"
    model_platform: "tensorflow"
  }}
}}
"""

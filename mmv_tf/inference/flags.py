# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flags that choose a program's model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections.config_dict import ConfigDict, placeholder

from mmv_tf.graphs.precision import DTYPES
from mmv_tf.inference.network import ENGINES, SETTINGS
from mmv_tf.util.command_line import UsageError, define_overrides
from mmv_tf.util.configuration import override
from mmv_tf.util.storage.workspace import storage_flags

# Flags are attributed to the program that calls this, so that its --help shows them.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True)
class NetworkFlags:
    """Values of the parsed model flags.

    Attributes:
      model: a path, or a published model's name.
      options: arguments for `mmv_tf.load_encoder`.
    """

    model: str
    options: dict[str, Any]

    def load_encoder(self) -> Any:
        """Open the model; see `mmv_tf.load_encoder`."""
        from mmv_tf.inference.loading import load_encoder

        return load_encoder(self.model, **self.options)

    def open_model(self) -> Any:
        """Open the model as a Keras model; see `mmv_tf.inference.open_model`.

        Raises:
          ValueError: as for `open_model`, or the model is deflated.
        """
        self.refuse("image_model")
        model, _ = self.open_models()
        return model

    def refuse(self, *names: str) -> None:
        """Raise an error if any of these flags is given.

        Raises:
          UsageError: one of them is given.
        """
        for name in names:
            if name in self.options:
                raise UsageError(f"--{name} can't be used here.")

    def open_models(self) -> tuple[Any, Any]:
        """Open the model and its deflated model (None without --image_model) as Keras models.

        Raises:
          ValueError: as for `open_model`.
        """
        from mmv_tf.deflation import ImageEncoder, load_image_model
        from mmv_tf.graphs.precision import in_precision
        from mmv_tf.inference.loading import open_model

        self.refuse("settings", "engine", "quantized")
        options = dict(self.options)
        image_path = options.pop("image_model", None)
        model = open_model(self.model, **options)
        if isinstance(model, ImageEncoder):
            raise ValueError(
                f"{self.model} is a deflated, image-only network; pass the network that it was "
                "deflated from."
            )
        image_model = None if image_path is None else load_image_model(image_path)
        if image_model is not None and "dtype" in options:
            image_model = in_precision(image_model, options["dtype"])
        return model, image_model


def define_network_flags(
    required: bool = True,
    image_model: bool = False,
    settings: bool = True,
    engine: bool = True,
    values: flags.FlagValues = flags.FLAGS,
) -> flags.FlagHolder[str | None]:
    """Define --model, --dtype, --vocabulary and, if requested, more flags that choose a model.

    Args:
      required: whether the program needs --model.
      image_model, settings: whether to define these flags.
      engine: whether to define --engine and --quantized.
      values: the `FlagValues` to define them in.

    Returns:
      The flag --model.
    """
    model = flags.DEFINE_string(
        "model",
        None,
        "The model: a .keras file, a training run, an exported SavedModel, a TF-Hub module's "
        "folder, a released checkpoint, or a published model's name (docs/checkpoints.md).",
        required=required,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "dtype",
        None,
        DTYPES,
        "Numeric precision for computation; default: the model's saved precision.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "vocabulary",
        None,
        "For a released checkpoint: its vocabulary, as a file with one word per line, the word "
        "vectors that its table was made from (.bin, .vec or .gz), or its TF-Hub module's folder.",
        flag_values=values,
    )
    if image_model:
        flags.DEFINE_string(
            "image_model", None, "Deflated model to embed images with.", flag_values=values
        )
    storage_flags(models=["model"], inputs=["vocabulary", "image_model", "quantized"])
    if engine:
        flags.DEFINE_enum(
            "engine",
            None,
            ENGINES,
            "Engine for video and images; openvino is an optional extra and is faster only on some "
            "CPUs.",
            flag_values=values,
        )
        flags.DEFINE_string(
            "quantized",
            None,
            "With --engine=openvino, the folder that mmv quantize created for the model.",
            flag_values=values,
        )
    if settings:
        define_overrides(
            "settings",
            f"Video and audio settings that the model does not specify: {', '.join(SETTINGS)}.",
            values,
        )
    return model


def network_flags(values: flags.FlagValues = flags.FLAGS) -> NetworkFlags:
    """Return the values of the flags that `define_network_flags` defined.

    Raises:
      UsageError: a setting is unknown or has an invalid value.
    """
    options = {
        name: values[name].value
        for name in ("dtype", "vocabulary", "image_model", "engine", "quantized")
        if name in values and values[name].value is not None
    }
    for name in ("vocabulary", "image_model", "quantized"):
        if name in options:
            # Absolute, because an index stores it and is queried from other folders.
            options[name] = os.path.abspath(options[name])
    settings = _read_settings(values["settings."].value) if "settings." in values else {}
    if settings:
        options["settings"] = settings
    return NetworkFlags(values["model"].value, options)


def _read_settings(given: Sequence[str]) -> dict[str, Any]:
    kinds = {name: placeholder(kind) for name, kind in SETTINGS.items()}
    settings = override(ConfigDict(kinds), given, "settings")
    found = {name: value for name, value in settings.items() if value is not None}
    for name, value in found.items():
        if SETTINGS[name] is not bool and not value > 0:
            raise UsageError(f"--settings.{name}={value}: expected a number above 0.")
    return found

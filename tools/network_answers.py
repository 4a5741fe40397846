# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes the outputs of models on disk for fixed inputs, to compare versions.

`python tools/network_answers.py FOLDER` writes `answers.npz` to the folder, using the modules on
PYTHONPATH; `--make` first adds models with the other graphs. Only names that exist in every version
are used.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import numpy as np
import tensorflow as tf

import mmv_tf

_WORDS = ["red", "gray", "square", "circle"]


def inputs() -> dict[str, np.ndarray]:
    """Return two rows of each kind of input."""
    random = np.random.default_rng(0)
    return {
        "video": random.random((2, 4, 32, 32, 3), np.float32),
        "image": random.random((2, 32, 32, 3), np.float32),
        "audio": random.random((2, 20, 16, 1), np.float32),
        "waveform": random.uniform(-1, 1, (2, 6400)).astype(np.float32),
        "words": np.array([[2, 3, 0, 0], [4, 0, 0, 0]], np.int32),
        "sentences": np.array(["the red square", "a circle"], object),
    }


def make_networks(folder: pathlib.Path) -> None:
    """Write a Shared model without text and a Disjoint one without audio, with other backbones."""
    section = {"metadata": {"num_frames": 4, "frame_rate": 5.0, "size": 32}, "dtype": "float32"}
    log_mel = {"sample_rate": 8_000, "window": 256, "step": 128, "mel_bins": 16, "upper_hz": 3500.0}
    made = {
        "shared": mmv_tf.create_model(
            {
                "graph": {"name": "shared", "dim": 4, "hidden_dim": 8},
                "video": {"backbone": "tsm_resnet", "depth": 18, "width": 0.0625},
                "audio": {"depth": 18, "width": 0.0625},
                "log_mel": log_mel,
                **section,
            }
        ),
        "disjoint": mmv_tf.create_model(
            {
                "graph": {"name": "disjoint", "dim": 4, "hidden_dim": 8},
                "video": {"backbone": "s3d", "width": 0.01, "blocks": (1, 1, 1),
                          "stem": "space_to_depth"},
                "text": {"dim": 8, "max_words": 4, "embedding_dim": 6},
                **section,
            },
            vocabulary=_WORDS,
        ),
    }  # fmt: skip
    for name, model in made.items():
        _stir(model)
        mmv_tf.save_model(model, folder / f"{name}.keras")


def _stir(model: Any) -> None:
    """Set all weights to values that a trained model might have."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        if "variance" in weight.name or "gamma" in weight.name:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(random.normal(0, 0.2, weight.shape))


def answers(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Return the outputs of a `.keras` file, a run's folder or a SavedModel, flat, by name."""
    if (path / "saved_model.pb").exists():
        return _signature_answers(path)
    given = inputs()
    if "image" in path.name:
        from mmv_tf.deflation import load_image_model

        outputs = {"image": load_image_model(path)(given["image"])}
    else:
        model = mmv_tf.load_model(path)
        values = {"video": given["video"], "audio": given["audio"], "text": given["words"]}
        outputs = model({name: tf.constant(values[name]) for name in model.modalities})
        if model.tokenizer is not None:
            outputs["tokens"] = {"ids": model.tokenizer(tf.constant(given["sentences"]))}
    return _flat(outputs)


def _signature_answers(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Return the outputs of a SavedModel, without using `mmv_tf`."""
    loaded = tf.saved_model.load(str(path))
    given = inputs()
    values = {
        "video": given["video"],
        "image": given["image"],
        "audio": given["waveform"],
        "text": given["sentences"],
    }
    outputs = {}
    for name, function in loaded.signatures.items():
        if name in values:
            (argument,) = function.structured_input_signature[1]
            outputs[name] = function(**{argument: tf.constant(values[name])})
    return _flat(outputs)


def _flat(outputs: Any) -> dict[str, np.ndarray]:
    return {
        f"{modality}/{space}": np.asarray(value)
        for modality, spaces in outputs.items()
        for space, value in (spaces.items() if isinstance(spaces, dict) else [("", spaces)])
    }


def all_answers(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Return the outputs of every model in a folder, as "NAME/MODALITY/SPACE"."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix == ".keras"]
    paths += [folder / name for name in ("run", "saved_model") if (folder / name).is_dir()]
    return {f"{path.stem}/{name}": value for path in paths for name, value in answers(path).items()}


if __name__ == "__main__":
    _folder = pathlib.Path(sys.argv[1])
    if "--make" in sys.argv:
        make_networks(_folder)
    np.savez_compressed(_folder / "answers.npz", **all_answers(_folder))  # type: ignore[arg-type]

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Options for an exported model."""

from __future__ import annotations

import dataclasses

MODALITIES = ("video", "audio", "text", "image")
WEIGHT_TYPES = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Export options; the defaults match the TF-Hub MMV models.

    Args:
      modalities: modalities that get a signature, from among "video", "audio", "text" and "image";
        the others' weights are left out. None for all of the model's modalities.
      fold_batch_norms: for serving: fold each batch norm into the convolution or linear map before
        it, or into one multiplication and addition. Such an export can't be fine-tuned.
      weights: "float32", or "bfloat16" or "float16" to halve the file size: kernels and tables are
        stored in that type. Layers that compute in it use them directly, which is fastest; other
        layers compute with them in float32. Such an export can't be fine-tuned.
      video_jpeg: add the signature "video_jpeg", whose input is JPEG frames as bytes.
      jpeg_size: height and width to which JPEG frames are cropped and resized; None uses the
        training size (the model metadata's "size").
      normalized: normalize embeddings (va, vat, ...; not before_head and last_conv) to unit length,
        so that a dot product is a cosine similarity.
      checked: the signatures reject unsuitable input (not finite, out of range, too small, text
        that is empty or has no known word) with an InvalidArgumentError that gives the reason.
        Without checks, NaN may come out as finite numbers. `mmv export` checks by default.

    Raises:
      ValueError: a modality or type is unknown.
    """

    modalities: tuple[str, ...] | None = None
    fold_batch_norms: bool = False
    weights: str = "float32"
    video_jpeg: bool = False
    jpeg_size: int | None = None
    normalized: bool = False
    checked: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.modalities or () if name not in MODALITIES]
        if unknown or self.modalities == ():
            raise ValueError(f"modalities is {self.modalities}; choose from {MODALITIES}.")
        if self.weights not in WEIGHT_TYPES:
            raise ValueError(f"weights is {self.weights!r}; use one of {WEIGHT_TYPES}.")
        if self.jpeg_size is not None and self.jpeg_size < 32:
            raise ValueError(f"jpeg_size is {self.jpeg_size}; expected 32 pixels or more.")

    @property
    def trainable(self) -> bool:
        """True if the export can be fine-tuned."""
        return not self.fold_batch_norms and self.weights == "float32"

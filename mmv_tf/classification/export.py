# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exports a classifier as a SavedModel that needs only TensorFlow and is ready to serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from mmv_tf.classification.classifier import SCORES, Classifier
from mmv_tf.inference.network import AUDIO, VIDEO
from mmv_tf.publishing.checks import checked
from mmv_tf.publishing.contract import make_contract
from mmv_tf.publishing.folder import Destination
from mmv_tf.publishing.model_card import CardDetails, format_card
from mmv_tf.publishing.options import ExportOptions
from mmv_tf.publishing.samples import sample_input
from mmv_tf.publishing.saved_model import INPUTS, decode_clips
from mmv_tf.publishing.serving_weights import ServingWeights
from mmv_tf.util.markdown import literal
from mmv_tf.version import __version__

CLASSIFY, CLASSIFY_JPEG = "classify", "classify_jpeg"
LABELS = "labels"
_VIDEO_JPEG = "video_jpeg"
# Ours: the input contract lists all labels.
_SHOWN = 100


def export_classifier(
    classifier: Classifier,
    destination: Destination,
    options: ExportOptions | None = None,
    details: CardDetails | None = None,
) -> list[str]:
    """Write a folder with a SavedModel that scores windows.

    Its signature "classify" has the input "video" float32 [B, T, H, W, 3] in [0, 1], "audio"
    float32 [B, samples] in [-1, 1] at the model's sample rate, or "image" float32 [B, H, W, 3] in
    [0, 1]. It returns "scores" float32 [B, labels] and "labels" string [B, labels]: the names in
    the order of the scores, repeated in each row because servers need a batch axis. For JPEG
    frames, there is a signature "classify_jpeg" with the input "video_jpeg" string [B, T].

    A file's scores are the means over its windows, as in `Classifier.predict`.

    Args:
      classifier: the classifier.
      destination: the folder.
      options: see `ExportOptions`; `modalities` and `normalized` don't apply to classifiers.
      details: facts for the model card.

    Returns:
      The signature names.

    Raises:
      ValueError: an option does not apply to this classifier.
    """
    options = options or ExportOptions()
    publication = ClassifierPublication(classifier, options)
    publication.trace_call()
    signatures = publication.make_signatures()
    log_mel = classifier.network.log_mel
    contract = make_contract(
        signatures,
        classifier.network.metadata,
        None if log_mel is None else log_mel.sample_rate,
        publication.jpeg_size,
    )
    contract["classifier"] = {
        "labels": list(classifier.labels),
        "multi_label": classifier.multi_label,
        "windows": classifier.network.windows,
    }
    card = format_card(
        _INTRODUCTION,
        _architecture(classifier, options),
        classifier.network.metadata,
        contract,
        details or CardDetails("Classifier"),
        _LIMITS,
    )
    destination.write(publication, signatures, contract, card, _example(contract))
    return list(signatures)


class ClassifierPublication(tf.train.Checkpoint):
    """Object to save: callable, inference-only, with the signatures of `export_classifier`.

    Args:
      classifier: the classifier.
      options: see `export_classifier`.

    Raises:
      ValueError: an option does not apply to this classifier.
    """

    def __init__(self, classifier: Classifier, options: ExportOptions):
        super().__init__()
        if options.modalities is not None or options.normalized:
            raise ValueError(
                "A classifier has one modality and no embeddings; omit modalities and normalized."
            )
        if options.video_jpeg and classifier.modality != VIDEO:
            raise ValueError(
                "Only video classifiers accept JPEG frames; this one expects "
                f"{classifier.modality}."
            )
        network = classifier.network
        # Kept in a function to hide it from TensorFlow, which saves tracked objects with all
        # layers.
        self._network: Callable[[], Any] = lambda: network
        self._kind = classifier.modality
        self._checked = options.checked
        self.jpeg_size = 0
        if options.video_jpeg:
            self.jpeg_size = int(options.jpeg_size or network.metadata["size"])
        weights = ServingWeights(
            [network.tower, network.linear], options.fold_batch_norms, options.weights
        )
        self._scope: Callable[[], Any] = weights.scope
        self.variables = list(weights.variables)
        self.trainable_variables: list[Any] = []
        self.regularization_losses: list[Any] = []

    @tf.function(autograph=False)
    def __call__(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Return the outputs of "classify"."""
        del training
        return self.classify(self._kind, inputs)

    def trace_call(self) -> None:
        """Trace `__call__`, so that it is saved too."""
        function: Any = self.__call__
        function.get_concrete_function(INPUTS[self._kind], training=False)

    def make_signatures(self) -> dict[str, Any]:
        """Return signature name -> concrete function."""
        found = {CLASSIFY: self._make_signature(self._kind)}
        if self.jpeg_size:
            found[CLASSIFY_JPEG] = self._make_signature(_VIDEO_JPEG)
        return found

    def _make_signature(self, kind: str) -> Any:
        def signature(tensor: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.classify(kind, tensor)

        # The name in the specification is the key of the signature's input.
        function: Any = tf.function(signature, autograph=False, input_signature=[INPUTS[kind]])
        return function.get_concrete_function()

    def classify(self, kind: str, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the scores and labels for a batch of windows; called when tracing.

        Args:
          kind: "video", "audio", "image" or "video_jpeg".
          inputs: see `export_classifier`.
        """
        network: Any = self._network()
        if self._checked:
            inputs = checked(kind, inputs)
        if kind == _VIDEO_JPEG:
            square = bool(network.metadata.get("square_crop", True))
            inputs = decode_clips(inputs, self.jpeg_size, square)
        with self._scope():
            scores = network(inputs)
        names = tf.constant([list(network.labels)])
        return {SCORES: scores, LABELS: tf.repeat(names, tf.shape(scores)[0], axis=0)}


_INTRODUCTION = f"""A classifier for video or audio windows, or for images: one backbone of a
MultiModal Versatile network (Alayrac et al., NeurIPS 2020, arXiv 2006.16228) with a linear layer
that outputs a score per label. Exported by mmv_tf {__version__}; it needs only TensorFlow, see
`example.py`. The files' SHA-256 sums are in `SHA256SUMS`."""

_LIMITS = """- Scores are meaningful for files like those that the classifier was trained on; others
  may get a high score for an incorrect label. Files that belong to no label are scored too.
- Windows whose length, frame rate, sample rate or size differs from the input contract are scored
  without a warning, and less accurately.
- Scores are not evidence about a person; do not use them to identify or judge anyone."""


def _architecture(classifier: Classifier, options: ExportOptions) -> str:
    network = classifier.network
    rule = "independent of each other" if classifier.multi_label else "exactly one per window"
    shown = ", ".join(literal(label) for label in classifier.labels[:_SHOWN])
    more = len(classifier.labels) - _SHOWN
    lines = [
        f"- {classifier.modality}: {type(network.tower).__name__}, "
        f"{network.tower.count_params():,} weights; feature {network.feature}",
        f"- {len(classifier.labels)} labels, {rule}: {shown}{f' and {more} more' * (more > 0)}",
        f"- Scores are a {'sigmoid for each label' if classifier.multi_label else 'softmax'}; a "
        f"file's scores are averaged over at most {network.windows} windows",
        f"- Weights stored as {options.weights}",
        "- For inference only: it can't be fine-tuned",
    ]
    if options.fold_batch_norms:
        lines.append("- Batch norms are folded into the weights")
    if options.checked:
        lines.append("- Signatures reject invalid input with an error that gives the reason")
    return "\n".join(lines)


_EXAMPLE = '''"""Uses this classifier. Needs only TensorFlow.

  python example.py
"""

import pathlib

import tensorflow as tf

module = tf.saved_model.load(str(pathlib.Path(__file__).parent))
# {meaning}. Put your own here.
windows = tf.random.stateless_uniform({shape!r}, seed=[0, 0])
found = module.signatures["classify"](windows)
for label, score in zip(found["labels"][0].numpy(), found["scores"][0].numpy()):
    print(f"{{score:.3f}} {{label.decode()}}")
'''


def _example(contract: dict[str, Any]) -> str:
    source = contract["signatures"][CLASSIFY]["input"]
    meaning = source["meaning"]
    if source["name"] == AUDIO:
        meaning += f" at {source['sample_rate']} Hz"
    shape = list(sample_input(CLASSIFY, contract).shape)
    return _EXAMPLE.format(meaning=meaning, shape=shape)

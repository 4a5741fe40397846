# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exports a classifier as a SavedModel that loads with TensorFlow alone, ready to serve."""

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
# Ours: all labels are in the input contract.
_SHOWN = 100


def export_classifier(
    classifier: Classifier,
    destination: Destination,
    options: ExportOptions | None = None,
    details: CardDetails | None = None,
) -> list[str]:
    """Write a folder with a SavedModel that scores windows.

    Its signature "classify" takes "video" float32 [B, T, H, W, 3] in [0, 1], "audio" float32
    [B, samples] in [-1, 1] at the model's sample rate, or "image" float32 [B, H, W, 3] in [0, 1],
    and returns "scores" float32 [B, labels] and "labels" string [B, labels], the names in the order
    of the scores, repeated for each row: servers need the batch as first axis. For JPEG frames
    there is "classify_jpeg", from "video_jpeg" string [B, T].

    A file's scores, as of `Classifier.predict`, are the means over its windows.

    Args:
      classifier: the classifier.
      destination: the folder.
      options: see `ExportOptions`, of which modalities and normalized are not for classifiers.
      details: for the model card.

    Returns:
      The names of the signatures.

    Raises:
      ValueError: an option is not for this classifier.
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
    """Object to save: callable, for inference only, with the signatures of `export_classifier`.

    Args:
      classifier: the classifier.
      options: see `export_classifier`.

    Raises:
      ValueError: an option is not for this classifier.
    """

    def __init__(self, classifier: Classifier, options: ExportOptions):
        super().__init__()
        if options.modalities is not None or options.normalized:
            raise ValueError("A classifier has one modality and no embeddings; leave these out.")
        if options.video_jpeg and classifier.modality != VIDEO:
            raise ValueError(
                f"JPEG frames are for classifiers of video; this one takes {classifier.modality}."
            )
        network = classifier.network
        # In a function, hidden from TensorFlow, which saves tracked objects with all layers.
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
        """Trace `__call__`, so that it is saved."""
        function: Any = self.__call__
        function.get_concrete_function(INPUTS[self._kind], training=False)

    def make_signatures(self) -> dict[str, Any]:
        """Return name -> concrete function."""
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
        """Return scores and labels of a batch of windows; to be traced.

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


_INTRODUCTION = f"""A classifier of windows of video or audio, or of images: one tower of a
MultiModal Versatile network (Alayrac et al., NeurIPS 2020, arXiv 2006.16228) and a linear layer to
the scores of labels. Exported by mmv_tf {__version__}; it loads with TensorFlow alone, see
`example.py`. The files' SHA-256 sums are in `SHA256SUMS`."""

_LIMITS = """- Scores are for files like those that the classifier was made from; for others
  they may be wrong with a high score. What belongs to no label still gets scores.
- Windows of other lengths, frame rates, sample rates or sizes than the input contract's are scored
  without a warning, and worse.
- Scores are no evidence about a person, and not for identifying or judging one."""


def _architecture(classifier: Classifier, options: ExportOptions) -> str:
    network = classifier.network
    rule = "independent of each other" if classifier.multi_label else "of which one is right"
    shown = ", ".join(literal(label) for label in classifier.labels[:_SHOWN])
    more = len(classifier.labels) - _SHOWN
    lines = [
        f"- {classifier.modality}: {type(network.tower).__name__}, "
        f"{network.tower.count_params():,} weights; feature {network.feature}",
        f"- {len(classifier.labels)} labels, {rule}: {shown}{f' and {more} more' * (more > 0)}",
        f"- Scores are a {'sigmoid for each label' if classifier.multi_label else 'softmax'}; "
        f"those of a file are the means over at most {network.windows} windows",
        f"- Weights stored as {options.weights}",
        "- For inference only: it can't be fine-tuned",
    ]
    if options.fold_batch_norms:
        lines.append("- Batch norms are folded into the weights")
    if options.checked:
        lines.append("- Signatures refuse wrong input with an error that says why")
    return "\n".join(lines)


_EXAMPLE = '''"""Uses this classifier. Needs TensorFlow, nothing else.

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

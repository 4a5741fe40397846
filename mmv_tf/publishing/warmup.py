# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Warm-up requests: what a server runs before it says that it is ready.

The first call of each signature plans its graph and takes many times as long as the next.
TensorFlow Serving, and `binaries.serve`, send themselves what stands in this file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from mmv_tf.publishing.samples import sample_input

# Where TensorFlow Serving looks, within the SavedModel's folder.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


def write_warmup(
    path: str | os.PathLike[str], model_name: str, contract: Mapping[str, Any]
) -> None:
    """Writes a TFRecord of `PredictionLog` protos, one request for each signature.

    Args:
      path: the file.
      model_name: under which the network is served.
      contract: see `make_contract`.

    Raises:
      ValueError: if tensorflow-serving-api, of the extra "serve", is not installed.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ValueError(
            'Warm-up requests need tensorflow-serving-api: pip install "mmv_tf[serve]".'
        ) from error
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for name in contract["signatures"]:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = name
            request.inputs[name].CopyFrom(tf.make_tensor_proto(sample_input(name, contract)))
            writer.write(log.SerializeToString())


def read_warmup(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The `PredictRequest` protos of such a file."""
    from tensorflow_serving.apis import prediction_log_pb2

    for record in tf.data.TFRecordDataset([os.fspath(path)]).as_numpy_iterator():
        yield prediction_log_pb2.PredictionLog.FromString(record).predict_log.request

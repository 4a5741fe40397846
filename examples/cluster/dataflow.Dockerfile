# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
# Image for the workers of dataflow.sh. Run in the project's root; BEAM is the version that starts
# the pipeline (pip show apache-beam), and the Python versions must also match:
#
#   docker build -f examples/cluster/dataflow.Dockerfile --build-arg BEAM=2.69.0 -t $IMAGE .

ARG BEAM=2.69.0

# hadolint ignore=DL3006
FROM apache/beam_python3.12_sdk:${BEAM}
COPY requirements.lock pyproject.toml setup.py README.md /src/
COPY mmv_tf /src/mmv_tf
COPY configs /src/configs
# Beam and its dependencies keep the versions of the base image.
RUN pip install --no-cache-dir "/src[beam,gcs]"
ENV MMV_TF_STORAGE_CACHE=/tmp/mmv-storage \
    TF_CPP_MIN_LOG_LEVEL=2

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
# Runs the command mmv, to prepare data, train and evaluate, on the CPU or on NVIDIA GPUs; see
# docs/training.md. Run in the project's root:
#
#   docker build -f docker/train.Dockerfile -t mmv-train .
#   docker build -f docker/train.Dockerfile --build-arg ACCELERATOR=cuda -t mmv-train:cuda .

ARG ACCELERATOR=cpu

FROM python:3.12-slim-bookworm AS cpu
COPY requirements.lock /src/
RUN python -m venv /opt/mmv && \
    /opt/mmv/bin/pip install --no-cache-dir --require-hashes -r /src/requirements.lock

# NVIDIA's libraries as wheels, in the versions that the locked TensorFlow requires.
FROM cpu AS cuda
RUN version="$(/opt/mmv/bin/python -c 'import importlib.metadata as m; print(m.version("tensorflow"))')" && \
    /opt/mmv/bin/pip install --no-cache-dir "tensorflow[and-cuda]==$version"

# hadolint ignore=DL3006
FROM ${ACCELERATOR} AS build
COPY pyproject.toml setup.py README.md /src/
COPY mmv_tf /src/mmv_tf
COPY configs /src/configs
RUN /opt/mmv/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src

FROM python:3.12-slim-bookworm
RUN groupadd --gid 10001 mmv && \
    useradd --uid 10001 --gid mmv --create-home mmv && \
    install -d -o mmv -g mmv /work /models
COPY --from=build /opt/mmv /opt/mmv
ENV PATH=/opt/mmv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    MMV_TF_CACHE=/models
USER 10001:10001
WORKDIR /work
VOLUME ["/work", "/models"]
ENTRYPOINT ["mmv"]
CMD ["--help"]

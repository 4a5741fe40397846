# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
# Serves an exported model over TensorFlow Serving's REST and gRPC interfaces, on the CPU or on NVIDIA
# GPUs; see docs/serving.md. Run in the project's root:
#
#   docker build -f docker/serve.Dockerfile -t mmv-serve .
#   docker build -f docker/serve.Dockerfile --build-arg ACCELERATOR=cuda -t mmv-serve:cuda .

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
    useradd --uid 10001 --gid mmv --create-home mmv
COPY --from=build /opt/mmv /opt/mmv
ENV PATH=/opt/mmv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2
USER 10001:10001
WORKDIR /home/mmv
EXPOSE 8500 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=5m --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/healthz', timeout=4)"]
# The API key for requests comes from the variable MMV_API_KEY, or from a file (--api_key_file).
ENTRYPOINT ["mmv", "serve", "--host=0.0.0.0", "--http_port=8501", "--grpc_port=8500"]
CMD ["--saved_model=/models/mmv"]

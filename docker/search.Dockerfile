# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
# Indexes a mounted folder of videos and serves its search page and API, on the CPU; see
# docs/search.md. Run in the project's root:
#
#   docker build -f docker/search.Dockerfile -t mmv-search .

FROM python:3.12-slim-bookworm AS build
COPY requirements.lock /src/
RUN python -m venv /opt/mmv && \
    /opt/mmv/bin/pip install --no-cache-dir --require-hashes -r /src/requirements.lock
COPY pyproject.toml setup.py README.md LICENSE /src/
COPY mmv_tf /src/mmv_tf
COPY configs /src/configs
RUN /opt/mmv/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src

FROM python:3.12-slim-bookworm
RUN groupadd --gid 10001 mmv && \
    useradd --uid 10001 --gid mmv --create-home mmv && \
    install -d -o mmv -g mmv /index /models
COPY --from=build /opt/mmv /opt/mmv
COPY docker/search.sh /usr/local/bin/mmv-search
ENV PATH=/opt/mmv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    MMV_TF_CACHE=/models \
    VIDEOS=/videos \
    INDEX=/index \
    PORT=8600
USER 10001:10001
WORKDIR /index
VOLUME ["/index", "/models"]
EXPOSE 8600
HEALTHCHECK --interval=30s --timeout=5s --start-period=5m --retries=3 \
    CMD ["mmv-search", "healthy"]
ENTRYPOINT ["mmv-search"]

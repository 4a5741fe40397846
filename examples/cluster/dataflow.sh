#!/bin/bash
# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
# Prepares a data set on Google Cloud Dataflow; the workers share only the bucket:
#
#   PROJECT=my-project BUCKET=gs://my-bucket bash examples/cluster/dataflow.sh
#
# The workers need mmv_tf: build examples/cluster/dataflow.Dockerfile and push it as $IMAGE.

set -euo pipefail

PROJECT=${PROJECT:?a project of Google Cloud}
BUCKET=${BUCKET:?a bucket, such as gs://my-bucket}
REGION=${REGION:-europe-west4}
IMAGE=${IMAGE:-$REGION-docker.pkg.dev/$PROJECT/mmv/dataflow:latest}
MMV=${MMV:-mmv}

exec "$MMV" prepare_data \
  "--list=$BUCKET/films/list.csv" \
  "--output=$BUCKET/data" \
  --num_shards=256 \
  --runner=beam \
  --beam_option=--runner=DataflowRunner \
  "--beam_option=--project=$PROJECT" \
  "--beam_option=--region=$REGION" \
  "--beam_option=--temp_location=$BUCKET/dataflow" \
  "--beam_option=--sdk_container_image=$IMAGE" \
  --beam_option=--experiments=use_runner_v2 \
  --beam_option=--sdk_location=container \
  --beam_option=--max_num_workers=100 \
  --beam_option=--number_of_worker_harness_threads=4 \
  "$@"

#!/bin/bash
# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
# Trains on several nodes, and requeues itself when its time is up or it is preempted:
#
#   sbatch examples/cluster/slurm_train.sh
# The workers find each other through SLURM's variables. A run resumes from its last checkpoint.

#SBATCH --job-name=mmv-train
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

set -uo pipefail

CONFIG=${CONFIG:-howto100m_audioset}
DATA=${DATA:-s3://bucket/data}
OUTPUT=${OUTPUT:-s3://bucket/run}
MMV=${MMV:-mmv}
export MMV_TF_STORAGE_CACHE=${MMV_TF_STORAGE_CACHE:-${TMPDIR:-/tmp}/mmv-storage}

srun "$MMV" train "--config=$CONFIG" "--data=$DATA" "--output=$OUTPUT" --strategy=multi_worker
status=$?
# 42: stopped by SIGTERM, after a checkpoint.
if [[ $status -eq 42 ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"

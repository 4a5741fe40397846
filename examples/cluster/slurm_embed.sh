#!/bin/bash
# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
# Computes video features as a SLURM array; merging starts when all tasks are done:
#
#   bash examples/cluster/slurm_embed.sh

#SBATCH --job-name=mmv-embed
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --output=%x-%A-%a.log
#SBATCH --requeue

set -euo pipefail

MODEL=${MODEL:-s3://bucket/run}
VIDEOS=${VIDEOS:-s3://bucket/films}
OUTPUT=${OUTPUT:-s3://bucket/features}
TASKS=${TASKS:-16}
MMV=${MMV:-mmv}
export MMV_TF_STORAGE_CACHE=${MMV_TF_STORAGE_CACHE:-${TMPDIR:-/tmp}/mmv-storage}

embed=("$MMV" embed "--model=$MODEL" "--videos=$VIDEOS" "--output=$OUTPUT" "--names=va,vat")

case ${1:-submit} in
  task)
    exec "${embed[@]}" "--task=$SLURM_ARRAY_TASK_ID/$TASKS"
    ;;
  finish)
    exec "${embed[@]}" --finish
    ;;
  submit)
    export MODEL VIDEOS OUTPUT TASKS MMV MMV_TF_STORAGE_CACHE
    array=$(sbatch --parsable --export=ALL "--array=1-$TASKS" "$0" task)
    sbatch --export=ALL --output=%x-%j.log "--dependency=afterok:${array%%;*}" "$0" finish
    ;;
esac

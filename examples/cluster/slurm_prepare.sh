#!/bin/bash
# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
# Prepares a data set as a SLURM array; merging starts when all tasks are done:
#
#   bash examples/cluster/slurm_prepare.sh
# The input and output are folders that all nodes can reach by the same path, or object store URLs.
# To rerun tasks that failed or ran out of time, repeat the command; what was decoded is kept.

#SBATCH --job-name=mmv-prepare
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=2G
#SBATCH --time=12:00:00
#SBATCH --output=%x-%A-%a.log
#SBATCH --requeue

set -euo pipefail

LIST=${LIST:-s3://bucket/films/list.csv}
OUTPUT=${OUTPUT:-s3://bucket/data}
TASKS=${TASKS:-100}
MMV=${MMV:-mmv}
# Media and blocks in transit are stored on the node's local disk.
export MMV_TF_STORAGE_CACHE=${MMV_TF_STORAGE_CACHE:-${TMPDIR:-/tmp}/mmv-storage}

prepare=("$MMV" prepare_data "--list=$LIST" "--output=$OUTPUT" --num_shards=256)

case ${1:-submit} in
  task)
    exec "${prepare[@]}" "--task=$SLURM_ARRAY_TASK_ID/$TASKS" "--processes=${SLURM_CPUS_PER_TASK:-1}"
    ;;
  finish)
    exec "${prepare[@]}" --finish "--processes=${SLURM_CPUS_PER_TASK:-1}"
    ;;
  submit)
    export LIST OUTPUT TASKS MMV MMV_TF_STORAGE_CACHE
    array=$(sbatch --parsable --export=ALL "--array=1-$TASKS" "$0" task)
    sbatch --export=ALL --output=%x-%j.log "--dependency=afterok:${array%%;*}" "$0" finish
    ;;
esac

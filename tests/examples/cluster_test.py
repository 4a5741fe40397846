# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The files for clusters, as far as they can be checked without one.

Stand-ins for SLURM's commands do what SLURM would do; `mmv` is a stand-in that writes down its
command line, or the program itself.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

from tests import media_samples

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "cluster"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
FLAGS = json.loads((ROOT / "mmv_tf" / "programs" / "flag_table.json").read_text())

RECORD = """#!/bin/sh
for argument; do printf '%s\\n' "$argument"; done >> "$RECORD"
echo >> "$RECORD"
exit "${MMV_STATUS:-0}"
"""
# Runs an array's tasks, one after the other, and prints its number; its options come before "$0".
SBATCH = """#!/bin/bash
tasks=("")
while [[ $1 == --* ]]; do
  [[ $1 == --array=1-* ]] && mapfile -t tasks < <(seq "${1#--array=1-}")
  [[ $1 == --dependency=* ]] && [[ $1 != --dependency=afterok:77 ]] && exit 9
  shift
done
for task in "${tasks[@]}"; do
  SLURM_JOB_ID=77 SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=1 bash "$@" >&2 || exit
done
echo 77
"""
SRUN = '#!/bin/bash\nexec "$@"\n'


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Stand-ins, first in the PATH; returns a function that reads what `mmv` was called with."""
    folder = tmp_path / "bin"
    folder.mkdir()
    record = tmp_path / "record"
    for name, text in (("mmv", RECORD), ("sbatch", SBATCH), ("srun", SRUN), ("scontrol", RECORD)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(record))

    def read():
        return [call.splitlines() for call in record.read_text().strip().split("\n\n")]

    return read


def run(script, *arguments, **environment):
    return subprocess.run(
        ["bash", FOLDER / script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def check_flags(call):
    """A command line of `mmv` has a program and flags of it."""
    program, *rest = call
    for argument in rest:
        name = re.match(r"--(\w+)", argument)[1]
        assert name in FLAGS[program]["flags"], argument


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_well_formed(script):
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("name", ["prepare", "embed"])
def test_an_array_has_all_tasks_and_then_the_merging(commands, name):
    done = run(f"slurm_{name}.sh", TASKS="3", OUTPUT="out")
    assert done.returncode == 0, done.stderr
    *tasks, last = commands()
    assert [call[-2 if name == "prepare" else -1] for call in tasks] == [
        f"--task={number}/3" for number in (1, 2, 3)
    ]
    assert "--finish" in last and not any("--task" in argument for argument in last)
    for call in (*tasks, last):
        check_flags(call)
        assert "--output=out" in call


def test_a_preempted_training_is_queued_again(commands):
    done = run("slurm_train.sh", SLURM_JOB_ID="77", MMV_STATUS="42")
    assert done.returncode == 42
    train, queued = commands()
    check_flags(train)
    assert queued == ["requeue", "77"]
    assert run("slurm_train.sh", SLURM_JOB_ID="77", MMV_STATUS="1").returncode == 1
    assert len(commands()) == 3


def test_dataflow_takes_project_and_bucket(commands):
    assert "PROJECT: a project" in run("dataflow.sh", PROJECT="").stderr
    done = run("dataflow.sh", "--overwrite", PROJECT="p", BUCKET="gs://b")
    assert done.returncode == 0, done.stderr
    (call,) = commands()
    check_flags(call)
    assert "--output=gs://b/data" in call and call[-1] == "--overwrite"
    beam = pytest.importorskip("apache_beam.options.pipeline_options")
    options = [one.removeprefix("--beam_option=") for one in call if "--beam_option" in one]
    parsed = beam.PipelineOptions(options)
    assert parsed.view_as(beam.GoogleCloudOptions).temp_location == "gs://b/dataflow"
    assert parsed.view_as(beam.StandardOptions).runner == "DataflowRunner"
    known = parsed.get_all_options(drop_default=True)
    assert len(known) == len(options), "an option is unknown to Beam"


def documents():
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text()):
            yield pytest.param(document, id=f"{path.stem}-{document['kind']}")


@pytest.mark.parametrize("document", list(documents()))
def test_objects_fit_kubernetes_schemas(document):
    kubernetes_validate.validate(document, "1.32", strict=True)


def container(name):
    job = next(
        one for one in yaml.safe_load_all((FOLDER / name).read_text()) if one["kind"] == "Job"
    )
    (found,) = job["spec"]["template"]["spec"]["containers"]
    return job["spec"], found


def call_of(pod, tmp_path, **environment):
    """What a container runs, by the stand-in."""
    words = [*pod.get("command", ["mmv"]), *pod["args"]]
    subprocess.run(words, env={**os.environ, **environment}, check=True, cwd=tmp_path)


def test_each_pod_has_one_task(commands, tmp_path):
    spec, pod = container("kubernetes_prepare.yaml")
    for index in (0, spec["completions"] - 1):
        call_of(pod, tmp_path, JOB_COMPLETION_INDEX=str(index))
    call_of(container("kubernetes_finish.yaml")[1], tmp_path)
    first, last, finish = commands()
    for call in (first, last, finish):
        check_flags(call)
    assert first[-1] == "--task=1/100" and last[-1] == "--task=100/100"
    own = {"--finish", "--processes=16"}
    assert set(finish) - own == {one for one in first if not re.match("--(task|processes)", one)}


def test_workers_find_each_other(commands, tmp_path, monkeypatch):
    spec, pod = container("kubernetes_train.yaml")
    (tmp_path / "bin" / "mmv").write_text('#!/bin/sh\nprintf %s "$TF_CONFIG" > "$RECORD"\n')
    call_of(pod, tmp_path, JOB_COMPLETION_INDEX="2")
    config = json.loads((tmp_path / "record").read_text())
    assert config["task"] == {"type": "worker", "index": 2}
    assert len(config["cluster"]["worker"]) == spec["completions"] == spec["parallelism"] == 4
    assert config["cluster"]["worker"][2] == "mmv-train-2.mmv-train:12345"


@pytest.mark.slow
def test_an_array_prepares_a_data_set(commands, tmp_path):
    for name in ("a", "b"):
        media_samples.write_film(tmp_path / f"{name}.mp4", 1.0, tone_start=0.1)
    (tmp_path / "list.csv").write_text("path,label\na.mp4,x\nb.mp4,y\n")
    program = tmp_path / "bin" / "mmv"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mmv_tf "$@"\n')
    done = run(
        "slurm_prepare.sh",
        TASKS="2",
        LIST=str(tmp_path / "list.csv"),
        OUTPUT=str(tmp_path / "data"),
        PYTHONPATH=f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert manifest["labels"] == ["x", "y"]
    assert manifest["splits"]["train"]["num_examples"] == 2

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes files of one version that later versions must read, for tests/compatibility.

  python -m tools.write_artifacts CHECKOUT tests/compatibility/v0_1.tar.xz

CHECKOUT is a working tree of the version to keep; `written.json` in the archive records its commit.
The files belong to the tiny model and data of tools/small_job.py, and include the models' outputs.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

from tools import small_job

_ANSWERS = pathlib.Path(__file__).with_name("network_answers.py")
# Path in the job's folder -> path in the archive.
_KEPT = {
    "data": "data",
    "silent": "silent",
    "features": "features",
    "index": "index",
    "saved_model": "saved_model",
    "results.json": "results.json",
    "results.items.npz": "results.items.npz",
    "embeddings.npz": "embeddings.npz",
    "image.keras": "image.keras",
    "image.json": "image.json",
    "run/model.keras": "fac.keras",
    "printed/query.txt": "query.json",
    # The run after half of its steps, to test resuming.
    "run/network.keras": "run/network.keras",
    "run/config.json": "run/config.json",
    "run/data.json": "run/data.json",
    "run/checkpoints/step-00000002": "run/checkpoints/step-00000002",
}


def write(checkout: pathlib.Path, archive: pathlib.Path) -> None:
    """Run the job with a checkout and archive its files."""
    with tempfile.TemporaryDirectory(prefix="mmv_tf_") as temporary:
        work, kept = pathlib.Path(temporary, "work"), pathlib.Path(temporary, "kept")
        small_job.run(checkout, work)
        for source, target in _KEPT.items():
            (kept / target).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (work / source).is_dir() else shutil.copyfile
            copy(work / source, kept / target)
        small_job.run_python(checkout, kept, [str(_ANSWERS), str(kept), "--make"])
        written = {"commit": _commit(checkout), "sentence": small_job.SENTENCE}
        (kept / "written.json").write_text(json.dumps(written, indent=1) + "\n")
        with tarfile.open(archive, "w:xz") as tar:
            tar.add(kept, ".", filter=_anonymous)


def _commit(checkout: pathlib.Path) -> str:
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.check_output(command, cwd=checkout, text=True).strip()


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Remove a file's owner and time."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Features in shares, by machines that share only an object store."""

import shutil

import keras
import pytest

from mmv_tf.util.storage.store import open_store
from tests import small_world
from tests.evaluation import small_benchmarks
from tests.programs.program import Program


@pytest.mark.slow
def test_tasks_in_a_store_write_the_bytes_of_one_machine(s3_store, tmp_path):
    keras.utils.set_random_seed(0)
    small_world.tiny_model().save(tmp_path / "model.keras")
    (tmp_path / "lines.txt").write_text("a red square\nthe circle falls\nthe square\nred\n")
    small_benchmarks.sound(tmp_path / "sounds" / "a.wav", 0, 0)
    store = open_store(f"{s3_store.url}/in")
    for name in ("model.keras", "lines.txt", "sounds/a.wav"):
        store.upload(tmp_path / name, name)
    program = Program("embed")
    try:
        check_sentences(program, s3_store, tmp_path)
        check_sounds(program, s3_store)
    finally:
        program.close()


def check_sentences(program, s3_store, folder):
    names = "--names=vat", "--part_items=2"
    given = f"--model={folder / 'model.keras'}", f"--sentences={folder / 'lines.txt'}"
    assert program(*given, *names, f"--output={folder / 'one'}").status == 0
    url, output = f"{s3_store.url}/in", f"{s3_store.url}/text"
    given = f"--model={url}/model.keras", f"--sentences={url}/lines.txt", f"--output={output}"
    for step in ("--task=2/2", "--task=1/2", "--finish"):
        done = program(*given, *names, step)
        assert done.status == 0, done.stderr
        shutil.rmtree(s3_store.cache)  # The next step is on another machine.
    found = open_store(output)
    expected = {path.name: path.read_bytes() for path in (folder / "one").iterdir()}
    assert {name: found.read(name) for name in found.list()} == expected


def check_sounds(program, s3_store):
    url, output = f"{s3_store.url}/in", f"{s3_store.url}/sounds"
    given = f"--model={url}/model.keras", f"--audio={url}/sounds", f"--output={output}"
    for step in ("--task=1/1", "--finish"):
        done = program(*given, "--window_seconds=0.4", step)
        assert done.status == 0, done.stderr
        shutil.rmtree(s3_store.cache)
    names = set(open_store(output).list())
    assert names == {"description.json", "part-00000.npz", "sums.json"}

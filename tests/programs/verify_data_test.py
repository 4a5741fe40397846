# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

from tests import records, running


def run(*arguments):
    return running.run_forked("verify_data", *arguments)


def test_status_table_json_and_repair(tmp_path):
    data = records.write(tmp_path / "data")
    done = run(f"--data={data.directory}")
    assert done.returncode == 0, done.stderr
    assert "clean" in done.stdout
    data.patch(0, lambda content: bytes(content[:-10]))
    report = tmp_path / "report.json"
    done = run(f"--data={data.directory}", "--repair", f"--output={report}")
    assert done.returncode == 1, done.stderr
    assert "truncated" in done.stdout and data.path(0).name in done.stdout
    content = json.loads(report.read_text())
    assert content["by_reason"]["truncated"] == 1
    assert content["repaired"]["clean"] and content["repaired"]["records"]["good"] == 7
    assert (data.directory / "repaired" / "manifest.json").is_file()


def test_wrong_usage_and_a_missing_directory(tmp_path):
    assert run().returncode == 2
    done = run(f"--data={tmp_path / 'nothing'}")
    assert done.returncode == 1
    assert done.stderr.count("\n") >= 1 and "Traceback" not in done.stderr
    assert "no such file" in done.stderr


def test_shards_of_other_tools_are_met_with_the_flag_that_reads_them(tmp_path):
    data = records.write(tmp_path / "data", (2,))
    (data.directory / "manifest.json").unlink()
    done = run(f"--data={data.directory}")
    assert done.returncode == 1
    assert "for records from other tools, set records=dmvr or " in done.stderr
    done = run(f"--data={data.directory}", "--records=dmvr")
    assert done.returncode == 0, done.stderr
    assert "all: 2 of 2 records are good" in done.stdout

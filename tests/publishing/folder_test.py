# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What stands beside the SavedModel: card, example, sums, warm-up requests, versions."""

import json
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf

from mmv_tf import publishing
from mmv_tf.publishing import CardDetails, ExportOptions
from mmv_tf.publishing.contract import make_contract
from mmv_tf.publishing.folder import write_checksums
from mmv_tf.publishing.model_card import write_card


@pytest.mark.slow
def test_the_folder_is_ready_to_publish_and_to_serve(published, tmp_path):
    version = published / "2"
    names = {"video", "audio", "text", "image", "video_jpeg"}
    card = (version / "model_card.md").read_text(encoding="utf-8")
    for part in (
        *("# Tiny", "twelve generated clips", "CC0", "FineAndCoarse", "S3D", "num_frames 4"),
        *("| `msrvtt/1k-a/v1` | retrieval, text -> video, R@1 | 0.093 |", "48000 Hz"),
        *(f"| `{name}` |" for name in names),
    ):
        assert part in card
    assert "1000" not in card  # a count of clips is not a result

    contract = json.loads((version / publishing.CONTRACT_FILE).read_text())
    assert set(contract["signatures"]) == names
    assert contract["signatures"]["video"]["input"]["shape"] == [None, None, None, None, 3]
    assert contract["signatures"]["audio"]["input"]["sample_rate"] == 48_000
    assert contract["signatures"]["text"]["outputs"] == {"vat": [None, 8]}

    config = (published / "models.config").read_text()
    assert 'name: "tiny"' in config and 'base_path: "/models/tiny"' in config
    assert config.count("{") == config.count("}")

    requests = {r.model_spec.signature_name: r for r in
                publishing.read_warmup(version / publishing.WARMUP_FILE)}  # fmt: skip
    assert set(requests) == names
    signatures = tf.saved_model.load(str(version)).signatures
    for name, request in requests.items():
        assert request.model_spec.name == "tiny"
        tensor = tf.make_ndarray(request.inputs[name])
        assert signatures[name](tf.constant(tensor))["vat"].shape == (1, 8)


@pytest.mark.slow
def test_the_example_runs(published, tmp_path):
    version = published / "2"
    done = subprocess.run(
        [sys.executable, str(version / "example.py")], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "similarity of sentences and clips" in done.stdout
    assert "video_jpeg vat (1, 8)" in done.stdout


def test_changed_files_are_found(published, tmp_path):
    version = tmp_path / "copy"
    shutil.copytree(published / "2", version)
    publishing.verify_checksums(version)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=version, check=True)
    odd = version / "a\u2028b\u0085"
    odd.write_text("x")
    write_checksums(version)
    publishing.verify_checksums(version)
    odd.unlink()
    write_checksums(version)
    (version / "extra").write_text("x")
    with pytest.raises(ValueError, match="extra is not listed"):
        publishing.verify_checksums(version)
    (version / "extra").unlink()
    (version / "example.py").write_text("changed")
    with pytest.raises(ValueError, match=r"example\.py was changed"):
        publishing.verify_checksums(version)
    (version / "example.py").unlink()
    with pytest.raises(ValueError, match=r"example\.py is missing"):
        publishing.verify_checksums(version)
    with pytest.raises(ValueError, match="no SHA256SUMS"):
        publishing.verify_checksums(published)


@pytest.mark.slow
def test_versions_stand_side_by_side_and_wrong_ones_are_refused(tiny_model, tmp_path):
    options = ExportOptions(modalities=("text",))
    for version in (1, 2):
        publishing.export(tiny_model, tmp_path / "served", options=options, version=version)
    assert {p.name for p in (tmp_path / "served").iterdir()} == {"1", "2", "models.config"}
    for arguments, message in (
        (dict(version=2), "exists"),
        (dict(version=0), "start at 1"),
        (dict(version=3, model_name="a/b"), "letters"),
        (dict(details=CardDetails(results=[tmp_path / "served" / "models.config"])), "results"),
    ):
        with pytest.raises(ValueError, match=message):
            publishing.export(
                tiny_model, tmp_path / "served", options=options, **{"version": 9, **arguments}
            )
    assert {p.name for p in (tmp_path / "served").iterdir()} == {"1", "2", "models.config"}


def test_what_a_file_says_is_quoted(tiny_model, tmp_path):
    tiny_model.metadata["licence"] = "[x](javascript:y) <script>z</script>\n\n# Free | `a`"
    evaluation = {"protocol": {"name": "p`|<b>"}, "<img src=x>|": 1.0}
    (tmp_path / "results.json").write_text(json.dumps(evaluation))
    contract = make_contract({}, tiny_model.metadata, None, 32)
    details = CardDetails(results=[tmp_path / "results.json"])
    card = write_card(tiny_model, contract, ExportOptions(), details)
    assert r"\[x\](javascript:y) \<script>z\</script> \# Free \| \`a\`" in card
    assert r"| `p<b>` | \<img src=x>\| | 1 |" in card
    for wrong in ("32]); import os; ([1", 3.5, -1):
        tiny_model.metadata["size"] = wrong
        with pytest.raises(ValueError, match="size is"):
            make_contract({}, tiny_model.metadata, None, 32)

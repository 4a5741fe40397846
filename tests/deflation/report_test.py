# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from PIL import Image

from mmv_tf.deflation.report import format_report, plot_report, stages


def agreement(l1):
    return {"l1": l1, "cosine": 1 - l1, "relative_error": 3 * l1}


def make_report(start=0.2):
    whole = {"naive": 0.2, "start": start, "closed_form": 0.04, "fitted": 0.01}
    values = {stage: agreement(l1) for stage, l1 in whole.items()}
    return {
        **values,
        "layers": [{"name": name, **values} for name in ("first", "second")],
        "images": 50,
        "held_out": 10,
        "seconds": {"original": 20.0, "closed_form": 2.0, "fitted": 30.0},
    }


def test_the_text_has_all_stages_and_what_is_left():
    text = format_report(make_report())
    assert "5% of the naive L1 gap remains on 10 held-out images" in text
    assert [line.split()[0] for line in text.splitlines()[1:4]] == ["naive", "closed", "fitted"]
    speed = {
        "image_seconds": 0.01,
        "clip_seconds": 0.2,
        "ratio": 20.0,
        "multiplications_ratio": 18.0,
        "num_frames": 32,
    }
    assert "20.0 times faster, with 18.0 times" in format_report({**make_report(), "speed": speed})
    speed |= {"image_bytes": 2e6, "clip_bytes": 50e6, "bytes_ratio": 25.0}
    text = format_report({**make_report(), "speed": speed})
    assert "2.0 MB, the clip 50.0 MB: 25.0 times less" in text


def test_the_start_is_shown_where_it_is_another():
    assert stages(make_report()) == ["naive", "closed_form", "fitted"]
    assert stages(make_report(start=0.1)) == ["naive", "start", "closed_form", "fitted"]


def test_the_plot_is_a_picture(tmp_path):
    plot_report(make_report(start=0.1), tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300

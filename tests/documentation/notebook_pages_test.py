# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The notebooks become pages of the site with their stored outputs."""

import base64
import json

import pytest

from tools import notebook_pages

PIXEL = b"\x89PNG\r\n\x1a\n"


def test_cells_and_outputs_come_in_order():
    code = {
        "cell_type": "code",
        "source": ["print(1)\n", "plot()"],
        "outputs": [
            {"output_type": "stream", "text": ["1\n"]},
            {"data": {"image/png": base64.b64encode(PIXEL).decode(), "text/plain": ["<Figure>"]}},
            {"data": {"text/plain": ["array([2])"]}},
            {"output_type": "stream", "text": []},
        ],
    }
    title = {"cell_type": "markdown", "source": ["# Title\n", "Text."]}
    page, images = notebook_pages.render({"cells": [title, code]}, "name")
    assert page.split("\n\n") == [
        "# Title\nText.",
        "This page is the notebook `examples/name.ipynb`.",
        "```python\nprint(1)\nplot()\n```",
        "```text\n1\n```",
        "![Figure 1 of the notebook](name_1.png)",
        "```text\narray([2])\n```\n",
    ]
    assert images == {"name_1.png": PIXEL}


@pytest.mark.parametrize("path", notebook_pages.NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_outputs_to_show(path):
    page, _ = notebook_pages.render(json.loads(path.read_text(encoding="utf-8")), path.stem)
    assert page.startswith("# ") and "```text" in page

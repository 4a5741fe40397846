# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.search.tokens import read_token

TOKEN = "0123456789abcdef"


def test_from_a_file_or_the_environment(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    other = {"MMV_SEARCH_TOKEN": TOKEN[::-1]}
    assert read_token(str(tmp_path / "token"), other) == TOKEN
    assert read_token(None, other) == TOKEN[::-1]
    assert read_token(None, {}) is None is read_token(None, {"MMV_SEARCH_TOKEN": ""})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("short", "has 5 characters; expected 16"),
        ("", "has 0 characters"),
        ("two lines of\nthe same token", "expected a token on one line"),
        ("naïve token characters", "on one line of ASCII"),
        ("x" * 5000, "at most 4096"),
    ],
)
def test_wrong_tokens(tmp_path, content, message):
    (tmp_path / "token").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_token(str(tmp_path / "token"), {})
    assert content[:12] not in str(error.value) or len(content) < 12
    with pytest.raises(OSError, match="Is a directory"):
        read_token(str(tmp_path), {})

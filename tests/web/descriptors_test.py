# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest

from mmv_tf.web.descriptors import connections_within, is_exhausted
from tests.running import ROOT


def within(soft, hard, wanted, each=1):
    """In a process of its own with these limits: the connections, and the soft limit after that."""
    program = (
        "import resource; from mmv_tf.web.descriptors import connections_within\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        f"print(connections_within({wanted}, {each}))\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [int(line) for line in done.stdout.split()] or done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_soft_limit_is_raised_as_far_as_the_hard_one_allows():
    found, soft = within(100, 2000, 1000)
    assert found == 1000 and 1000 < soft < 1200
    found, soft = within(100, 500, 1000)
    assert 300 < found < 500 and soft == 500
    found, soft = within(100, 500, 1000, each=2)
    assert 150 < found < 250
    assert within(2000, 2000, 100) == [100, 2000]
    assert "50 file descriptors are too few to serve" in within(50, 50, 100)


def test_a_process_with_enough_of_them_is_left_alone():
    assert connections_within(9) == 9
    assert is_exhausted(OSError(24, "Too many open files"))
    assert not is_exhausted(OSError(2, "No such file")) and not is_exhausted(None)

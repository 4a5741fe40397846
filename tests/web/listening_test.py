# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import logging
import socket

import pytest

from mmv_tf.web.listening import listen, quiet_about_clients, shown


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_port(host):
    try:
        with listen(host, 0) as listener:
            port = listener.getsockname()[1]
            assert port > 0
            # Else asyncio would leave Nagle's algorithm on.
            assert listener.proto == socket.IPPROTO_TCP
            listener.listen()
            with pytest.raises(OSError, match=r"choose another port.*:\d+"):
                listen(host, port)
    except OSError as error:
        if host == "::1" and "assign" in str(error):
            pytest.skip("there is no IPv6")
        raise


def test_addresses():
    assert shown("127.0.0.1") == "127.0.0.1" and shown("::1") == "[::1]"


def test_what_clients_cause_is_not_logged(caplog):
    logger = logging.getLogger("uvicorn.error")
    before = list(logger.filters)
    quiet_about_clients()
    # A server that ran in this process may have cut the logger off, or made it quieter.
    caplog.set_level(logging.INFO, logger="uvicorn.error")
    logger.addHandler(caplog.handler)
    propagates, logger.propagate = logger.propagate, False
    try:
        logger.warning("Invalid HTTP request received.")
        logger.warning("The disk is full.")
        assert [record.getMessage() for record in caplog.records] == ["The disk is full."]
    finally:
        logger.filters[:] = before
        logger.removeHandler(caplog.handler)
        logger.propagate = propagates

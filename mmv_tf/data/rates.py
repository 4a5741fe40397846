# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whether records have the rates and the spectrogram that a network takes."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from mmv_tf.data.interfaces import LogMel


def stride(stored: float, wanted: float) -> float:
    """Stored frames from one frame to the next; an int where it is whole.

    Args:
      stored, wanted: frames a second.
    """
    ratio = stored / wanted
    return round(ratio) if abs(ratio - round(ratio)) < 1e-6 else ratio


def check_frame_rate(stored: float, wanted: float) -> None:
    """Refuses frames that are not among the stored ones.

    Raises:
      ValueError: `wanted` is no whole part of `stored`.
    """
    step = stride(stored, wanted)
    if not (isinstance(step, int) and step >= 1):
        raise ValueError(
            f"The records have {stored:g} frames a second, {wanted:g} are asked for; take "
            f"{stored:g} or a whole part of it (data.frame_rate), prepare the data again, or "
            "set data.resample, which takes the nearest frames."
        )


def check_sample_rate(stored: float, wanted: float) -> None:
    """Refuses sound of another rate.

    Raises:
      ValueError: the rates, in Hz, differ.
    """
    if stored != wanted:
        raise ValueError(
            f"The records' sound has {stored} samples a second, the network takes {wanted}; "
            f"prepare the data with --sample_rate={wanted}, or set data.resample."
        )


def check_log_mel(stored: Mapping[str, Any], log_mel: LogMel, directory: pathlib.Path) -> None:
    """Refuses spectrograms made with other settings than the network's.

    Args:
      stored: settings that the records' log-mel was made with.
      log_mel: the network's layer.
      directory: of the records, for the message.

    Raises:
      ValueError: they differ.
    """
    own = log_mel.get_config()
    differing = [
        f"{name} {value!r} instead of {own.get(name)!r}"
        for name, value in stored.items()
        if name in own and own[name] != value
    ]
    if differing:
        raise ValueError(
            f"{directory}: the records' log-mel was made with {', '.join(differing)}; give the "
            "network the same settings, or prepare the data again."
        )

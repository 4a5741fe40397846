# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Verify prepared data: every byte of every shard, and the content of the records.

  mmv verify_data --data=DIR

Prints each fault with its shard, byte and example. The exit status is 0 if there are no faults, and
1 otherwise. --repair writes the good records to clean shards in DIR/repaired (or --repaired).
"""

from __future__ import annotations

from absl import flags

from mmv_tf.data.integrity import verification
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.records.keys import KEY_MAPS, key_map
from mmv_tf.util import command_line
from mmv_tf.util.configuration import write_json
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import storage_flags

_LIMITS = Limits()

_DATA = flags.DEFINE_string("data", None, "Shard folder, or its URL.", required=True)
_RECORDS = flags.DEFINE_enum(
    "records", "mmv", sorted(KEY_MAPS), "Format of the records; only mmv has a manifest."
)
_FILES = flags.DEFINE_string(
    "files", "*.tfrecord*", "Glob pattern for shards that have no manifest."
)
_DECODE = flags.DEFINE_bool("decode", False, "Also decode every frame, which is slow.")
_CHECKSUMS = flags.DEFINE_bool(
    "checksums", True, "Also compare the files with the manifest's SHA-256 sums."
)
_OUTPUT = flags.DEFINE_string("output", None, "Results file (JSON).")
_REPAIR = flags.DEFINE_bool("repair", False, "Write clean shards.")
_REPAIRED = flags.DEFINE_string(
    "repaired", None, "Folder for the clean shards; default: DATA/repaired."
)
_MAX_FRAME_PIXELS = flags.DEFINE_integer(
    "max_frame_pixels",
    _LIMITS.frame_pixels,
    "Maximum pixels per frame; larger frames count as damaged.",
)
_MAX_CAPTION_BYTES = flags.DEFINE_integer(
    "max_caption_bytes",
    _LIMITS.caption_bytes,
    "Maximum bytes per caption; longer captions count as damaged.",
)
_MAX_RECORD_BYTES = flags.DEFINE_integer(
    "max_record_bytes", _LIMITS.record_bytes, "Maximum bytes in a record; larger ones are not read."
)

storage_flags(outputs=["output"])

_ADVICE = "Run it with --repair, prepare the data again, or read it with on_bad_record=skip."


def main(argv: list[str]) -> int:
    """Verify the data, and repair it if requested."""
    del argv
    if _REPAIRED.value and not _REPAIR.value:
        raise command_line.UsageError("--repaired needs --repair; see --help.")
    limits = Limits(
        record_bytes=_MAX_RECORD_BYTES.value,
        frame_pixels=_MAX_FRAME_PIXELS.value,
        caption_bytes=_MAX_CAPTION_BYTES.value,
    )
    keys = key_map(_RECORDS.value)
    found = verification.verify(
        _DATA.value, keys, _FILES.value, limits, _DECODE.value, _CHECKSUMS.value
    )
    print(verification.format_verification(found))
    content = found.to_json()
    if _REPAIR.value and not found.clean:
        target = _REPAIRED.value or f"{_DATA.value.rstrip('/')}/repaired"
        clean = verification.repair(_DATA.value, target, keys, _FILES.value, limits, _DECODE.value)
        content["repaired"] = clean.to_json()
        print(f"{target}: {clean.report.read} records in {clean.shards} clean shards.")
    elif not found.clean:
        print(_ADVICE)
    if _OUTPUT.value:
        write_json(content, _OUTPUT.value)
        print(f"Results are in {name_of(_OUTPUT.value)}.")
    return 0 if found.clean else command_line.FAILED


if __name__ == "__main__":
    command_line.run(main)

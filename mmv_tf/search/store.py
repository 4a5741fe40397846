# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Index on disk: memory-mapped matrices of unit vectors, and a manifest that lists them.

  INDEX/lock                      held by the program that writes, see `mmv_tf.util.locks`
  INDEX/manifest-00000007.json    the newest intact one is the index
  INDEX/segments/NAME/            video.vat.npy, audio.va.npy, ...: float16 [rows, D], or float32 in
                                  segments of earlier versions, until a merge
                                  labels.npy: float32 [rows, labels], scores of a classifier
                                  spans.npy: float32 [rows, 2], start and end in seconds
                                  heard.npy: bool [rows], whether a window has audio
                                  video.vat.faiss, .json: see `approximate`
                                  optional files: see `parts`
  INDEX/speech/NAME.sqlite        speech, see `speech`

Files never change: an update adds a segment and then, atomically, a manifest with the length and
checksum of each file. The previous manifest is kept until the next update, and used if the newest
manifest or its segments are damaged.

Rows that belong to no video in the manifest are dead; a merge drops them. Speech has separate
files, because captions can change without their films.
"""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from mmv_tf.search.manifest import LABELS, Manifest
from mmv_tf.util import files as files_lib
from mmv_tf.util.files import read_regular
from mmv_tf.util.safe_files import map_npy

SPANS, HEARD = "spans", "heard"
# Types of arrays, the first of which is written; all other arrays hold unit vectors.
_TYPES: dict[str, tuple[type[np.generic], ...]] = {
    SPANS: (np.float32,),
    HEARD: (np.bool_,),
    LABELS: (np.float32,),
}
_VECTORS: tuple[type[np.generic], ...] = (np.float16, np.float32)
_SEGMENTS, _SPEECH = "segments", "speech"
_MANIFEST = re.compile(r"manifest-(\d{8})\.json")
_MAX_MANIFEST_BYTES = 1 << 30  # Ours: a million videos.
_KEPT = 2  # Number of manifests.


class MissingIndex(ValueError):
    """There is no index in the folder."""


class Segment:
    """Memory-mapped rows of an index.

    Attributes:
      directory: the segment's folder.
      rows: number of windows, including dead ones.
    """

    def __init__(self, directory: pathlib.Path, matrices: Mapping[str, int]):
        self.directory = directory
        self._arrays: dict[str, np.ndarray] = {}
        spans = self._read(SPANS)
        self.rows = len(spans)
        shapes = {SPANS: (self.rows, 2), HEARD: (self.rows,)}
        shapes |= {name: (self.rows, dim) for name, dim in matrices.items()}
        for name, shape in shapes.items():
            array = self._read(name)
            if array.shape != shape or array.dtype not in _TYPES.get(name, _VECTORS):
                raise ValueError(f"{directory / name}.npy is {array.dtype} {array.shape}")

    def array(self, name: str) -> np.ndarray:
        """Return a matrix by its name, `SPANS` or `HEARD`."""
        return self._arrays[name]

    def file(self, name: str) -> pathlib.Path | None:
        """Return the path to an optional file, or None if the segment lacks it."""
        path = self.directory / name
        return path if path.is_file() else None

    def optional_array(self, name: str) -> np.ndarray | None:
        """Return the array of an optional file `name`.npy, or None if the segment lacks it."""
        return None if self.file(f"{name}.npy") is None else self._read(name)

    def _read(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            self._arrays[name] = map_npy(self.directory / f"{name}.npy")
        return self._arrays[name]


@dataclasses.dataclass(frozen=True)
class Index:
    """An open index.

    Attributes:
      directory: the index folder.
      manifest: the index's content.
      segments: segments by name.
      speech: speech files, by name.
      warnings: faults of newer states, if this is not the newest.
    """

    directory: pathlib.Path
    manifest: Manifest
    segments: dict[str, Segment]
    warnings: tuple[str, ...] = ()
    speech: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)


def write_array(
    folder: pathlib.Path,
    name: str,
    shape: tuple[int, ...],
    pieces: Iterable[np.ndarray],
    kind: type[np.generic] | None = None,
) -> None:
    """Write a segment's array piece by piece.

    On a full disk, the error from `numpy.save` does not say so, and a mapped file crashes.

    Args:
      folder: the segment's folder.
      name: the array's name.
      shape: the whole array's shape.
      pieces: parts along the first axis.
      kind: data type; by default, the index's type.

    Raises:
      OSError: the disk is full or not writable.
    """
    dtype = np.dtype(kind or _TYPES.get(name, _VECTORS)[0])
    descr = np.lib.format.dtype_to_descr(dtype)
    with open(folder / f"{name}.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": descr, "fortran_order": False, "shape": shape}
        )
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype).data)
        files_lib.flush(file)


def newest_generation(directory: str | os.PathLike[str]) -> int:
    """Return the newest generation among the manifests, intact or not; 0 if there are none."""
    return max((number for number, _ in _manifests(pathlib.Path(directory))), default=0)


def open_index(directory: str | os.PathLike[str], before: Index | None = None) -> Index:
    """Open the newest intact state, checking the checksums of all its files.

    Args:
      directory: the index folder.
      before: an open state of the index, whose segments are not read again.

    Raises:
      MissingIndex: there is no index.
      ValueError: all states are damaged.
    """
    directory = pathlib.Path(directory)
    warnings = []
    for _, path in sorted(_manifests(directory), reverse=True):
        try:
            manifest = _read_manifest(path)
            segments = {}
            for name, files in manifest.segments.items():
                if before is not None and before.manifest.segments.get(name) == files:
                    segments[name] = before.segments[name]
                    continue
                folder = directory / _SEGMENTS / _plain(name)
                _check(folder, files)
                segments[name] = Segment(folder, manifest.columns)
            speech = _check_speech(directory, manifest, before)
            _check_rows(manifest, segments)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            warnings.append(f"{path.name} can't be used ({reason})")
            continue
        return Index(directory, manifest, segments, tuple(warnings), speech)
    if warnings:
        raise ValueError(
            f"{directory}: the index is damaged: {'; '.join(warnings)}. Delete the folder and "
            "build the index again."
        )
    raise MissingIndex(
        f"{directory}: there is no index; create one: mmv search index --videos=DIR "
        f"--model=PATH --index={directory}"
    )


class Writer:
    """The writer of an index, whose lock must be held.

    Args:
      directory: the index folder.
      manifest: state to update; its generation is 0 for a new index.
    """

    def __init__(self, directory: pathlib.Path, manifest: Manifest):
        self.directory = directory
        self.manifest = manifest
        # Above all existing generations, so that the number of a damaged one is not reused.
        self._generation = max(manifest.generation, newest_generation(directory))

    def add_segment(
        self,
        arrays: Mapping[str, np.ndarray],
        write_parts: Callable[[pathlib.Path], None] = lambda folder: None,
    ) -> tuple[str, dict[str, dict[str, Any]]]:
        """Write a segment, which joins the index when a manifest names it.

        Args:
          arrays: matrices by name, with `SPANS` and `HEARD`; converted to the index's types.
          write_parts: function that writes optional files into the segment's folder.

        Returns:
          The segment's name and its files' checksums.
        """
        name, folder = self.new_segment()
        with files_lib.replacing(folder) as temporary:
            temporary.mkdir(parents=True)
            for key, array in arrays.items():
                write_array(temporary, key, array.shape, [array])
            write_parts(temporary)
        return name, sums(folder)

    def new_segment(self) -> tuple[str, pathlib.Path]:
        """Return a new segment's name and folder, without creating it."""
        name = f"{self._generation + 1:08d}-{os.urandom(4).hex()}"
        return name, self.directory / _SEGMENTS / name

    def new_speech(self) -> tuple[str, pathlib.Path]:
        """Return a new speech file's name and path, without creating it."""
        name = f"{self._generation + 1:08d}-{os.urandom(4).hex()}"
        return name, self.speech_path(name)

    def speech_path(self, name: str) -> pathlib.Path:
        """Return the path to a speech file."""
        return _speech_path(self.directory, name)

    def commit(self, **changes: Any) -> Manifest:
        """Write the next manifest with changes, and delete files that no kept manifest names."""
        self._generation += 1
        self.manifest = dataclasses.replace(self.manifest, generation=self._generation, **changes)
        used = {video.segment for video in self.manifest.videos}
        segments = {name: files for name, files in self.manifest.segments.items() if name in used}
        heard = {video.said.part for video in self.manifest.videos if video.said is not None}
        speech = {name: known for name, known in self.manifest.speech.items() if name in heard}
        self.manifest = dataclasses.replace(self.manifest, segments=segments, speech=speech)
        path = self.directory / f"manifest-{self._generation:08d}.json"
        files_lib.write_text(self.manifest.to_json(), path)
        self._tidy()
        return self.manifest

    def _tidy(self) -> None:
        """Delete old manifests, and the segments and speech files that only they name."""
        found = sorted(_manifests(self.directory), reverse=True)
        used: set[str] = set()
        speech: set[str] = set()
        kept = 0
        for number, path in found:
            try:
                manifest = _read_manifest(path)
            except (OSError, ValueError):
                if number != self._generation:
                    path.unlink(missing_ok=True)
                continue
            if kept == _KEPT:
                path.unlink(missing_ok=True)
                continue
            kept += 1
            used |= set(manifest.segments)
            speech |= {_speech_path(self.directory, name).name for name in manifest.speech}
        folder = self.directory / _SPEECH
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.name not in speech:
                entry.unlink(missing_ok=True)
        folder = self.directory / _SEGMENTS
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.name not in used:
                shutil.rmtree(entry, ignore_errors=True)


def sums(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Return the length and checksum of each file in a folder."""
    return {path.name: file_sums(path) for path in sorted(folder.iterdir())}


def file_sums(path: pathlib.Path) -> dict[str, Any]:
    """Return a file's length and checksum."""
    return {"bytes": path.stat().st_size, "crc32c": files_lib.file_crc32c(path)}


def _check(folder: pathlib.Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    for name, expected in files.items():
        files_lib.check_content(
            folder / _plain(name), size=expected["bytes"], crc32c=expected["crc32c"]
        )


def _check_speech(
    directory: pathlib.Path, manifest: Manifest, before: Index | None
) -> dict[str, pathlib.Path]:
    """Return the speech files by name; raise an error if one is damaged."""
    found = {name: _speech_path(directory, name) for name in manifest.speech}
    for name, expected in manifest.speech.items():
        if before is None or before.manifest.speech.get(name) != expected:
            files_lib.check_content(found[name], size=expected["bytes"], crc32c=expected["crc32c"])
    for video in manifest.videos:
        if video.said is not None and video.said.count and video.said.part not in found:
            raise ValueError(f"the speech in {video.name!r} is missing")
    return found


def _speech_path(directory: pathlib.Path, name: str) -> pathlib.Path:
    return directory / _SPEECH / f"{_plain(name)}.sqlite"


def _check_rows(manifest: Manifest, segments: Mapping[str, Segment]) -> None:
    for video in manifest.videos:
        rows = segments[video.segment].rows if video.segment in segments else -1
        whole = video.first >= 0 and 0 < video.count <= rows - video.first
        if not whole or not math.isfinite(video.duration):
            raise ValueError(f"the rows of {video.name!r} are missing")


def _plain(name: str) -> str:
    """Return a name after checking that it is plain, without folders."""
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise ValueError(f"the manifest names {name!r}")
    return name


def _read_manifest(path: pathlib.Path) -> Manifest:
    return Manifest.from_json(read_regular(path, _MAX_MANIFEST_BYTES).decode())


def _manifests(directory: pathlib.Path) -> list[tuple[int, pathlib.Path]]:
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    matches = (_MANIFEST.fullmatch(name) for name in names)
    return [(int(match[1]), directory / match[0]) for match in matches if match]

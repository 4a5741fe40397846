# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The index on disk: matrices of unit vectors, memory-mapped, and a manifest that says what counts.

  INDEX/lock                      held by the program that writes, see `mmv_tf.util.locks`
  INDEX/manifest-00000007.json    the newest one that is whole is the index
  INDEX/segments/NAME/            video.vat.npy, audio.va.npy, ...: float32 [rows, D]
                                  spans.npy: float32 [rows, 2], start and end in seconds
                                  heard.npy: bool [rows], whether there is sound in a window
                                  video.vat.faiss, .json: see `approximate`

Nothing is changed once it is there: an update adds a segment and then a manifest, which appears
under its name whole or not at all and says of each file how long it is and its sum. The one before
is kept until the next update, and is used when the newest one, or what it names, is damaged.
Rows that no video of the manifest claims are dead; a merge leaves them out.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np

from mmv_tf.inference.windows import Windows
from mmv_tf.util import files as files_lib
from mmv_tf.util.files import check_regular, read_regular
from mmv_tf.util.safe_files import NUMBER, Count, Name, Positive, check_form, parse_json

FORMAT = 1
SPANS, HEARD = "spans", "heard"
_SEGMENTS = "segments"
_MANIFEST = re.compile(r"manifest-(\d{8})\.json")
_MAX_MANIFEST_BYTES = 1 << 30  # Ours: a million videos.
_CHUNK = 1 << 24  # Bytes of a file that are summed up at once.
_KEPT = 2  # Manifests.
_FILE = {"name": str, "size": Count, "mtime_ns": int}
_VIDEO = {
    **_FILE,
    "duration": NUMBER,
    "has_audio": bool,
    "segment": Name,
    "first": Count,
    "count": Count,
    "captions?": (str, None),
}
_FORM = {
    "generation": Count,
    "root": str,
    "model": str,
    "fingerprint": str,
    "windows": {
        "num_frames": Count,
        "frame_rate": Positive,
        "size": Count,
        "square_crop": bool,
        "step_frames": Count,
        "sample_rate": Count,
    },
    "matrices": {str: Count},
    "videos": [_VIDEO],
    "skipped": [{**_FILE, "reason": str}],
    "segments?": {str: {str: {"bytes": Count, "crc32c": Count}}},
    "options?": {},
}


class MissingIndex(ValueError):
    """There is no index in the folder."""


@dataclasses.dataclass(frozen=True)
class Video:
    """A video in the index.

    Attributes:
      name, size, mtime_ns, captions: see `files.VideoFile`.
      duration: seconds.
      has_audio: whether it has a sound track.
      segment: where its windows are.
      first, count: which rows.
    """

    name: str
    size: int
    mtime_ns: int
    duration: float
    has_audio: bool
    segment: str
    first: int
    count: int
    captions: str | None = None


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A file that could not be indexed, and is not tried again until it is changed."""

    name: str
    size: int
    mtime_ns: int
    reason: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What an index holds.

    Attributes:
      generation: goes up by one with each update.
      root: the folder that videos' names are relative to.
      model, fingerprint: the network that made the vectors.
      windows: how videos were cut.
      matrices: "MODALITY.SPACE" -> dimensions.
      videos, skipped: by name.
      segments: name -> file -> {"bytes", "crc32c"}.
      options: what the network was opened with, arguments of `mmv_tf.load_encoder`.
    """

    generation: int
    root: str
    model: str
    fingerprint: str
    windows: Windows
    matrices: dict[str, int]
    videos: tuple[Video, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    segments: dict[str, dict[str, dict[str, Any]]] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Windows of all videos."""
        return sum(video.count for video in self.videos)

    def to_json(self) -> str:
        """Text that `from_json` reads, with a sum of itself."""
        body = json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, sort_keys=True)
        return f'{{"crc32c": {google_crc32c.value(body.encode())}, "index":\n{body}\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads and checks.

        Raises:
          ValueError: it is damaged or of a later version.
        """
        try:
            document = parse_json(text)
            check_form(document, {"crc32c": Count, "index": {"format": Count}})
            body = text.split("\n")[1]
        except (ValueError, IndexError) as error:
            raise ValueError("the manifest is damaged") from error
        values = document["index"]
        if document["crc32c"] != google_crc32c.value(body.encode()):
            raise ValueError("the manifest's sum is wrong")
        version = values.pop("format")
        if version != FORMAT:
            raise ValueError(f"it has format {version}, this program reads {FORMAT}")
        check_form(values, _FORM)
        try:
            return cls(
                **{
                    **values,
                    "windows": Windows(**values["windows"]),
                    "videos": tuple(Video(**entry) for entry in values["videos"]),
                    "skipped": tuple(Skipped(**entry) for entry in values["skipped"]),
                }
            )
        except TypeError as error:
            raise ValueError("the manifest has entries of a later version") from error


class Segment:
    """Some rows of the index, mapped: only what is read takes memory.

    Attributes:
      directory: where it is.
      rows: windows, dead ones included.
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
            kind = np.bool_ if name == HEARD else np.float32
            if array.shape != shape or array.dtype != kind:
                raise ValueError(f"{directory / name}.npy is {array.dtype} {array.shape}")

    def array(self, name: str) -> np.ndarray:
        """A matrix by its name, `SPANS` or `HEARD`."""
        return self._arrays[name]

    def _read(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            path = self.directory / f"{name}.npy"
            check_regular(path)
            try:
                self._arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
            # NumPy evaluates the header: SyntaxError, TypeError, TokenError, OverflowError, ...
            except Exception as error:
                raise ValueError(f"{path} is no whole .npy file ({error})") from error
        return self._arrays[name]


@dataclasses.dataclass(frozen=True)
class Index:
    """An index, open.

    Attributes:
      directory: where it is.
      manifest: what it holds.
      segments: by name.
      warnings: what was wrong with a newer state, if this is not the newest one.
    """

    directory: pathlib.Path
    manifest: Manifest
    segments: dict[str, Segment]
    warnings: tuple[str, ...] = ()


def newest_generation(directory: str | os.PathLike[str]) -> int:
    """Of the manifests there are, whole or not; 0 for none."""
    return max((number for number, _ in _manifests(pathlib.Path(directory))), default=0)


def open_index(directory: str | os.PathLike[str], before: Index | None = None) -> Index:
    """Opens the newest state that is whole; the sums of all its files are checked.

    Args:
      directory: of the index.
      before: a state of it that is open; its segments are not read again.

    Raises:
      MissingIndex: there is none.
      ValueError: there are some, and all are damaged.
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
                segments[name] = Segment(folder, manifest.matrices)
            _check_rows(manifest, segments)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            warnings.append(f"{path.name} can't be used ({reason})")
            continue
        return Index(directory, manifest, segments, tuple(warnings))
    if warnings:
        raise ValueError(
            f"{directory}: the index is damaged: {'; '.join(warnings)}. Remove the folder and make "
            "the index again."
        )
    raise MissingIndex(
        f"{directory}: there is no index; make one: python -m binaries.search index --videos=DIR "
        f"--model=PATH --index={directory}"
    )


class Writer:
    """Adds to an index; hold the lock.

    Args:
      directory: of the index.
      manifest: the state that is gone on from; its generation is 0 for a new index.
    """

    def __init__(self, directory: pathlib.Path, manifest: Manifest):
        self.directory = directory
        self.manifest = manifest
        # Above all there are, so that a damaged one's number is not taken again.
        self._generation = max(manifest.generation, newest_generation(directory))

    def add_segment(
        self, arrays: Mapping[str, np.ndarray]
    ) -> tuple[str, dict[str, dict[str, Any]]]:
        """Writes a segment; it counts only once a manifest names it.

        Args:
          arrays: its matrices by name, with `SPANS` and `HEARD`.

        Returns:
          Its name and the sums of its files.
        """
        name = f"{self._generation + 1:08d}-{os.urandom(4).hex()}"
        folder = self.directory / _SEGMENTS / name
        with files_lib.replacing(folder) as temporary:
            temporary.mkdir(parents=True)
            for key, array in arrays.items():
                with open(temporary / f"{key}.npy", "wb") as file:
                    np.save(file, array)
                    files_lib.flush(file)
        return name, sums(folder)

    def commit(self, **changes: Any) -> Manifest:
        """Writes the next manifest, with changes, and removes what no kept one names."""
        self._generation += 1
        self.manifest = dataclasses.replace(self.manifest, generation=self._generation, **changes)
        used = {video.segment for video in self.manifest.videos}
        segments = {name: files for name, files in self.manifest.segments.items() if name in used}
        self.manifest = dataclasses.replace(self.manifest, segments=segments)
        path = self.directory / f"manifest-{self._generation:08d}.json"
        files_lib.write_text(self.manifest.to_json(), path)
        self._tidy()
        return self.manifest

    def _tidy(self) -> None:
        """Removes old manifests and the segments that only they name."""
        found = sorted(_manifests(self.directory), reverse=True)
        used: set[str] = set()
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
        folder = self.directory / _SEGMENTS
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.name not in used:
                shutil.rmtree(entry, ignore_errors=True)


def merged(index: Index, videos: Sequence[Video], folder: pathlib.Path) -> tuple[Video, ...]:
    """Writes the rows of some videos, of any segments, as one segment into a new folder.

    Returns:
      The videos with the rows that they have there; `segment` is still to be named.
    """
    folder.mkdir(parents=True)
    rows = sum(video.count for video in videos)
    some = next(iter(index.segments.values()))
    moved: list[Video] = []
    for name in (*index.manifest.matrices, SPANS, HEARD):
        like = some.array(name)
        target = np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=like.dtype, shape=(rows, *like.shape[1:])
        )
        first = 0
        for video in videos:
            source = index.segments[video.segment].array(name)
            target[first : first + video.count] = source[video.first : video.first + video.count]
            if name == SPANS:
                moved.append(dataclasses.replace(video, first=first))
            first += video.count
        target.flush()
        del target
    return tuple(moved)


def sums(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Length and sum of each file in a folder."""
    return {
        path.name: {"bytes": path.stat().st_size, "crc32c": _crc(path)}
        for path in sorted(folder.iterdir())
    }


def _check(folder: pathlib.Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    for name, expected in files.items():
        path = folder / _plain(name)
        size = check_regular(path)
        if size != expected["bytes"]:
            raise ValueError(f"{name} has {size} bytes, not {expected['bytes']}")
        if _crc(path) != expected["crc32c"]:
            raise ValueError(f"{name}'s sum is wrong")


def _check_rows(manifest: Manifest, segments: Mapping[str, Segment]) -> None:
    for video in manifest.videos:
        rows = segments[video.segment].rows if video.segment in segments else -1
        whole = video.first >= 0 and 0 < video.count <= rows - video.first
        if not whole or not math.isfinite(video.duration):
            raise ValueError(f"the rows of {video.name!r} are not there")


def _crc(path: pathlib.Path) -> int:
    value = 0
    with open(path, "rb") as file:
        while piece := file.read(_CHUNK):
            value = google_crc32c.extend(value, piece)
    return value


def _plain(name: str) -> str:
    """A name that stays in its folder."""
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

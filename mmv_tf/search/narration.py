# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Updates the speech in an index: captions beside the films, and transcripts of other films.

The films need not be embedded again, because speech has separate files; see `speech`.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmv_tf.data.captions import Caption, read_caption_file
from mmv_tf.data.media import MediaError
from mmv_tf.data.transcription import Transcripts
from mmv_tf.search.folders import Folders
from mmv_tf.search.manifest import Said, Video
from mmv_tf.search.speech import SpeechPart, SpeechWriter
from mmv_tf.search.store import Writer, file_sums
from mmv_tf.util import files as files_lib
from mmv_tf.util.progress import Progress
from mmv_tf.util.sqlite import has_fts5

_MOST_PARTS = 8
_DEAD_SHARE = 0.2


@dataclasses.dataclass
class Narrated:
    """The report of an update.

    Attributes:
      captioned, transcribed: names of the videos whose captions or transcripts were indexed.
      cues: number of cues in the index.
      notes: notes for the user about what could not be read.
    """

    captioned: list[str] = dataclasses.field(default_factory=list)
    transcribed: list[str] = dataclasses.field(default_factory=list)
    cues: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)


def update_speech(
    writer: Writer,
    folders: Folders,
    transcripts: Transcripts | None = None,
    commit_seconds: float = 60.0,
) -> Narrated:
    """Index the captions that are new or changed, and transcribe films without captions.

    Args:
      writer: the index's writer, which is committed.
      folders: the videos' folders.
      transcripts: transcripts for films without captions; None leaves those films unchanged.
      commit_seconds: seconds between commits.
    """
    update = _Update(writer, folders, transcripts, commit_seconds)
    update.run()
    return update.report


def captions_path(folders: Folders, video: Video) -> pathlib.Path | None:
    """Return a video's caption file, or None.

    Raises:
      ValueError: the path points outside its folder.
      OSError: the file does not exist.
    """
    if video.captions is None:
        return None
    path = pathlib.Path(video.captions)
    # A file given by the user may be anywhere; a file that was found is in the folder.
    return path if path.is_absolute() else folders.inside(video.captions)


class _Update:
    """One update of what is said."""

    def __init__(
        self,
        writer: Writer,
        folders: Folders,
        transcripts: Transcripts | None,
        commit_seconds: float,
    ):
        self.report = Narrated()
        self._writer = writer
        self._folders = folders
        self._transcripts = transcripts
        self._commit_seconds = commit_seconds
        self._videos = {video.name: video for video in writer.manifest.videos}
        self._pending: list[tuple[str, Sequence[Caption], Said]] = []
        self._dirty = False
        self._committed = time.monotonic()

    def run(self) -> None:
        """Update the index."""
        if not has_fts5():
            if self._transcripts or any(video.captions for video in self._videos.values()):
                self.report.notes.append(
                    "speech is not indexed: Python's SQLite lacks FTS5; see docs/search.md."
                )
            return
        silent = []
        for video in self._writer.manifest.videos:
            if video.captions is not None:
                self._read(video)
            elif self._transcripts is not None and video.has_audio:
                silent.append(video)
            elif video.said is not None and not video.said.transcriber:
                self._set(video.name, None)
        try:
            self._transcribe(silent)
        finally:
            self._commit()
        merge_speech(self._writer)
        said = [video.said for video in self._writer.manifest.videos if video.said is not None]
        self.report.cues = sum(one.count for one in said)

    def _read(self, video: Video) -> None:
        """Read a video's captions if they changed."""
        try:
            path = captions_path(self._folders, video)
            if path is None:
                return
            status = path.stat()
            version = Said("", 0, 0, status.st_size, status.st_mtime_ns)
            if video.said is not None and _same(video.said, version):
                return
            found = read_caption_file(path)
        except FileNotFoundError:
            return  # The folder is not available now, and its videos do not change.
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.report.notes.append(f"the captions of {video.name} can't be used: {reason}")
            self._set(video.name, None)
            return
        if found.left_out.total:
            first = next(iter(found.left_out.first.values()))
            self.report.notes.append(
                f"{found.left_out.total} captions of {video.name} are left out, the first because: "
                f"{first}"
            )
        self.report.captioned.append(video.name)
        self._pending.append((video.name, found.captions, version))

    def _transcribe(self, videos: Sequence[Video]) -> None:
        """Transcribe films, or reuse existing transcripts."""
        transcripts = self._transcripts
        if transcripts is None:
            return
        key = transcripts.key
        todo = [v for v in videos if v.said is None or v.said.transcriber != key]
        if not todo:
            return
        total = sum(video.duration for video in todo)
        with Progress(round(total), "transcribe", "s of video") as progress:
            before = 0.0
            for video in todo:
                heard = functools.partial(_show, progress, before)
                self._transcribe_one(video, transcripts, heard)
                before += video.duration
                _show(progress, before, 0.0)
                if time.monotonic() - self._committed >= self._commit_seconds:
                    self._commit()

    def _transcribe_one(
        self, video: Video, transcripts: Transcripts, heard: Callable[[float], None]
    ) -> None:
        """Transcribe a film, and note damage."""
        try:
            transcript = transcripts.of(self._folders.inside(video.name), heard)
        except FileNotFoundError:
            return
        except (MediaError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.report.notes.append(f"{video.name} can't be transcribed: {reason}")
            return
        self.report.transcribed.append(video.name)
        said = Said("", 0, 0, transcriber=transcripts.key)
        self._pending.append((video.name, transcript.captions, said))
        if transcript.damaged:
            self.report.notes.append(
                f"{transcript.damaged} audio packets in {video.name} are damaged; words may be "
                "missing from its transcript."
            )

    def _set(self, name: str, said: Said | None) -> None:
        if self._videos[name].said != said:
            self._videos[name] = dataclasses.replace(self._videos[name], said=said)
            self._dirty = True

    def _commit(self) -> None:
        """Write the pending cues as a new file, and the manifest that names it."""
        self._committed = time.monotonic()
        speech = dict(self._writer.manifest.speech)
        if any(captions for _, captions, _ in self._pending):
            part, path = self._writer.new_speech()
            with files_lib.replacing(path) as temporary, SpeechWriter(temporary) as target:
                for name, captions, said in self._pending:
                    first, count = target.add(captions)
                    self._set(name, dataclasses.replace(said, part=part, first=first, count=count))
            speech[part] = file_sums(path)
        else:
            for name, _, said in self._pending:
                self._set(name, said)
        self._pending.clear()
        if self._dirty:
            self._dirty = False
            videos = tuple(self._videos[name] for name in sorted(self._videos))
            self._writer.commit(videos=videos, speech=speech)


def merge_speech(writer: Writer) -> None:
    """Merge the speech files if there are many files or many dead cues."""
    manifest = writer.manifest
    said = [video.said for video in manifest.videos if video.said is not None]
    parts = {name: SpeechPart(writer.speech_path(name)) for name in manifest.speech}
    stored, alive = sum(part.passages for part in parts.values()), sum(one.count for one in said)
    if len(parts) > _MOST_PARTS or stored - alive > _DEAD_SHARE * stored:
        videos, speech = copied(writer, parts, manifest.videos)
        writer.commit(videos=videos, speech=speech)


def copied(
    writer: Writer, parts: Mapping[str, SpeechPart], videos: Sequence[Video]
) -> tuple[tuple[Video, ...], dict[str, dict[str, Any]]]:
    """Copy the speech of videos into one new file.

    Args:
      writer: the index's writer, which is not committed.
      parts: the files that contain the speech, by name.
      videos: the videos.

    Returns:
      The videos with their new rows, and the manifest's record of the file, `Manifest.speech`.
    """
    if not any(video.said is not None and video.said.count for video in videos):
        return tuple(videos), {}
    name, path = writer.new_speech()
    moved = []
    with files_lib.replacing(path) as temporary, SpeechWriter(temporary) as target:
        for video in videos:
            said = video.said
            if said is not None and said.count:
                first = target.copy(parts[said.part], said.first, said.count)
                said = dataclasses.replace(said, part=name, first=first)
            moved.append(dataclasses.replace(video, said=said))
    return tuple(moved), {name: file_sums(path)}


def _same(said: Said, version: Said) -> bool:
    """Return whether the speech comes from captions with this size and time."""
    return not said.transcriber and (said.size, said.mtime_ns) == (version.size, version.mtime_ns)


def _show(progress: Progress, before: float, seconds: float) -> None:
    """Show how many seconds of all films are transcribed."""
    progress.update(max(0, round(before + seconds) - progress.done))

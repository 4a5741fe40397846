# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds the caption file of a video or audio file by its name."""

from __future__ import annotations

import os
import pathlib
import re

from mmv_tf.data import file_types
from mmv_tf.data.captions.reading import SUFFIXES

# ISO 639-1, with withdrawn codes that are still in use.
_TWO = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv "
    "cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr "
    "ht hu hy hz ia id ie ig ii ik in io is it iu iw ja ji jv jw ka kg ki kj kk kl km kn ko kr "
    "ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng "
    "nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk "
    "sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve "
    "vi vo wa wo xh yi yo za zh zu "
)

# ISO 639-2 codes of the same languages, and of others in which captions are common.
_THREE = (
    "aar abk afr aka alb amh ara arg arm asm ast ava ave aym aze bak bam baq bel ben bho bih "
    "bis bod bos bre bul bur cat ceb ces cha che chi chr chu chv ckb cmn cor cos cre cym cze "
    "dan deu div doi dut dzo ell eng epo est eus ewe fao fas fij fil fin fra fre fry ful geo "
    "ger gla gle glg glv gom gre grn gsw guj hat hau haw heb her hin hmn hmo hrv hun hye ibo "
    "ice ido iii iku ile ilo ina ind ipk isl ita jav jpn kab kal kan kas kat kau kaz khm kik "
    "kin kir kok kom kon kor kri kua kur lao lat lav lim lin lit ltz lub lug lus mac mah mai "
    "mal mao mar may mkd mlg mlt mni mon mri msa mul mya nan nau nav nbl nde ndo nds nep nld "
    "nno nob nor nso nya oci oji ori orm oss pan pap per pli pol por pus que roh ron rum run "
    "rus sag san sco sgn sin slk slo slv sme smo sna snd som sot spa sqi srd srp ssw sun swa "
    "swe szl tah tam tat tel tgk tgl tha tib tir tlh ton tpi tsn tso tuk tur twi uig ukr und "
    "urd uzb ven vie vol vro wel wln wol wuu xho yid yor yue zha zho zul zxx "
)

_CODES = frozenset((_TWO + _THREE).split())

# Suffixes that some tools add: the audience of the captions, or their origin.
_KINDS = "forced|sdh|cc|hi|auto|default"

_TAG = re.compile(rf"(?P<code>[a-z]{{2,3}})(?P<more>[-_][\w-]+)?(?:\.(?P<kind>{_KINDS}))?", re.I)


def language_rank(text: str) -> tuple[bool, bool, bool, str] | None:
    """Return the sort key for captions by language, or None if the text names no language.

    A language is an ISO 639 code with any subtags ("en", "pt-BR", "zh-Hans", "en-orig", "eng"),
    optionally followed by a dot and one of forced, sdh, cc, hi, auto and default. The spoken
    language ("-orig", YouTube's mark) comes first, then English, then the others by name; captions
    for foreign-language passages only (forced) come last.
    """
    match = _TAG.fullmatch(text)
    if match is None or match["code"].lower() not in _CODES:
        return None
    return (
        (match["kind"] or "").lower() == "forced",
        not (match["more"] or "").lower().endswith(("-orig", "_orig")),
        match["code"].lower() not in ("en", "eng"),
        text.lower(),
    )


class CaptionFiles:
    """Looks up caption files, listing each folder once.

    A video "soup.mp4" owns these files beside it, in order of preference:

    1. "soup.vtt", in the order of `SUFFIXES`;
    2. "soup.mp4.vtt", likewise;
    3. "soup.en.vtt": with a language, by `language_rank`, then in the order of `SUFFIXES`.

    Only the case of suffixes may differ. A file belongs to the video with the longest matching
    name: "soup.en.vtt" to "soup.en.mp4", if that exists.
    """

    def __init__(self) -> None:
        # Folder -> name of a video without its suffix -> names of caption files.
        self._folders: dict[pathlib.Path, dict[str, list[str]]] = {}

    def beside(self, video: pathlib.Path) -> list[pathlib.Path]:
        """Return a video's caption files, in order of preference."""
        folder = video.parent
        if folder not in self._folders:
            self._list(folder)
        return [folder / name for name in self._folders[folder].get(video.stem, ())]

    def _list(self, folder: pathlib.Path) -> None:
        names = _files(folder)
        media = {n for n in names if file_types.kind_of(n) in (file_types.VIDEO, file_types.SOUND)}
        stems = {pathlib.PurePath(name).stem for name in media}
        ranked: dict[str, list[tuple[tuple[object, ...], str]]] = {}
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() not in SUFFIXES:
                continue
            order = (SUFFIXES.index(suffix.lower()), suffix != suffix.lower(), name)
            for owner, rank in _owners(stem, media):
                ranked.setdefault(owner, []).append(((*rank, *order), name))
                # Only the video with the longest matching name owns the file.
                if owner in stems:
                    break
        self._folders[folder] = {
            owner: [name for _, name in sorted(found, key=lambda pair: pair[0])]
            for owner, found in ranked.items()
        }


def sidecar(video: pathlib.Path) -> pathlib.Path | None:
    """Return the preferred caption file beside a video; see `CaptionFiles`."""
    return next(iter(CaptionFiles().beside(video)), None)


def _files(folder: pathlib.Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except OSError:
        return []


def _owners(stem: str, media: set[str]) -> list[tuple[str, tuple[object, ...]]]:
    """Return possible video names for captions with this name, longest first, with ranks."""
    nothing = (False, False, False, "")
    owners: list[tuple[str, tuple[object, ...]]] = [(stem, (0, *nothing))]
    if stem in media:
        owners.append((os.path.splitext(stem)[0], (1, *nothing)))
    parts = stem.split(".")
    for count in (1, 2):
        rank = language_rank(".".join(parts[-count:])) if len(parts) > count else None
        if rank is not None:
            owners.append((".".join(parts[:-count]), (2, *rank)))
    return owners

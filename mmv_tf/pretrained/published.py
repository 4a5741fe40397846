# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Registry of the published weights: URL, license, size, inputs and embedding spaces.

Sources: https://github.com/google-deepmind/deepmind-research/tree/master/mmv and the cards of the
TF-Hub modules `deepmind/mmv` (MMV); https://github.com/antoine77340/S3D_HowTo100M and the cards of
`deepmind/mil-nce` (MIL-NCE). A fact that none of them states is None.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Literal

Format = Literal["haiku_pickle", "torch", "tf1_hub_module"]

_MMV = "https://storage.googleapis.com/deepmind-research-mmv"
_WORDS_NEEDED = "`--word_vectors` or `--vocabulary`: the file lacks the words of its word table"


@dataclasses.dataclass(frozen=True)
class Companion:
    """A file that belongs beside the weights.

    Attributes:
      file_name: name in the weights folder.
      size_bytes: size in bytes, or None if unknown.
    """

    file_name: str
    size_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Published:
    """Published weights.

    Attributes:
      name: key in `registry()`; programs accept it in place of a path.
      title: model and training data, for messages.
      format: "haiku_pickle", "torch" or "tf1_hub_module".
      graph: "FAC" or "Disjoint", see `mmv_tf.graphs`.
      outputs: modality -> space or "before_head" -> vector size, or None if unknown.
      address: https URL of the file; None for modules and where no URL works any more.
      kaggle: handle of a module on Kaggle Models.
      file_name: file name as published; None for modules, which are folders.
      size_bytes: file size in bytes, or None if unknown.
      license: license of the weights, or None if unknown.
      code_license: license of the code published with the weights, or None if unknown.
      num_frames, frame_rate, frame_size: training clips: number of frames, frames per second (None
        if unknown), height and width in pixels.
      sample_rate: sample rate of waveforms in Hz; None for a model without audio.
      needs: what a user must supply besides the weights; empty if nothing is needed.
      companions: files that belong beside the weights.
      preset: name of the same model with random weights, for `create_model`.
      notes: anything else to know before downloading.
    """

    name: str
    title: str
    format: Format
    graph: str
    outputs: Mapping[str, Mapping[str, int | None]]
    address: str | None = None
    kaggle: str | None = None
    file_name: str | None = None
    size_bytes: int | None = None
    license: str | None = None
    code_license: str | None = None
    num_frames: int = 32
    frame_rate: float | None = 10.0
    frame_size: int = 200
    sample_rate: int | None = None
    needs: str = ""
    companions: tuple[Companion, ...] = ()
    preset: str | None = None
    notes: str = ""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Inputs, such as ("video", "audio", "text")."""
        return tuple(self.outputs)

    @property
    def page(self) -> str | None:
        """The URL to open in a browser; None if no URL works any more."""
        if self.kaggle is not None:
            return f"https://www.kaggle.com/models/{self.kaggle}"
        return self.address


def _fac(representation: int, others: Mapping[str, int | None]) -> dict[str, dict[str, int | None]]:
    """Return the outputs of MMV's FAC models; `others` for audio and text (modules: spaces)."""
    return {
        "video": {"before_head": representation, "va": 512, "vat": 256},
        "audio": {**others, "va": 512, "vat": 256},
        "text": {**others, "vat": 256},
    }


def _mmv_pickle(name: str, backbone: str, representation: int, preset: str) -> Published:
    return Published(
        name=name,
        title=f"MMV, {backbone}, AudioSet and HowTo100M",
        format="haiku_pickle",
        graph="FAC",
        outputs=_fac(representation, {"before_head": 2048}),
        address=f"{_MMV}/{name}.pkl",
        file_name=f"{name}.pkl",
        license="CC BY-NC 4.0",
        code_license="Apache-2.0",
        sample_rate=48_000,
        needs=_WORDS_NEEDED,
        preset=preset,
        notes="the three pickles are 230 to 580 MB each",
    )


def _mmv_module(variation: str, backbone: str, representation: int) -> Published:
    return Published(
        name=f"hub_mmv_{variation.replace('-', '_')}",
        title=f"MMV, {backbone}, AudioSet and HowTo100M",
        format="tf1_hub_module",
        graph="FAC",
        outputs=_fac(representation, {}),
        kaggle=f"deepmind/mmv/TensorFlow1/{variation}/1",
        sample_rate=48_000,
    )


def _mil_nce_module(
    variation: str, backbone: str, size: int | None, frame_rate: float | None
) -> Published:
    return Published(
        name=f"hub_mil_nce_{variation}",
        title=f"MIL-NCE, {backbone}, HowTo100M",
        format="tf1_hub_module",
        graph="Disjoint",
        outputs={"video": {"before_head": 1024, "vt": size}, "text": {"vt": size}},
        kaggle=f"deepmind/mil-nce/TensorFlow1/{variation}/1",
        frame_rate=frame_rate,
    )


_PUBLISHED = (
    _mmv_pickle("mmv_s3d", "S3D-G", 1024, "s3d_fac"),
    _mmv_pickle("mmv_tsm_resnet_x1", "TSM-ResNet-50", 2048, "tsm50_fac"),
    _mmv_pickle("mmv_tsm_resnet_x2", "TSM-ResNet-50 x2", 4096, "tsm50x2_fac"),
    Published(
        name="mil_nce_s3d_torch",
        title="MIL-NCE, S3D-G, HowTo100M",
        format="torch",
        graph="Disjoint",
        outputs={
            "video": {"before_head": 1024, "vt": 512},
            "text": {"before_head": 2048, "vt": 512},
        },
        file_name="s3d_howto100m.pth",
        size_bytes=125_031_128,
        license="none stated",
        code_license="Apache-2.0",
        needs="a copy of the file and, for sentences, `s3d_dict.npy` beside it",
        companions=(Companion("s3d_dict.npy", 5_830_040),),
        notes=(
            "its URL, www.rocq.inria.fr/cluster-willow/amiech/howto100m/, has been reported "
            "dead since 2024 (github.com/facebookresearch/fairseq/issues/5513)"
        ),
    ),
    _mmv_module("s3d", "S3D-G", 1024),
    _mmv_module("tsm-resnet50", "TSM-ResNet-50", 2048),
    _mmv_module("tsm-resnet50x2", "TSM-ResNet-50 x2", 4096),
    _mil_nce_module("s3d", "S3D-G", 512, 10.0),
    _mil_nce_module("i3d", "I3D", None, None),
)


def registry() -> dict[str, Published]:
    """Return the published weights by name.

    >>> from mmv_tf import pretrained
    >>> pretrained.registry()["mmv_s3d"].license
    'CC BY-NC 4.0'
    """
    return {entry.name: entry for entry in _PUBLISHED}


def is_published(name: str) -> bool:
    """Return whether `name` is in the registry."""
    return name in registry()


def nearest_published(name: str) -> str | None:
    """Return the registry's name closest to `name`, or None."""
    near = difflib.get_close_matches(name, list(registry()), n=1, cutoff=0.7)
    return near[0] if near else None


def find_published(name: str) -> Published:
    """Return an entry from the registry.

    Raises:
      ValueError: the name is not in the registry; the message suggests the closest name.
    """
    entries = registry()
    if name not in entries:
        near = nearest_published(name)
        hint = f"did you mean {near!r}?" if near else f"the names are {', '.join(entries)}."
        raise ValueError(f"{name!r} is not a published model; {hint}")
    return entries[name]


def registry_table() -> str:
    """Render the registry as a Markdown table, for docs/checkpoints.md."""
    header = (
        "name",
        "model, training data",
        "outputs",
        "training clips",
        "also needed",
        "size",
        "license of the weights",
        "source",
    )
    rows = [header, ("---",) * len(header), *(_row(entry) for entry in registry().values())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(entry: Published) -> tuple[str, ...]:
    rate = f" at {entry.frame_rate:g} per second" if entry.frame_rate else ""
    frame = f"{entry.frame_size} x {entry.frame_size}"
    size = f"{entry.size_bytes:,} bytes" if entry.size_bytes else "unknown"
    return (
        f"`{entry.name}`",
        entry.title,
        "; ".join(f"{modality}: {_spaces(sizes)}" for modality, sizes in entry.outputs.items()),
        f"{entry.num_frames} frames{rate}, {frame}",
        entry.needs or ("`pip install 'mmv_tf[kaggle]'`" if entry.kaggle else "nothing"),
        "folder" if entry.kaggle else size,
        entry.license or "see its page",
        f"<{entry.page}>" if entry.page else entry.notes,
    )


def _spaces(sizes: Mapping[str, int | None]) -> str:
    return ", ".join(f"`{space}` {size or '(unknown size)'}" for space, size in sizes.items())

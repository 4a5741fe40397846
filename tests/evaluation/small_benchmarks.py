# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Little data sets in the benchmarks' own layouts, with media of the listed names."""

from __future__ import annotations

import functools
import pathlib
import shutil
import wave

import numpy as np
from PIL import Image

from mmv_tf.evaluation.benchmarks import BENCHMARKS
from mmv_tf.evaluation.declaration import Benchmark, changed
from tests import media_samples

_VIDEO = ("num_frames=4", "frame_rate=5.0", "short_side=36", "size=32", "windows=2")
_SHORT = {
    "video": _VIDEO,
    "audio": ("seconds=0.4", "windows=2"),
    "image": ("short_side=36", "size=32"),
}
_TINTS = ((1.0, 1.0, 1.0), (1.0, 0.7, 0.7), (0.7, 1.0, 0.7), (0.7, 0.7, 1.0))
_TRAINING = ("epochs=2", "batch_size=4")


def small(name: str) -> Benchmark:
    """A protocol shown few and small pictures, trained for a moment."""
    benchmark = BENCHMARKS[name]
    settings = []
    for views in ("train_views", "test_views"):
        if getattr(benchmark, views) is not None:
            settings += [f"{views}.{setting}" for setting in _SHORT[benchmark.modality]]
    if hasattr(benchmark.classifier, "epochs"):
        settings += [f"classifier.{setting}" for setting in _TRAINING]
    if hasattr(benchmark.classifier, "templates"):
        settings.append("classifier.allow_unknown=True")
    if hasattr(benchmark.classifier, "grid"):
        settings.append("classifier.grid=(0.001, 0.01)")
    if hasattr(benchmark.classifier, "mixup") and len(benchmark.splits) > 1:
        settings.append("splits=('1',)")
    elif len(benchmark.splits) > 1:
        settings.append(f"splits={benchmark.splits[:2]}")
    return changed(benchmark, settings)


@functools.cache
def _film(kind: int, directory: pathlib.Path) -> pathlib.Path:
    return media_samples.write_film(
        directory / f".film{kind}.mp4",
        seconds=1.2,
        frame_rate=10 + 7 * kind,  # other pictures at the same time
        tone_start=0.25 * (kind + 1),
        tint=_TINTS[kind],
    )


def film(path: pathlib.Path, kind: int, root: pathlib.Path) -> None:
    """A film of 1.2 s of one of a few kinds, encoded once and copied."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_film(kind, root), path)


def sound(path: pathlib.Path, kind: int, seed: int) -> None:
    """Half a second of a tone whose height tells the class, in noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(24_000) / 48_000
    noise = np.random.default_rng(seed).normal(size=24_000)
    samples = 0.4 * np.sin(2 * np.pi * 300 * 3**kind * times) + 0.02 * noise
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())


def image(path: pathlib.Path, kind: int, seed: int) -> None:
    """Noise of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 80, size=(40, 44, 3), dtype=np.uint8)
    pixels[..., kind % 3] += 150
    Image.fromarray(pixels).save(path)


def ucf101(root: pathlib.Path) -> pathlib.Path:
    """Two classes, three groups each in training, one in test."""
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("1 Archery\n2 Bowling\n")
    for split in (1, 2):
        train, test = [], []
        for label, name in enumerate(("Archery", "Bowling")):
            for group in range(1, 5):
                video = f"{name}/v_{name}_g{group:02d}_c01.avi"
                film(root / video, label, root)
                if group == split:
                    test.append(video)
                else:
                    train.append(f"{video} {label + 1}")
        (lists / f"trainlist{split:02d}.txt").write_text("\n".join(train))
        (lists / f"testlist{split:02d}.txt").write_text("\n".join(test))
    return root


def hmdb51(root: pathlib.Path) -> pathlib.Path:
    """The published table's form."""
    rows = ["video_id,label,split1,split2,split3"]
    for label, name in enumerate(("clap", "wave")):
        for number in range(4):
            video = f"Film{number}!_{name}_u_nm_np1_ba_goo_0.avi"
            film(root / name / video, label, root)
            uses = ["2" if number == split else "1" for split in range(3)]
            rows.append(",".join([video, f"{name}_test", *uses]))
    (root / "hmdb51.csv").write_text("\n".join(rows))
    return root


def kinetics(root: pathlib.Path) -> pathlib.Path:
    """Train and validate tables."""
    for name, count in (("train", 3), ("validate", 1)):
        rows = ["label,youtube_id,time_start,time_end,split"]
        for label, action in enumerate(("abseiling", "zumba")):
            for number in range(count):
                youtube = f"{name[:3]}{action[:3]}{number:05d}"
                rows.append(f"{action},{youtube},10,20,{name}")
                film(root / name / action / f"{youtube}_000010_000020.mp4", label, root)
        (root / f"{name}.csv").write_text("\n".join(rows))
    return root


def esc(root: pathlib.Path) -> pathlib.Path:
    """Class folders with folds in the names."""
    for label, name in enumerate(("001 - Low", "002 - High")):
        for fold in (1, 2, 3):
            for take in "AB":
                sound(root / name / f"{fold}-10{label}{fold}-{take}.wav", label, fold)
    return root


def audioset(root: pathlib.Path) -> pathlib.Path:
    """Three classes; one has no positive in the evaluation part."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/a,"Low"\n1,/m/b,"High"\n2,/m/c,"Never"\n'
    )
    for name, count in (("balanced_train", 6), ("eval", 4)):
        lines = ["# Segments csv", "# num_ytids=6", "# YTID, start_seconds, end_seconds, labels"]
        for number in range(count):
            mids = ["/m/a", "/m/b"][number % 2] + (",/m/c" if name != "eval" and not number else "")
            youtube = f"{name[:4]}_{number}-x"
            lines.append(f'{youtube}, 30.000, 40.000, "{mids}"')
            sound(root / name / f"{youtube}.wav", number % 2, number)
        (root / f"{name}_segments.csv").write_text("\n".join(lines))
    return root


def msrvtt(root: pathlib.Path) -> pathlib.Path:
    """Six videos with a sentence each."""
    rows = ["key,vid_key,video_id,sentence"]
    words = ("red square", "grey circle", "red circle", "grey square", "circle falls", "red sings")
    for number, text in enumerate(words):
        rows.append(f'ret{number},msr{number},video{number},"a {text}"')
        film(root / f"video{number}.mp4", number % 4, root)
    (root / "msrvtt_test.csv").write_text("\n".join(rows))
    return root


def youcook2(root: pathlib.Path) -> pathlib.Path:
    """Segments of two videos, one of them listed twice."""
    rows = ["end,start,task,text,video_id"]
    for number in range(2):
        film(root / f"xHr8X2Wpm{number}o.mp4", number, root)
        rows.append(f"0.6,0,226,red square,xHr8X2Wpm{number}o")
        rows.append(f"1,0.5,226,grey circle {['falls', 'sings'][number]},xHr8X2Wpm{number}o")
    rows.append(rows[-1].replace("grey", "red"))
    (root / "validation_youcook.csv").write_text("\n".join(rows))
    return root


def voc2007(root: pathlib.Path) -> pathlib.Path:
    """Two of the twenty classes have images; one image is difficult for a class."""
    from mmv_tf.data.datasets.voc2007 import CLASSES as VOC_CLASSES

    lists = root / "VOC2007" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, count in (("trainval", 6), ("test", 5)):
        ids = [f"{'0' if name == 'test' else '1'}{number:05d}" for number in range(count)]
        for number, identity in enumerate(ids):
            image(root / "VOC2007" / "JPEGImages" / f"{identity}.jpg", number % 2, number)
        for index, label in enumerate(VOC_CLASSES):
            signs = ["1" if index < 2 and number % 2 == index else "-1" for number in range(count)]
            if index == 0:
                signs[-1] = "0"
            lines = [f"{identity} {sign:>2}" for identity, sign in zip(ids, signs, strict=True)]
            (lists / f"{label}_{name}.txt").write_text("\n".join(lines))
    return root


def image_folder(root: pathlib.Path) -> pathlib.Path:
    """Three classes."""
    for part, count in (("train", 4), ("val", 2)):
        for label, name in enumerate(("blue", "green", "red")):
            for number in range(count):
                image(root / part / name / f"{number}.png", label, 10 * label + number)
    return root


MAKERS = {
    "ucf101_linear": ucf101,
    "ucf101_fine_tune": ucf101,
    "hmdb51_linear": hmdb51,
    "hmdb51_fine_tune": hmdb51,
    "kinetics600_linear": kinetics,
    "kinetics600_fine_tune": kinetics,
    "esc50_linear": esc,
    "esc10_linear": esc,
    "esc10_fine_tune": esc,
    "audioset_mlp": audioset,
    "msrvtt_retrieval": msrvtt,
    "youcook2_retrieval": youcook2,
    "voc07_linear": voc2007,
    "imagenet_linear": image_folder,
    "image_folder_linear": image_folder,
    "ucf101_zero_shot": ucf101,
    "hmdb51_zero_shot": hmdb51,
    "kinetics600_zero_shot": kinetics,
    "esc50_zero_shot": esc,
    "esc10_zero_shot": esc,
    "audioset_zero_shot": audioset,
    "voc07_zero_shot": voc2007,
    "image_folder_zero_shot": image_folder,
}

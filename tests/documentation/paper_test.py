# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""docs/paper.md from its first command to its last, on miniatures of all that it names.

The data sets are generated films, sounds and pictures in the layouts of the published ones. Each
command runs as it stands, in order, with sizes changed: the configuration's `runlocal`, few and
small views, one epoch. What is another thing here than on the page:
  - `mmv_tsm_resnet_x2.pkl` and `mmv_s3d.pkl` are random weights under the released names, thinner;
  - Beam is its DirectRunner, on one machine;
  - `n-def` is made as the page says, in Python; `i-inf` is no protocol, so nothing runs it.
"""

from __future__ import annotations

import csv
import functools
import gzip
import json
import pathlib
import re
import shlex
import shutil

import pytest

import mmv_tf
from mmv_tf.data.datasets.howto100m import split_of
from mmv_tf.evaluation import BENCHMARKS
from mmv_tf.training import load_model
from tests import installed, media_samples, modules, small_world
from tests.documentation import commands_run_test, pages
from tests.evaluation import small_benchmarks
from tests.pretrained import checkpoints

PAGE = pages.ROOT / "docs" / "paper.md"
COMMANDS = [command for command in pages.commands(PAGE) if not command.inline]
# Rows "| network | table | `words` | ..." of the page's first table.
CONFIGURATIONS = re.findall(r"^\|[^|]+\|[^|`]+\| `([\w,]+)` \|", PAGE.read_text(), re.M)
PROTOCOLS = sorted(set(re.findall(r"`(\w+)`", PAGE.read_text())) & set(BENCHMARKS))
TABLE_1 = shlex.split(re.search(r"`(--protocol.splits.*?)`", PAGE.read_text())[1])
# What the commands and the tables call the folders of data.
FOLDERS = {
    "ucf101": "UCF101",
    "hmdb51": "HMDB51",
    "kinetics600": "Kinetics600",
    "esc50": "ESC-50",
    "audioset": "AudioSet",
    "msrvtt": "MSR-VTT",
    "youcook2": "YouCook2",
    "voc07": "VOC",
    "imagenet": "ImageNet",
}
FILM_SECONDS = 11.0


def test_the_page_is_read_whole():
    """What is found on the page is all that there is to run."""
    assert len(COMMANDS) == len(re.findall(r"^mmv ", PAGE.read_text(), re.M))
    assert len(CONFIGURATIONS) == 10
    assert {name.split("_")[0] for name in PROTOCOLS} == set(FOLDERS)
    assert [flag.removeprefix("--protocol.") for flag in TABLE_1] == [
        "splits=('1',)",
        "train_views.num_frames=16",
        "test_views.num_frames=16",
    ]


def howto100m(root: pathlib.Path) -> None:
    """Three films for training and one that the rule holds out, with narrations."""
    names = [f"howto{number:06d}" for number in range(20_000)]
    held_out = next(name for name in names if split_of(name) == "validation")
    films = [*[name for name in names if split_of(name) == "train"][:3], held_out]
    (root / "videos").mkdir(parents=True)
    captions = {}
    for kind, name in enumerate(films):
        media_samples.write_film(
            root / "videos" / f"{name}.mp4", FILM_SECONDS, 10 + kind, tone_start=0.2 * kind
        )
        starts = [2.0 * n + 0.1 for n in range(5)]
        captions[name] = {
            "start": starts,
            "end": [start + 1.8 for start in starts],
            "text": [
                f"the {small_world.WORDS[(n + kind) % 4]} {small_world.WORDS[4 + n]}"
                for n in range(5)
            ],
        }
    (root / "raw_caption.json").write_text(json.dumps(captions))
    with open(root / "HowTo100M_v1.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "category_1", "category_2", "rank", "task_id"])
        writer.writerows([name, "Food", "Recipes", 1, 1] for name in films)


def audioset(root: pathlib.Path) -> None:
    """Films of ten seconds in all three lists, and a sound without a picture."""
    root.mkdir()
    (root / "class_labels_indices.csv").write_text(
        'index,mid,display_name\n0,/m/a,"Low"\n1,/m/b,"High"\n'
    )
    for name, count in (("balanced_train", 4), ("unbalanced_train", 4), ("eval", 4)):
        lines = ["# Segments csv", "# num_ytids=4", "# YTID, start_seconds, end_seconds, labels"]
        for number in range(count):
            youtube = f"{name[:4]}_{number}-x"
            lines.append(f'{youtube}, 30.000, 40.000, "{["/m/a", "/m/b"][number % 2]}"')
            if name == "unbalanced_train" and not number:
                small_benchmarks.sound(root / f"{youtube}_30.wav", 0, number)
            else:
                film(number % 2, root.parent, root / f"{youtube}_30.mp4")
        (root / f"{name}_segments.csv").write_text("\n".join(lines))


@functools.cache
def _film(kind: int, directory: pathlib.Path) -> pathlib.Path:
    return media_samples.write_film(
        directory / f".film{kind}.mp4", 10.0, 10 + 5 * kind, tone_start=1.0 + kind
    )


def film(kind: int, directory: pathlib.Path, path: pathlib.Path) -> None:
    """One of two films, encoded once."""
    shutil.copyfile(_film(kind, directory), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """What a reader of the page has who has everything."""
    path = tmp_path_factory.mktemp("paper")
    howto100m(path / "HowTo100M")
    audioset(path / "AudioSet")
    for protocol in PROTOCOLS:
        directory = path / FOLDERS[protocol.split("_")[0]]
        if not directory.exists():
            small_benchmarks.MAKERS[protocol](directory)
    vectors = small_world.write_word_vectors(path)
    for suffix in (".npy", ".txt"):
        vectors.with_suffix(suffix).rename(path / f"word2vec{suffix}")
    writer = checkpoints._Writer(0)
    writer.heads(writer.tsm50(32), writer.audio())  # features of 1024, for the published C
    checkpoints.write(path / "mmv_tsm_resnet_x2.pkl", writer.tree)
    network_and_its_words(path)
    return path


def network_and_its_words(path: pathlib.Path) -> None:
    """A released network with a table of 40 words, and all that tells what they are."""
    checkpoint, words = path / "mmv_s3d.pkl", modules.MANY_WORDS
    checkpoint.write_bytes(gzip.decompress(checkpoints.COMMITTED.read_bytes()))
    model = mmv_tf.import_haiku_checkpoint(checkpoint)
    table = model.text.embedding.embeddings.numpy()
    (path / "words.txt").write_text("\n".join(words[2:]) + "\n", encoding="utf-8")
    with gzip.open(path / "GoogleNews-vectors-negative300.bin.gz", "wb") as file:
        file.write(f"{table.shape[0]} {table.shape[1]}\n".encode())
        for word, vector in zip(words, table, strict=True):
            file.write(f"{word} ".encode() + vector.astype("<f4").tobytes() + b"\n")
    (path / "modules").mkdir()
    modules.TextModule(model, modules.tokenizer_of(words), words).save(path / "modules/mmv_s3d")


def smaller(words: tuple[str, ...]) -> list[str]:
    """A command of the page at miniature size."""
    changed = [
        re.sub(r"=(howto100m_audioset:\S+)", r"=\1,runlocal", word).replace(
            "--size=224", "--size=32"
        )
        for word in words
    ]
    if "deflate" in words:
        changed.append("--epochs=1")
    protocol = [word.partition("=")[2] for word in words if word.startswith("--protocol=")]
    # Before flags of the page's own, which go over these.
    return changed + [f"--protocol.{setting}" for name in protocol for setting in settings_of(name)]


def settings_of(protocol: str) -> list[str]:
    """What makes a protocol a small one, as `small_benchmarks.small` has it."""
    benchmark, small = BENCHMARKS[protocol], small_benchmarks.small(protocol)
    settings = []
    for views in ("train_views", "test_views"):
        if getattr(benchmark, views) is not None:
            settings += [f"{views}.{s}" for s in small_benchmarks._SHORT[benchmark.modality]]
    if hasattr(benchmark.classifier, "epochs"):
        settings += [f"classifier.{s}" for s in small_benchmarks._TRAINING]
    if hasattr(benchmark.classifier, "grid"):
        settings.append("classifier.grid=(0.001, 0.01)")
    if small.splits != benchmark.splits:
        settings.append(f"splits={small.splits}")
    return settings


def run(words: list[str], directory: pathlib.Path) -> str:
    return commands_run_test.run_as_given(words, directory, 900.0)


@pytest.fixture(scope="module")
def package(programs):
    with installed.first_on_the_path(programs):
        yield


@pytest.fixture(scope="module")
def reproduced(folder, package) -> dict[str, str]:
    """All commands of the page in order, with what they printed."""
    return {shlex.join(command.words): run(smaller(command.words), folder) for command in COMMANDS}


def held_out_of(directory: pathlib.Path) -> dict[str, float]:
    """What a finished run's last checkpoint says of the held-out slice."""
    found = {}
    for path in directory.glob("checkpoints/*/*.json"):
        metrics = json.loads(path.read_text()).get("metrics", {})
        found |= {name: value for name, value in metrics.items() if name.startswith("held_out/")}
    return found


@pytest.mark.slow
def test_every_command_of_the_page_runs(folder, reproduced):
    assert len(reproduced) == len(COMMANDS)
    splits = json.loads((folder / "data/howto100m/manifest.json").read_text())["splits"]
    assert {name: entry["num_examples"] for name, entry in splits.items()} == {
        "train": 15,
        "validation": 5,
    }
    splits = json.loads((folder / "data/audioset/manifest.json").read_text())["splits"]
    assert set(splits) == {"balanced_train", "eval", "unbalanced_train"}
    assert splits["unbalanced_train"]["num_with_video"] == 3
    held_out = held_out_of(folder / "runs/tsm50x2")
    assert held_out["held_out/text_to_video/count"] == 5
    for name in ("ucf101", "published", "esc50", "imagenet"):
        assert json.loads((folder / f"{name}.json").read_text())["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("words", CONFIGURATIONS)
def test_every_configuration_of_the_page_trains_and_evaluates(folder, reproduced, words):
    (train,) = [command.words for command in COMMANDS if command.words[:2] == ("mmv", "train")]
    command = [re.sub(r":tsm50x2$", f":{words}", word) for word in train[:-1]]
    output = f"runs/{words}"
    if words != "tsm50x2":
        run(smaller((*command, f"--output={output}")), folder)
    held_out = held_out_of(folder / output)
    assert ("held_out/text_to_video/count" in held_out) == (not words.endswith("va"))
    assert ("held_out/video_to_audio/count" in held_out) == (not words.endswith("vt"))


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_of_the_tables_runs(folder, reproduced, protocol):
    is_image = BENCHMARKS[protocol].modality == "image"
    data = FOLDERS[protocol.split("_")[0]]
    models = ["tsm50x2_image.keras"] if is_image else ["runs/tsm50x2"]
    if is_image:
        mmv_tf.deflation.deflate_naively(load_model(folder / "tsm50x2.keras")).save(
            folder / "n-def.keras"
        )
        models.append("n-def.keras")
    for model in models:
        words = (
            *("mmv", "evaluate", f"--protocol={protocol}", f"--model={model}"),
            *(f"--data={data}", f"--output={protocol}_{pathlib.Path(model).stem}.json"),
        )
        run(smaller(words), folder)
        results = json.loads((folder / words[-1].partition("=")[2]).read_text())
        assert results["counts"]["scored"]["test"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["ucf101_linear", "msrvtt_retrieval"])
def test_the_flags_of_table_1(folder, reproduced, protocol):
    given = TABLE_1 if protocol == "ucf101_linear" else TABLE_1[-1:]
    words = (
        *("mmv", "evaluate", f"--protocol={protocol}", "--model=runs/tsm50x2"),
        *(f"--data={FOLDERS[protocol.split('_')[0]]}", f"--output=table_1_{protocol}.json"),
    )
    run([*smaller(words), *given], folder)
    results = json.loads((folder / f"table_1_{protocol}.json").read_text())
    assert results["protocol"]["test_views"]["num_frames"] == 16

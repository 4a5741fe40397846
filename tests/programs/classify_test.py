# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import csv
import json

import keras
import numpy as np
import pytest

from mmv_tf.classification import load_classifier
from tests import running, small_world
from tests.classification import samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, sounds, and a classifier of them made by the program."""
    path = tmp_path_factory.mktemp("classify")
    keras.utils.set_random_seed(0)
    small_world.tiny_model().save(path / "model.keras")
    samples.write_sounds(path / "sounds", 4)
    done = running.run(
        *("classify", "fit", f"--model={path / 'model.keras'}", f"--data={path / 'sounds'}"),
        *(f"--output={path / 'c.keras'}", "--windows=2"),
    )
    assert done.returncode == 0, done.stderr
    assert "12 clips from 12 films scored (cross-validation)" in done.stdout
    assert "average precision  class" in done.stdout
    return path


def test_what_fit_writes(folder):
    results = json.loads((folder / "c.json").read_text())
    assert results["headline"] == "top_1"
    assert results["protocol"]["labels"] == ["high", "low", "noise"]
    assert results["counts"]["trained"] == 12
    assert results["metrics"]["top_1"]["value"] > 0.6
    low, high = results["metrics"]["top_1"]["interval"]
    assert 0 <= low <= results["metrics"]["top_1"]["value"] <= high <= 1
    assert np.sum(results["confusions"]) == 12
    with np.load(folder / "c.items.npz") as items:
        assert len(items["test/ids"]) == 12
    assert "<title>Classifier for audio: 3 labels</title>" in (folder / "c.html").read_text()
    assert not list(folder.glob(".*"))


@pytest.fixture
def unreadable(folder):
    """A damaged file among the sounds."""
    path = folder / "sounds" / "low" / "bad.wav"
    path.write_bytes(b"RIFF")
    yield path
    path.unlink()


def predict(folder, output, *flags):
    return running.run(
        *("classify", "predict", f"--classifier={folder / 'c.keras'}"),
        *(f"--data={folder / 'sounds'}", f"--output={output}", *flags),
    )


@pytest.mark.slow
def test_predict(folder, unreadable, tmp_path):
    done = predict(folder, tmp_path / "p.json", "--top=2", "--per_window")
    assert done.returncode == 0, done.stderr
    assert "1 of 13 files can't be read." in done.stderr
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["counts"] == {"read": 12, "unreadable": 1}
    by_name = {one["path"]: one for one in found["files"]}
    assert "bad.wav" in by_name["low/bad.wav"]["error"]
    classifier = load_classifier(folder / "c.keras")
    for name in ("high/0.wav", "low/3.wav"):
        expected = classifier.predict(folder / "sounds" / name, per_window=True)
        one = by_name[name]
        np.testing.assert_allclose(one["scores"], expected["scores"].mean(axis=0), atol=2e-5)
        assert one["top"][0]["score"] == max(one["scores"])
        assert len(one["top"]) == 2
        windows = one["windows"]
        np.testing.assert_allclose([window["start"] for window in windows], expected["start"])
        scores = [window["scores"] for window in windows]
        np.testing.assert_allclose(scores, expected["scores"], atol=2e-5)


@pytest.mark.slow
def test_predict_by_sentences(folder, tmp_path):
    flags = ("classify", "predict", f"--model={folder / 'model.keras'}", "--per_window",
             f"--data={folder / 'sounds'}", f"--output={tmp_path / 'p.json'}")  # fmt: skip
    done = running.run(*flags, "--labels=a red square,circle")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["labels"] == ["a red square", "circle"]
    assert len(found["files"]) == 12
    for one in found["files"]:
        assert sum(one["scores"]) == pytest.approx(1, abs=1e-4)
    unknown = running.run(*flags, "--labels=a red square,zebra")
    assert unknown.returncode == 1
    assert "For 1 of 2 classes, the model knows none of the words: 'zebra'" in unknown.stderr


@pytest.mark.slow
def test_predict_a_table(folder, unreadable, tmp_path):
    done = predict(folder, tmp_path / "p.csv", "--allow_missing=0")
    assert done.returncode == 1
    rows = {row["path"]: row for row in csv.DictReader((tmp_path / "p.csv").open(encoding="utf-8"))}
    assert len(rows) == 13
    assert rows["low/bad.wav"]["error"]
    scores = load_classifier(folder / "c.keras").predict(folder / "sounds/high/0.wav")["scores"]
    np.testing.assert_allclose(float(rows["high/0.wav"]["score high"]), scores[0, 0], atol=2e-5)


@pytest.mark.slow
def test_evaluate(folder, tmp_path):
    rows = [f"{label}/{n}.wav,{label},{'test' if n == 3 else 'train'}" for label in samples.NOTES
            for n in range(4)]  # fmt: skip
    (tmp_path / "l.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    done = running.run(
        *("classify", "evaluate", f"--classifier={folder / 'c.keras'}"),
        *(f"--list={tmp_path / 'l.csv'}", f"--data={folder / 'sounds'}"),
        *(f"--output={tmp_path / 'r.json'}", f"--report={tmp_path / 'r.html'}"),
    )
    assert done.returncode == 0, done.stderr
    assert "3 clips from 3 films scored (test)" in done.stdout
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["counts"]["scored"] == 3
    assert (tmp_path / "r.html").exists()


@pytest.mark.slow
def test_export(folder, tmp_path):
    done = running.run(
        *("classify", "export", f"--classifier={folder / 'c.keras'}", "--version=1"),
        *(f"--output={tmp_path / 'served'}", "--title=Notes", f"--results={folder / 'c.json'}"),
    )
    assert done.returncode == 0, done.stderr
    assert "signatures: classify. Serve it: mmv serve" in done.stdout
    card = (tmp_path / "served" / "1" / "model_card.md").read_text()
    assert card.startswith("# Notes\n")
    assert r"| `classify` | metrics, top\_1, value |" in card
    assert "penalty" not in card
    refused = running.run("export", f"--model={folder / 'c.keras'}", f"--output={tmp_path / 'x'}")
    assert refused.returncode == 1
    assert "mmv classify (predict, evaluate, export)" in refused.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("learn",), 2, "unknown command 'learn'"),
        (
            ("fit", "--model=m", "--output=c.keras"),
            2,
            "give --data, a folder with one subfolder per",
        ),
        (("fit", "--data=x", "--output=c.keras"), 2, "--model is missing"),
        (("fit", "--model=m", "--data=/nothing", "--output=c.h5"), 1, "end in .keras"),
        (("fit", "--model=m", "--data=/nothing", "--output=c.keras"), 1, "expected a folder with"),
        (("fit", "--model=m", "--list=/no.csv", "--output=c.keras"), 1, "can't read it"),
        (("fit", "--model=m", "--data=x", "--output=c.keras", "--threshold=2"), 2, "0 to 1"),
        (("predict", "--classifier=/no.keras", "--data=x"), 1, "There is no classifier at"),
        (("predict", "--data=x"), 2, "give --classifier, or --model and --labels"),
        (("predict", "--data=x", "--labels=a,b"), 2, "give --classifier, or --model and --labels"),
        (("predict", "--data=x", "--classifier=c", "--labels=a,b"), 2, "omit the other flags"),
        (("predict", "--data=/no/x", "--model=m", "--labels=a,b"), 1, "no such file or folder"),
        (
            ("predict", "--data=configs", "--model=m", "--labels=a,b"),
            1,
            "set the modality: --modal",
        ),
        (("predict", "--classifier=c", "--data=x", "--output=o.txt"), 1, "ending in .json or .csv"),
        (("evaluate", "--classifier=/no.keras", "--data=x"), 1, "There is no classifier at"),
        (("export", "--classifier=/no.keras", "--output=/no/x"), 1, "There is no classifier at"),
        (
            ("export", "--classifier=c.keras", "--output=tests"),
            1,
            "tests exists; choose another folder, or remove it",
        ),
        (("export", "--classifier=c", "--output=/no", "--version=0"), 1, "versions start at 1"),
        (("evaluate", "--classifier=c", "--data=x", "--split=all"), 2, "expected one of train"),
    ],
)
def test_mistakes(arguments, status, message):
    done = running.run_forked("classify", *arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout


def test_mistakes_in_labels(folder, tmp_path):
    def fit(*arguments):
        done = running.run_forked(
            *("classify", "fit", f"--model={folder / 'model.keras'}", *arguments),
            f"--output={tmp_path / 'out' / 'c.keras'}",
        )
        assert done.returncode in (1, 2)
        assert len(done.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()
        return done.stderr

    rows = [f"{label}/{n}.wav,{label}" for label in ("high", "low") for n in range(2)]
    table = tmp_path / "l.csv"
    table.write_text("\n".join(["path,label", *rows[:3]]) + "\n")
    assert "'low' has only one example" in fit(f"--list={table}", f"--data={folder / 'sounds'}")
    table.write_text("\n".join(["path,label", *rows]) + "\n")
    flags = (f"--list={table}", f"--data={folder / 'sounds'}")
    assert "needs --fine_tune; add it" in fit(*flags, "--fine_tune.epochs=3")
    assert "nearest: --fine_tune.epochs" in fit(*flags, "--fine_tune", "--fine_tune.epoch=3")

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classify videos, audio or images by your own labels.

  mmv classify fit --model=RUN --data=CLASS_FOLDERS --output=sounds.keras
  mmv classify fit --model=RUN --list=clips.csv --output=sounds.keras
  mmv classify predict --classifier=sounds.keras --data=DIR --output=scores.json
  mmv classify predict --model=RUN --labels="a dog barks,rain" --data=DIR
  mmv classify evaluate --classifier=sounds.keras --list=clips.csv
  mmv classify export --classifier=sounds.keras --output=DIR --version=1

See docs/classify.md.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

from absl import flags

from mmv_tf.data.file_types import is_media
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.util import command_line, files
from mmv_tf.util.command_line import UsageError
from mmv_tf.util.storage.workspace import storage_flags, updated_folder
from mmv_tf.util.text_files import printable_name

FLAGS = flags.FLAGS
_SHOWN = 20  # rows of classes or files to print


def _define_labels() -> None:
    flags.DEFINE_string(
        "data",
        None,
        "A folder with one subfolder per class; with --list, the folder that its paths are "
        "relative to.",
    )
    flags.DEFINE_string(
        "list",
        None,
        "A .csv or .tsv file with the columns path and label and, optionally, start, end, "
        "split and group.",
    )
    flags.DEFINE_integer(
        "allow_missing", 0, "Number of unreadable files to tolerate.", lower_bound=0
    )
    storage_flags(media=["data"], lists=["list"], is_media=is_media)


def _read_labels(modality: str | None, multi_label: bool | None) -> Any:
    from mmv_tf.classification import read_labels

    if FLAGS.list is None and FLAGS.data is None:
        raise UsageError("give --data, a folder with one subfolder per class, or --list.")
    source, data = (FLAGS.data, None) if FLAGS.list is None else (FLAGS.list, FLAGS.data)
    return read_labels(source, data=data, modality=modality, multi_label=multi_label)


def define_fit() -> None:
    """Train a classifier on labeled files."""
    _define_labels()
    define_network_flags(image_model=True)
    flags.DEFINE_string("output", None, "The .keras file to write.", required=True)
    flags.DEFINE_string("report", None, "Report to write; default: --output with the suffix .html.")
    flags.DEFINE_string("features", None, "Folder for cached features; default: beside --output.")
    flags.DEFINE_enum(
        "modality",
        None,
        ["video", "audio", "image"],
        "Modality; default: from the files' suffixes.",
    )
    flags.DEFINE_bool(
        "multi_label",
        None,
        "Allow any number of labels per clip; default: allowed if any clip has several.",
    )
    flags.DEFINE_enum(
        "feature",
        "before_head",
        ["before_head", "last_conv"],
        "Feature of the backbone; last_conv is for audio only.",
    )
    flags.DEFINE_integer(
        "windows", 10, "Maximum windows per file.", lower_bound=1, upper_bound=1000
    )
    flags.DEFINE_integer("folds", 5, "Maximum number of cross-validation folds.", lower_bound=2)
    flags.DEFINE_integer("batch_size", 16, "Windows per batch.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Seed for the folds.", lower_bound=0)
    flags.DEFINE_float(
        "threshold", 0.5, "Minimum score for a label to count, if clips may have several."
    )
    flags.DEFINE_bool(
        "fine_tune", False, "Train the whole backbone, not only a linear layer on top of it."
    )
    command_line.define_overrides("fine_tune", "Change a setting of --fine_tune, such as epochs.")
    storage_flags(outputs=["output", "report"], updated=["features"], last=["sums.json"])


def fit(argv: list[str]) -> int | None:
    """Fit a classifier, and write it with its results and report."""
    del argv
    from mmv_tf.classification import fine_tuning
    from mmv_tf.classification.classifier import check_name
    from mmv_tf.classification.fitting import FitOptions
    from mmv_tf.classification.fitting import fit as fit_classifier
    from mmv_tf.classification.results import fit_results, summary_lines

    _check_threshold()
    output = pathlib.Path(FLAGS.output)
    check_name(output)
    page = output.with_suffix(".html") if FLAGS.report is None else pathlib.Path(FLAGS.report)
    labeled = _read_labels(
        FLAGS.modality, FLAGS.multi_label
    )  # before the model, which loads slowly
    labeled.check_trainable()
    changes = FLAGS["fine_tune."].value
    if changes and not FLAGS.fine_tune:
        raise UsageError(f"--fine_tune.{changes[0]} needs --fine_tune; add it.")
    recipe = fine_tuning.recipe(labeled.modality, changes) if FLAGS.fine_tune else None
    for path in (output, page):
        files.check_writable(path)
    features = FLAGS.features or updated_folder(output.parent / "features", last=["sums.json"])
    options = FitOptions(
        cache=pathlib.Path(features),
        windows=FLAGS.windows,
        feature=FLAGS.feature,
        folds=FLAGS.folds,
        allow_missing=FLAGS.allow_missing,
        batch_size=FLAGS.batch_size,
        seed=FLAGS.seed,
    )
    encoder = network_flags().load_encoder()
    try:
        if recipe is None:
            fitted = fit_classifier(labeled, encoder, options)
        else:
            fitted = fine_tuning.fine_tune(labeled, encoder, options, recipe)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("rerun the command to resume") from None
    outcome = fit_results(labeled, fitted, FLAGS.threshold)
    fitted.classifier.save(output)
    outcome.write(output.with_suffix(".json"))
    _write_report(outcome.results, fitted.scored, fitted.classifier, page)
    for line in summary_lines(outcome.results, _SHOWN):
        print(line)
    print(f"Wrote {printable_name(output)} and its report, {printable_name(page)}.")
    return None


def define_predict() -> None:
    """Classify files, or all files below a folder, with a classifier or sentences."""
    flags.DEFINE_string("classifier", None, "The .keras file from `fit`.")
    define_network_flags(required=False, image_model=True)
    flags.DEFINE_list(
        "labels", None, "With --model: sentences that serve as labels, without training."
    )
    flags.DEFINE_enum(
        "modality",
        None,
        ["video", "audio", "image"],
        "With --labels: modality; default: from the files' suffixes.",
    )
    flags.DEFINE_multi_string("data", None, "A file or a folder; repeatable.", required=True)
    flags.DEFINE_string("output", None, "A .json or .csv file to write; default: print a table.")
    flags.DEFINE_bool("per_window", False, "Also score each window, with its times.")
    flags.DEFINE_integer("top", 5, "Number of top labels to return.", lower_bound=1)
    flags.DEFINE_float(
        "threshold", 0.5, "Minimum score for a label to count, if clips may have several."
    )
    flags.DEFINE_integer(
        "allow_missing",
        None,
        "Number of unreadable files to tolerate; default: any number.",
        lower_bound=0,
    )
    storage_flags(inputs=["classifier"], media=["data"], is_media=is_media, outputs=["output"])


def predict(argv: list[str]) -> int | None:
    """Write or print the scores of files."""
    del argv
    from mmv_tf.classification import prediction

    _check_threshold()
    if FLAGS.output is not None:
        prediction.check_output(FLAGS.output)
    classifier = _open_classifier()
    clips = prediction.find_clips(FLAGS.data, classifier.modality)
    options = prediction.PredictOptions(FLAGS.per_window, FLAGS.top, FLAGS.threshold)
    found = prediction.predict_clips(classifier, clips, options)
    if FLAGS.output is None:
        for one in found["files"]:
            for row in one.get("windows", [one]):
                print(_line(one["path"], row, found["multi_label"]))
    else:
        prediction.write_predictions(found, FLAGS.output)
        print(f"{printable_name(FLAGS.output)} has the scores of {found['counts']['read']} files.")
    unreadable = found["counts"]["unreadable"]
    if unreadable:
        print(f"{unreadable} of {len(clips)} files can't be read.", file=sys.stderr)
    allowed = len(clips) - 1 if FLAGS.allow_missing is None else FLAGS.allow_missing
    return command_line.FAILED if unreadable > allowed else None


def _open_classifier() -> Any:
    """Return the classifier from --classifier, or a zero-shot classifier with --labels."""
    from mmv_tf.classification import ZeroShotClassifier, load_classifier, prediction

    if FLAGS.classifier is not None:
        network = network_flags()
        if network.model is not None or network.options or FLAGS.labels or FLAGS.modality:
            raise UsageError(
                "--classifier has its own model, labels and modality; omit the other flags, or "
                "give --model and --labels without it."
            )
        return load_classifier(FLAGS.classifier)
    if FLAGS.model is None or not FLAGS.labels:
        raise UsageError("give --classifier, or --model and --labels.")
    modality = FLAGS.modality or prediction.told_modality(FLAGS.data)  # before the model
    return ZeroShotClassifier(network_flags().load_encoder(), FLAGS.labels, modality)


def define_evaluate() -> None:
    """Evaluate a classifier on labeled files that it was not trained on."""
    flags.DEFINE_string("classifier", None, "The .keras file from `fit`.", required=True)
    _define_labels()
    flags.DEFINE_string(
        "split", None, "Split to evaluate; default: test, or everything if there are no splits."
    )
    flags.DEFINE_string("output", None, "Results file to write (JSON).")
    flags.DEFINE_string("report", None, "Report to write (HTML).")
    flags.DEFINE_float(
        "threshold", 0.5, "Minimum score for a label to count, if clips may have several."
    )
    storage_flags(inputs=["classifier"], outputs=["output", "report"])


def evaluate(argv: list[str]) -> int | None:
    """Print the metrics, and write results and report."""
    del argv
    from mmv_tf.classification import fitting, load_classifier
    from mmv_tf.classification.labels import SPLITS, TEST
    from mmv_tf.classification.results import evaluation_results, summary_lines
    from mmv_tf.evaluation.features import Failures

    _check_threshold()
    if FLAGS.split is not None and FLAGS.split not in SPLITS:
        raise UsageError(f"--split={FLAGS.split}; expected one of {', '.join(SPLITS)}.")
    for path in (FLAGS.output, FLAGS.report):
        if path is not None:
            files.check_writable(path)
    classifier = load_classifier(FLAGS.classifier)
    labeled = _read_labels(classifier.modality, classifier.multi_label)
    split = FLAGS.split or (TEST if labeled.of(TEST) else None)
    clips = labeled.clips if split is None else labeled.of(split)
    failures = Failures(FLAGS.allow_missing)
    scored = fitting.evaluate(classifier, labeled, clips, failures)
    outcome = evaluation_results(classifier, scored, split or "all", failures, FLAGS.threshold)
    if FLAGS.output is not None:
        outcome.write(FLAGS.output)
    if FLAGS.report is not None:
        _write_report(outcome.results, scored, classifier, pathlib.Path(FLAGS.report))
    for line in summary_lines(outcome.results, _SHOWN):
        print(line)
    return None


def define_export() -> None:
    """Export a classifier as a SavedModel for serving."""
    from mmv_tf.publishing.flags import define_export_flags

    flags.DEFINE_string("classifier", None, "The .keras file from `fit`.", required=True)
    define_export_flags("Classifier", "classify_jpeg")
    storage_flags(inputs=["classifier"])


def export(argv: list[str]) -> int | None:
    """Write the folder of the SavedModel."""
    del argv
    from mmv_tf.classification import load_classifier
    from mmv_tf.classification.export import export_classifier
    from mmv_tf.publishing.flags import card_details, destination, export_options

    options, folder = export_options(), destination()  # before the classifier, which loads slowly
    classifier = load_classifier(FLAGS.classifier)
    names = export_classifier(classifier, folder, options, card_details())
    print(
        f"The SavedModel is in {printable_name(folder.target)}; signatures: {', '.join(names)}. "
        f"Serve it: mmv serve --saved_model={printable_name(folder.directory)}"
    )
    return None


def _write_report(results: Any, scored: Any, classifier: Any, path: pathlib.Path) -> None:
    from mmv_tf.classification.report import write_report

    write_report(results, scored, classifier, path)


def _line(path: str, row: dict[str, Any], multi_label: bool) -> str:
    if "error" in row:
        return f"{path}: {printable_name(row['error'])}"
    times = f" {row['start']:.2f}-{row['end']:.2f} s" if "start" in row else ""
    best = ", ".join(f"{one['label']} {one['score']:.3f}" for one in row["top"])
    if multi_label:
        best = f"{'; '.join(row['labels']) or 'no label'} ({best})"
    return f"{path}{times}: {best}"


def _check_threshold() -> None:
    if not 0 <= FLAGS.threshold <= 1:
        raise UsageError(f"--threshold={FLAGS.threshold:g}; expected 0 to 1.")


COMMANDS = {
    "fit": (define_fit, fit),
    "predict": (define_predict, predict),
    "evaluate": (define_evaluate, evaluate),
    "export": (define_export, export),
}

if __name__ == "__main__":
    command_line.run_commands(COMMANDS)

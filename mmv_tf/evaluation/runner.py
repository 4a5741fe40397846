# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs a declared benchmark: list -> media -> features -> classifier or ranks -> results."""

from __future__ import annotations

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmv_tf.data import media
from mmv_tf.deflation import ImageEncoder
from mmv_tf.evaluation import features as features_lib
from mmv_tf.evaluation.classification_metrics import IGNORED, label_ranks, multilabel_metrics
from mmv_tf.evaluation.declaration import (
    AudioViews,
    Benchmark,
    FineTuning,
    LinearSVMClassifier,
    MLPClassifier,
    VideoViews,
)
from mmv_tf.evaluation.extractor import Extractor
from mmv_tf.evaluation.feature_store import FeatureStore
from mmv_tf.evaluation.fine_tune import SoundSource, Source, VideoSource, fine_tune
from mmv_tf.evaluation.linear_svm import choose_C, fit_linear_svm
from mmv_tf.evaluation.listing import TEST, TRAIN, Item, Listing, MediaIndex, shown
from mmv_tf.evaluation.mlp import MLP
from mmv_tf.evaluation.results import Scored, environment, summarize, targets_of
from mmv_tf.evaluation.retrieval import RECALLS, grouped_p_values, permutation_p_value, ranks
from mmv_tf.evaluation.views import read_all
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder, as_encoder
from mmv_tf.util.progress import progress

logger = logging.getLogger(__name__)

PUBLISHED, CHOSEN = "published", "chosen"
# Ours: the whole matrix of ranks is held for the p-value.
_MAX_PERMUTED = 5000


@dataclasses.dataclass(frozen=True)
class Options:
    """How a benchmark is run; none of it is part of the protocol's name.

    Attributes:
      lists: the published lists, where they are not in the data's folder.
      features: folder of cached features.
      allow_missing: listed items that may be missing or unreadable.
      C: "chosen" on held-out training groups, "published", or a number.
      batch_size: windows at once; changes no result.
      seed: of random views, order and weights.
      changed: what was changed in the protocol (see `declaration.changed`), for the results.
    """

    features: pathlib.Path
    lists: pathlib.Path | None = None
    allow_missing: int = 0
    C: str | float = CHOSEN
    batch_size: int = 8
    seed: int = 0
    changed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The results to publish, and what each item scored: part ("test", or a direction) -> items."""

    results: dict[str, Any]
    scored: dict[str, Scored]


def run_benchmark(
    benchmark: Benchmark,
    model: Encoder | EmbeddingGraph | ImageEncoder,
    data: pathlib.Path,
    options: Options,
) -> Outcome:
    """Scores a network.

    Args:
      benchmark: what to do.
      model: the network, of any kind that `mmv_tf.load_encoder` opens; for images a deflated one.
        Fine-tuning changes its weights.
      data: folder of the media.
      options: see `Options`.

    Raises:
      ValueError: if the network lacks a modality, a list is wrong, or more items than allowed are
        missing or unreadable.
    """
    run = _Run(benchmark, as_encoder(model), data, options)
    if benchmark.classifier is None:
        scored, parts, details = run.retrieval()
    else:
        scored, parts, details = run.classification()
    kept = run.failures.without([item for _, item in run.tested])
    listed, scored_count = len(run.tested), len(next(iter(scored.values())).ids)
    if scored_count != len(kept):
        raise ValueError(
            f"{listed} items are listed for test and {listed - len(kept)} of them can't be read, "
            f"but {scored_count} were scored."
        )
    results = {
        "protocol": benchmark.as_dict(),
        "changed": list(options.changed),
        "model": {
            "sha256": run.hash,
            **run.encoder.network.description(),
        },
        "counts": {
            "listed": {"train": run.trained, "test": listed},
            "scored": {"test": scored_count},
            **run.failures.as_dict(),
        },
        "metrics": parts.get("test", parts),
        "headline": benchmark.metric,
        "reported": [dataclasses.asdict(figure) for figure in benchmark.reported],
        **details,
        "environment": environment(),
    }
    return Outcome(results, scored)


class _Run:
    """One run's lists, media and cache."""

    def __init__(
        self,
        benchmark: Benchmark,
        encoder: Encoder,
        data: pathlib.Path,
        options: Options,
    ):
        self.benchmark, self.encoder, self.options = benchmark, encoder, options
        # A network without the modality is refused before anything is looked for.
        self.extractor = self._extractor()
        self.listings: dict[str, Listing] = {
            split: benchmark.read_list(data, options.lists, split) for split in benchmark.splits
        }
        everything = [item for listing in self.listings.values() for item in listing.items]
        self.tested = [
            (split, item) for split, listing in self.listings.items() for item in listing.of(TEST)
        ]
        self.trained = sum(len(listing.of(TRAIN)) for listing in self.listings.values())
        self.failures = features_lib.Failures(options.allow_missing)
        self.paths, self.failures.missing = MediaIndex(data).find_all(everything)
        self.failures.check()
        self.hash = encoder.fingerprint
        self.cache = features_lib.Cache(
            options.features,
            {
                "protocol": benchmark.name,
                "protocol_version": benchmark.version,
                "model_sha256": self.hash,
            },
        )

    def _extractor(self) -> Extractor:
        benchmark, network = self.benchmark, self.encoder.network
        names = [benchmark.feature]
        if benchmark.classifier is None:
            if "video" not in network.modalities:
                raise ValueError(f"{benchmark.name} needs a network of videos, got an image one.")
            network.check_input("text")
            names = sorted(self._spaces("video"))
        if isinstance(benchmark.classifier, FineTuning) and self._graph() is None:
            raise ValueError(
                f"{benchmark.name} trains the network, and a SavedModel can't be trained here; "
                "give a .keras file, a training run or a released checkpoint."
            )
        return Extractor(self.encoder, benchmark.modality, names, self.options.batch_size)

    def _graph(self) -> EmbeddingGraph | None:
        """The network whose weights are at hand, if they are."""
        return getattr(self.encoder.network, "model", None)

    def _spaces(self, modality: str) -> set[str]:
        """The spaces that a modality is compared in with the others that the network has."""
        network = self.encoder.network
        network.common_space("text", "video")  # the protocol's own direction
        spaces = set()
        for other in network.modalities:
            if other not in (modality, "image"):
                try:
                    spaces.add(network.common_space(modality, other))
                except ValueError:
                    continue  # A disjoint network does not compare sound and text.
        return spaces

    # ---- Classification --------------------------------------------------------------------------

    def classification(
        self,
    ) -> tuple[dict[str, Scored], dict[str, dict[str, Any]], dict[str, Any]]:
        """Trains and scores on each split."""
        benchmark = self.benchmark
        score, multilabel = self._scorer(), benchmark.metric == "mAP"
        parts: list[Scored] = []
        details: dict[str, Any] = {}
        for split, listing in self.listings.items():
            train, test = (self.failures.without(listing.of(use)) for use in (TRAIN, TEST))
            if not train or not test:
                raise ValueError(f"{listing.name} has {len(train)} items to train and {len(test)} "
                                 "to test on; both are needed.")  # fmt: skip
            scores, detail = score(listing, train, test, split)
            details[split] = {"classes": len(listing.classes), "train": len(train), **detail}
            labels = _label_matrix(test, len(listing.classes))
            base: dict[str, Any] = {
                "ids": np.array([item.item_id for item in test]),
                "groups": np.array([item.group or item.item_id for item in test]),
                "splits": np.full(len(test), split),
            }
            if multilabel:
                base |= {"scores": scores, "labels": labels}
                base["points"] = benchmark.average_precision_points
            else:
                base["ranks"] = label_ranks(scores, np.array([item.labels[0] for item in test]))
            parts.append(Scored(**base))
        scored = parts[0] if len(parts) == 1 else _joined(parts)
        return {"test": scored}, {"test": summarize(scored, retrieval=False)}, {"splits": details}

    def _scorer(self) -> Callable[..., tuple[np.ndarray, dict[str, Any]]]:
        if isinstance(self.benchmark.classifier, FineTuning):
            return self._fine_tuned(self.benchmark.classifier)
        assert self.benchmark.train_views is not None
        everything = {
            use: self.failures.without(
                [item for listing in self.listings.values() for item in listing.of(use)]
            )
            for use in (TRAIN, TEST)
        }
        views = {TRAIN: self.benchmark.train_views, TEST: self.benchmark.test_views}
        stores: dict[str, FeatureStore] = {
            use: features_lib.extract(
                self.extractor,
                everything[use],
                self.paths,
                views[use],
                self.failures,
                self.cache,
                self.options.seed,
            )
            for use in (TRAIN, TEST)
        }

        def score(
            listing: Listing, train: Sequence[Item], test: Sequence[Item], split: str
        ) -> tuple[np.ndarray, dict[str, Any]]:
            train, test = self.failures.without(train), self.failures.without(test)
            x, row = features_lib.stacked(stores[TRAIN], train, self.benchmark.feature)
            tested, owner = features_lib.stacked(stores[TEST], test, self.benchmark.feature)
            labels = _label_matrix(train, len(listing.classes))[row]
            groups = np.array([train[index].group or train[index].item_id for index in row])
            predict, detail = self._classifier(x, labels, groups)
            windows = predict(tested)
            # The mean of the windows' scores.
            sums = np.zeros([len(test), windows.shape[1]])
            np.add.at(sums, owner, windows)
            return sums / np.bincount(owner)[:, np.newaxis], detail

        return score

    def _classifier(
        self, x: np.ndarray, labels: np.ndarray, groups: np.ndarray
    ) -> tuple[Callable[[np.ndarray], np.ndarray], dict[str, Any]]:
        """Trains on rows [n, dim] with labels [n, classes] (1, 0, -1)."""
        declared, options = self.benchmark.classifier, self.options
        exclusive = self.benchmark.metric != "mAP"
        if isinstance(declared, MLPClassifier):
            mlp = MLP(x, labels, declared, exclusive, options.seed)
            return mlp.scores, {}
        assert isinstance(declared, LinearSVMClassifier)
        targets = targets_of(labels)
        detail: dict[str, Any] = {}
        if options.C == CHOSEN:
            points = self.benchmark.average_precision_points

            def metric(scores: np.ndarray, rows: np.ndarray) -> float:
                if exclusive:
                    return float((label_ranks(scores, labels[rows].argmax(axis=1)) <= 1).mean())
                return float(multilabel_metrics(scores, labels[rows], points)["mAP"])

            C, tried = choose_C(
                x, targets, labels.argmax(axis=1), groups, declared.grid, metric, options.seed
            )
            detail["held_out"] = tried
        elif options.C == PUBLISHED:
            if str(x.shape[1]) not in declared.fixed_C:
                raise ValueError(
                    f"No C is published for {self.benchmark.name} with {x.shape[1]} features; it "
                    f"is for {', '.join(declared.fixed_C) or 'none'}. Leave --C out to choose one."
                )
            C = declared.fixed_C[str(x.shape[1])]
        else:
            C = float(options.C)
        machine = fit_linear_svm(x, targets, C)
        return machine.scores, {**detail, "C": C, "converged": machine.converged}

    def _fine_tuned(self, declared: FineTuning) -> Callable[..., tuple[np.ndarray, dict[str, Any]]]:
        benchmark, options, model = self.benchmark, self.options, self._graph()
        assert model is not None
        tower = model.backbone(benchmark.modality)
        before = tower.get_weights()
        everything = {
            item.item_id: item
            for listing in self.listings.values()
            for item in self.failures.without(listing.items)
        }
        source: Source
        if isinstance(benchmark.train_views, AudioViews):
            assert isinstance(benchmark.test_views, AudioViews)
            source = SoundSource(
                model,
                list(everything.values()),
                self.paths,
                benchmark.train_views,
                benchmark.test_views,
                options.seed,
                self.failures,
            )
        else:
            assert isinstance(benchmark.train_views, VideoViews)
            assert isinstance(benchmark.test_views, VideoViews)
            self._check_ends(list(everything.values()), benchmark.test_views)
            source = VideoSource(
                self.paths, benchmark.train_views, benchmark.test_views, options.seed
            )

        self.failures.check()

        def score(
            listing: Listing, train: Sequence[Item], test: Sequence[Item], split: str
        ) -> tuple[np.ndarray, dict[str, Any]]:
            tower.set_weights(before)
            name = f"fine-tune on {listing.name}"
            scores = fine_tune(
                tower, source, train, test, len(listing.classes), declared, options.seed, name
            )
            return scores, {}

        return score

    def _check_ends(self, items: Sequence[Item], views: VideoViews) -> None:
        """Puts videos down as failures whose first or last frame can't be read.

        All of them would be too much to decode before training; a video that fails in its middle
        ends the training by its name.
        """
        ends = dataclasses.replace(views, windows=2, num_frames=1)
        read = read_all(items, self.paths, ends)
        for item, found in progress(read, "check the videos", "videos"):
            if isinstance(found, media.MediaError):
                self.failures.unreadable[item.item_id] = str(found)

    # ---- Retrieval -------------------------------------------------------------------------------

    def retrieval(
        self,
    ) -> tuple[dict[str, Scored], dict[str, dict[str, Any]], dict[str, Any]]:
        """All directions among the modalities that the network has and the data hold."""
        views = self.benchmark.test_views
        assert isinstance(views, VideoViews)
        items = self.failures.without([item for _, item in self.tested])
        store = features_lib.extract(
            self.extractor, items, self.paths, views, self.failures, self.cache, self.options.seed
        )
        items = self.failures.without(items)
        found = {
            "video": {
                name: features_lib.pooled(store, items, name) for name in self.extractor.names
            },
        }
        text = Extractor(self.encoder, "text", sorted(self._spaces("text")), batch_size=256)
        sentences = [item.text for item in items]
        found["text"] = text(np.array(sentences))
        known = text.known(sentences)
        zero = [not values.any() for values in next(iter(found["text"].values()))]
        mute = [name for name, nothing in zip(sentences, zero & ~known, strict=True) if nothing]
        if mute:
            raise ValueError(
                f"{len(mute)} of {len(items)} sentences hold no word that the network knows, and "
                f"can't be embedded: {shown(mute)}. Use a network with these words."
            )
        unknown = int((~known).sum())
        details: dict[str, Any] = {"sentences_without_known_words": unknown}
        if "audio" in self.encoder.accepts:
            details |= self._sounds(items, views, found)
        elif "audio" in self.encoder.modalities:
            logger.warning("Directions with audio are left out: %s", self.encoder.refusal("audio"))
        scored, parts = {}, {}
        split = self.benchmark.splits[0]
        for query in found:
            for item in found:
                direction = self._direction(query, item, found, items, split)
                if direction is not None:
                    scored[f"{query} -> {item}"], parts[f"{query} -> {item}"] = direction
        order = ["text -> video", *(name for name in scored if name != "text -> video")]
        return (
            {name: scored[name] for name in order},
            {name: parts[name] for name in order},
            details,
        )

    def _sounds(
        self, items: Sequence[Item], views: VideoViews, found: dict[str, dict[str, np.ndarray]]
    ) -> dict[str, Any]:
        """Adds the sound's embeddings if all items have sound; else says how many have not."""
        extractor = Extractor(
            self.encoder, "audio", sorted(self._spaces("audio")), self.options.batch_size
        )
        # The same moments as the pictures.
        seconds = views.num_frames / views.frame_rate
        silent = features_lib.Failures(allowed=len(items))
        store = features_lib.extract(
            extractor, items, self.paths, AudioViews(views.windows, seconds), silent, self.cache
        )
        if silent.unreadable:
            logger.warning(
                "%d of %d videos have no sound (%s); directions with audio are left out.",
                len(silent.unreadable), len(items), shown(list(silent.unreadable)),
            )  # fmt: skip
        else:
            found["audio"] = {
                name: features_lib.pooled(store, items, name) for name in extractor.names
            }
        return {"without_sound": len(silent.unreadable)}

    def _direction(
        self,
        query: str,
        item: str,
        found: dict[str, dict[str, np.ndarray]],
        items: Sequence[Item],
        split: str,
    ) -> tuple[Scored, dict[str, Any]] | None:
        if query == item:
            return None
        try:
            space = self.encoder.common_space(query, item)
        except ValueError:
            return None
        try:
            rank = ranks(found[query][space], found[item][space])
        except ValueError as error:
            raise ValueError(f"{query} -> {item}: {error}") from error
        scored = Scored(
            ids=np.array([one.item_id for one in items]),
            groups=np.array([one.group or one.item_id for one in items]),
            splits=np.full(len(items), split),
            ranks=rank,
        )
        summary: dict[str, Any] = {"space": space, **summarize(scored, retrieval=True)}
        count = len(items)
        chance = {f"R@{k}": min(k, count) / count for k in RECALLS}
        summary["chance"] = {**chance, "median_rank": (count + 1) / 2, "mean_rank": (count + 1) / 2}
        if count <= _MAX_PERMUTED:
            pair = found[query][space], found[item][space]
            summary["p_value"] = permutation_p_value(*pair, seed=self.options.seed)
            summary |= grouped_p_values(*pair, scored.groups, seed=self.options.seed)
        return scored, summary


def _label_matrix(items: Sequence[Item], classes: int) -> np.ndarray:
    """int8 [N, classes]: 1, 0 or `IGNORED`."""
    labels = np.zeros([len(items), classes], np.int8)
    for row, item in enumerate(items):
        labels[row, list(item.ignored)] = IGNORED
        labels[row, list(item.labels)] = 1
    return labels


def _joined(parts: Sequence[Scored]) -> Scored:
    """The items of all splits; an item tested in several has its split in its id."""
    ids = np.concatenate(
        [np.array([f"{part.splits[0]}:{name}" for name in part.ids]) for part in parts]
    )
    return Scored(
        ids=ids,
        groups=np.concatenate([part.groups for part in parts]),
        splits=np.concatenate([part.splits for part in parts]),
        ranks=np.concatenate([part.ranks for part in parts if part.ranks is not None]),
    )

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures indexing and its parts, and queries over a million windows.

  python -m benchmarks.search --part=index [--video=FILE]
  python -m benchmarks.search --part=query [--windows=1000000] [--index=DIR]

Prints one line of JSON. The parts of indexing are decoding (PyAV decodes every frame and the audio,
without scaling) and the model's forward pass over the same number of windows. The parts and
indexing run in turn, in one process; CPU seconds are compared.

Queries are timed from the vector to the moments, on the memory-mapped index, and compared with the
matrix product alone and with exact search of the same vectors in float32, which must find the same
rows. The vectors form clusters, like the similar windows of a video: 2,000 centers with noise
around them. If the noise is as long as the centers (--spread=1), two vectors in a cluster have a
cosine of a half; with noise of twice the length a fifth, and of three times the length a tenth,
which is hardly a cluster. Queries are rows with noise of half their length, different from the
queries used to choose FAISS's settings.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from absl import app, flags

from benchmarks.generated_index import MATRIX as _MATRIX
from benchmarks.generated_index import generated_index
from benchmarks.measure import Times, interleaved, peak_bytes, print_result
from mmv_tf.search import approximate
from mmv_tf.search.exact import Term, best
from mmv_tf.search.queries import Asked
from mmv_tf.search.view import View

_PART = flags.DEFINE_enum("part", "query", ["index", "query"], "Part to measure.")
_FILM = flags.DEFINE_string("video", None, "Video to index; by default a generated minute.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds; in each, all runs take turns.", lower_bound=1)
_WINDOWS = flags.DEFINE_integer("windows", 1_000_000, "Windows in the index.", lower_bound=10_000)
_DIM = flags.DEFINE_integer("dim", 256, "Size of the vectors (MMV's S_vat: 256).", lower_bound=2)
_QUERIES = flags.DEFINE_integer("queries", 50, "Number of queries.", lower_bound=1)
_SPREAD = flags.DEFINE_float("spread", 1.0, "Length of the noise around a center.")
_DIRECTORY = flags.DEFINE_string("index", None, "Folder to keep the index in for the next run.")
# After a product, the BLAS threads busy-wait for the next one for a while.
_REST_SECONDS = 0.15


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(_DIRECTORY.value or folder)
        result = _index(pathlib.Path(folder)) if _PART.value == "index" else _query(directory)
    print_result(f"search_{_PART.value}", **result)


# --- Indexing -------------------------------------------------------------------------------------


def _index(folder: pathlib.Path) -> dict[str, Any]:
    import keras
    import ml_collections

    from mmv_tf.data import METADATA_KEYS
    from mmv_tf.pretrained import create_model
    from mmv_tf.search import Embedder, update_index
    from mmv_tf.search.frames import FRAMES_PER_SECOND
    from mmv_tf.search.indexing import Options
    from mmv_tf.util.configuration import load_config

    keras.utils.set_random_seed(0)
    words = ["rabbit", "butterfly"]
    vectors = np.random.default_rng(0).standard_normal((2, 50), np.float32)
    config = load_config("quickstart")
    settings = config.model.to_dict()
    settings["metadata"] = {key: config.data[key] for key in METADATA_KEYS}
    model = create_model(ml_collections.ConfigDict(settings), words, vectors)
    embedder = Embedder(model, "generated")
    film = pathlib.Path(_FILM.value) if _FILM.value else _write_film(folder / "film.mp4")
    with av.open(str(film)) as container:
        duration = container.duration / av.time_base
    starts = embedder.windows.starts(duration)
    windows = embedder.windows
    generator = np.random.default_rng(0)
    clip = generator.integers(0, 256, (1, windows.num_frames, windows.size, windows.size, 3))
    clips = np.repeat(clip.astype(np.uint8), len(starts), axis=0)
    sounds = np.repeat(generator.uniform(-1, 1, (1, windows.samples)), len(starts), axis=0)
    sounds = sounds.astype(np.float32)

    def forward() -> None:
        embedder.clips(clips)
        embedder.sounds(sounds)

    number = 0

    def index(frames_per_second: float) -> None:
        nonlocal number
        number += 1
        options = Options(processes=0, frames_per_second=frames_per_second)
        update_index(film, folder / f"index{number}", embedder, options=options)

    parts: dict[str, Callable[[], None]] = {
        "decode": lambda: _decode(film),
        "forward": forward,
        "index": lambda: index(0.0),
        "with_frames": lambda: index(FRAMES_PER_SECOND),
    }
    forward()  # traced before it is timed
    times = interleaved(parts, _ROUNDS.value, warm=0)
    (wall, cpu), (wall_1, cpu_1), (wall_2, cpu_2) = (
        times[name] for name in ("index", "decode", "forward")
    )
    return {
        "inputs": {"film_seconds": round(duration, 1), "windows": len(starts)},
        "times": times,
        "frames_cpu": round(times["with_frames"].cpu_seconds / cpu, 3),
        "ratio_cpu": round(cpu / (cpu_1 + cpu_2), 3),
        "ratio_wall": round(wall / (wall_1 + wall_2), 3),
    }


def _decode(film: pathlib.Path) -> None:
    """Decode every frame and all audio, without converting them."""
    for kind in ("video", "audio"):
        with av.open(str(film)) as container:
            stream = getattr(container.streams, kind)[0]
            stream.codec_context.thread_count = 1
            for _ in container.decode(stream):
                pass


def _write_film(path: pathlib.Path, seconds: int = 60) -> pathlib.Path:
    """Write a video of moving texture and noise: 640 x 360, 24 frames per second, H.264, AAC."""
    generator = np.random.default_rng(0)
    texture = generator.integers(0, 256, (90, 160 + 24 * seconds, 3), np.uint8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt, video.bit_rate = 640, 360, "yuv420p", 1_000_000
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        for number in range(24 * seconds):
            picture = texture[:, number : number + 160].repeat(4, axis=0).repeat(4, axis=1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        for start in range(0, 48_000 * seconds, 1024):
            noise = generator.uniform(-0.5, 0.5, (1, 1024)).astype(np.float32)
            piece = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
            piece.sample_rate, piece.pts = 48_000, start
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return path


# --- Queries --------------------------------------------------------------------------------------


def _query(directory: pathlib.Path) -> dict[str, Any]:
    index = generated_index(directory, _WINDOWS.value, _DIM.value, _SPREAD.value)
    (segment,) = index.segments.values()
    matrix = segment.array(_MATRIX)
    path = segment.directory / f"{_MATRIX}.faiss"
    made = (
        json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if path.exists()
        else approximate.build(matrix, path)
    )
    view = View(index, 1)
    wide = _float32(matrix, directory / "float32.npy")
    generator = np.random.default_rng(99)
    queries = [_near(matrix, generator) for _ in range(_QUERIES.value)]
    scores = np.empty(len(matrix), np.float32)

    def product(query: np.ndarray) -> None:
        np.dot(wide, query, out=scores)

    def exact_float32(query: np.ndarray) -> np.ndarray:
        return best([Term(wide, query, 1.0)], 10)[0]

    def exact_rows(query: np.ndarray) -> np.ndarray:
        return best([Term(matrix, query, 1.0)], 10)[0]

    def moments(query: np.ndarray, exact: bool) -> Any:
        return view.search((Asked(_MATRIX, query, 1.0),), 10, exact)

    index_file = view.approximate(next(iter(index.segments)), _MATRIX)
    if index_file is None:
        raise SystemExit('This needs FAISS: pip install "mmv_tf[search]".')
    kinds: dict[str, Callable[[np.ndarray], Any]] = {
        "product_float32": product,
        "exact_float32": exact_float32,
        "exact_ten_best": exact_rows,
        "exact_moments": lambda query: moments(query, True),
        "faiss_ten_best": lambda query: index_file.best(query, 10)[0],
        "faiss_moments": lambda query: moments(query, False),
    }
    for run in kinds.values():
        run(queries[0])  # reads the pages before it is timed
    times: dict[str, list[Times]] = {name: [] for name in kinds}
    hits = 0
    for query in queries:
        found = {}
        for name, run in kinds.items():
            time.sleep(_REST_SECONDS)
            start, cpu = time.perf_counter(), time.process_time()
            found[name] = run(query)
            times[name].append(Times(time.perf_counter() - start, time.process_time() - cpu))
        if found["exact_float32"].tolist() != found["exact_ten_best"].tolist():
            raise SystemExit("The best rows in float16 differ from those in float32.")
        hits += len(set(found["exact_ten_best"]) & set(found["faiss_ten_best"]))
    milliseconds = {
        name: {
            "median": round(1e3 * statistics.median(one.seconds for one in values), 2),
            "p95": round(1e3 * float(np.quantile([one.seconds for one in values], 0.95)), 2),
            "cpu_median": round(1e3 * statistics.median(one.cpu_seconds for one in values), 2),
        }
        for name, values in times.items()
    }
    exact, wider = (milliseconds[name] for name in ("exact_ten_best", "exact_float32"))
    return {
        "inputs": {
            "windows": len(matrix),
            "dim": matrix.shape[1],
            "spread": _SPREAD.value,
            "queries": _QUERIES.value,
        },
        "milliseconds": milliseconds,
        "exact_gb_per_second": round(matrix.nbytes / exact["median"] / 1e6, 2),
        "float16_to_float32": round(exact["median"] / wider["median"], 3),
        "float16_to_float32_cpu": round(exact["cpu_median"] / wider["cpu_median"], 3),
        "faiss_recall": round(hits / (10 * len(queries)), 4),
        "faiss": made,
        "faiss_bytes": path.stat().st_size,
        "anonymous_bytes": _anonymous_bytes(),
        "peak_bytes": peak_bytes(),
    }


def _float32(matrix: np.ndarray, path: pathlib.Path) -> np.ndarray:
    """Return the same vectors in float32, memory-mapped like the index's."""
    if not path.exists():
        with open(path, "wb") as file:
            np.save(file, matrix.astype(np.float32))
    return np.load(path, mmap_mode="r")


def _anonymous_bytes() -> int:
    """Return the memory that is not file-backed, which the system can't reclaim."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return 1024 * int(line.split()[1])


def _near(matrix: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return a row with noise."""
    row = np.array(matrix[generator.integers(len(matrix))], np.float32)
    noise = generator.standard_normal(row.shape, np.float32)
    row += 0.5 * noise / np.linalg.norm(noise)
    return row / np.linalg.norm(row)


if __name__ == "__main__":
    app.run(main)

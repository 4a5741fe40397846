# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Packaging. The exact versions that the project is tested with are in requirements.lock."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "([^"]+)"', (ROOT / "mmv_tf" / "version.py").read_text(encoding="utf-8")
)

setuptools.setup(
    name="mmv_tf",
    version=VERSION.group(1) if VERSION else "0",
    description="MultiModal Versatile networks (MMV) for TensorFlow and Keras 3",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.13",
    # The configurations of the top level are installed in the package.
    packages=[*setuptools.find_packages(include=["mmv_tf", "mmv_tf.*"]), "mmv_tf.configs"],
    package_dir={"mmv_tf.configs": "configs"},
    package_data={
        "mmv_tf": [
            "py.typed",
            "data/*.txt",
            "quickstart/*.tsv",
            "quickstart/*.vtt",
            "search/*.txt",
            "search/page_assets/*",
        ]
    },
    entry_points={"console_scripts": ["mmv = mmv_tf.programs.launcher:main"]},
    install_requires=[
        "tensorflow>=2.20,<2.22",
        # Keras 3.14 and older leave lists of lists of layers out of `.keras` files: of an audio
        # backbone's 88 weights 5 are saved, with a warning. There is no 3.16 to test yet.
        "keras>=3.15,<3.16",
        # Unicode rules and sub-word tokenizers; the default word tokenizer does not need it.
        "tensorflow-text>=2.20,<2.22",
        # Only its Python audio functions are used (spectrogram, melscale, masks).
        "tensorflow-io>=0.37.1",
        "tensorflow-hub>=0.16.1",
        # tensorflow-hub imports pkg_resources, which setuptools 82 removed.
        "setuptools<82",
        "absl-py>=2.1",
        "ml-collections>=1.0",
        "av>=14",
        # CRC-32C in hardware, for walking TFRecords.
        "google-crc32c>=1.5",
        "numpy>=1.26",
        "pillow>=10",
        "scipy>=1.13",
        "scikit-learn>=1.5",
        "threadpoolctl>=3.5",
        "tqdm>=4.66",
        "tensorboard>=2.20",
        "matplotlib>=3.9",
    ],
    extras_require={
        "cuda": ["tensorflow[and-cuda]>=2.20,<2.22"],
        # Filled by the parts of the project that bring them in.
        "parquet": ["pyarrow>=17"],
        "beam": ["apache-beam>=2.60"],
        # VOC2007 and ImageNet in prepare_data; not in the lock, since the tests do without.
        "tfds": ["tensorflow-datasets>=4.9"],
        # data.pixels=opencv, see docs/reading.md.
        "fast": ["simplejpeg>=1.8", "opencv-python-headless>=4.10"],
        "search": ["faiss-cpu>=1.9", "starlette>=0.40", "uvicorn>=0.30"],
        # Agents' access to a search index, see docs/search.md; not in the lock.
        "mcp": ["mcp>=2,<3"],
        # search export --store, not in the lock.
        "qdrant": ["qdrant-client>=1.14"],
        "pgvector": ["psycopg[binary]>=3.2"],
        # --transcribe of search index and prepare_data; not in the lock.
        "speech": ["faster-whisper>=1.1"],
        "serve": [
            "tensorflow-serving-api>=2.19",
            "starlette>=0.40",
            "uvicorn>=0.30",
            "prometheus-client>=0.20",
        ],
        # Not in the lock: only for these two steps of publishing, see docs/publishing.md, and
        # kagglehub for the modules of docs/checkpoints.md.
        "onnx": ["tf2onnx>=1.17", "onnx>=1.17", "onnxruntime>=1.20"],
        "kaggle": ["kagglehub>=0.3"],
        # The peer of make benchmark, in an environment of its own, .venv-torch; not in the lock.
        "torch": ["torch>=2.4", "numpy>=1.26"],
        # The site that `make docs` builds; locked apart, in requirements-docs.lock.
        "docs": ["mkdocs>=1.6", "mkdocs-material>=9.7", "mkdocstrings-python>=2", "ruff>=0.6"],
        # websockets: for driving Chromium; httpx: for Starlette's test client.
        "test": [
            "websockets>=13",
            "httpx>=0.27",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
            "mypy>=1.11",
            "types-tqdm",
        ],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)

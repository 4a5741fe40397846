# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml can't state: where the packages are, and the README for a package index.

The exact versions that the project is tested with are in requirements.lock.
"""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
REPOSITORY = "https://github.com/mmv-tf/mmv_tf"
PAGES = f"{REPOSITORY}/blob/main/"
PICTURES = "https://raw.githubusercontent.com/mmv-tf/mmv_tf/main/"
# The target of a Markdown link or picture, or of an attribute of an HTML tag. Addresses with a
# scheme and anchors of the page itself are left as they are.
TARGET = re.compile(r"""(\]\(|\b(?:href|src|srcset)=")(?![a-z]+:|#|/)([^)"\s]+)""")


def with_addresses(markdown: str) -> str:
    """Return Markdown whose relative links are addresses, outside its blocks of code."""

    def address(match: re.Match[str]) -> str:
        is_picture = re.search(r"\.(png|svg|jpg|gif|webp)$", match[2])
        return f"{match[1]}{PICTURES if is_picture else PAGES}{match[2]}"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else TARGET.sub(address, part) for part in parts)


setuptools.setup(
    long_description=with_addresses((ROOT / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    # The configurations of the top level are installed in the package.
    packages=[*setuptools.find_packages(include=["mmv_tf", "mmv_tf.*"]), "mmv_tf.configs"],
    package_dir={"mmv_tf.configs": "configs"},
    package_data={
        "mmv_tf": [
            "py.typed",
            *(f"**/*.{suffix}" for suffix in "css gz html j2 js json md svg tsv txt vtt".split()),
        ]
    },
)

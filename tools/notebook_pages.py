# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MkDocs hook that turns the notebooks in examples/ into pages of the site, with their outputs.

Nothing is run: a page shows the outputs stored in its notebook.
"""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def on_files(files: Any, config: Any) -> Any:
    """Add a page and its images for each notebook; called by MkDocs."""
    from mkdocs.structure.files import File

    for path in NOTEBOOKS:
        page, images = render(json.loads(path.read_text(encoding="utf-8")), path.stem)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=page))
        for name, content in images.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def render(notebook: dict[str, Any], stem: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook's Markdown, and its images by file name."""
    parts: list[str] = []
    images: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
            if len(parts) == 1:
                parts.append(f"This page is the notebook `examples/{stem}.ipynb`.")
        elif cell["cell_type"] == "code":
            parts.append(f"```python\n{source}\n```")
            for kind, content in _outputs(cell):
                if kind == "image":
                    name = f"{stem}_{len(images) + 1}.png"
                    images[name] = base64.b64decode(content)
                    parts.append(f"![Figure {len(images)} of the notebook]({name})")
                else:
                    parts.append(f"```text\n{content.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", images


def _outputs(cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the kind and content of a cell's outputs: an image or text."""
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        if "image/png" in data:
            yield "image", "".join(data["image/png"])
        elif text := "".join(output.get("text", data.get("text/plain", ""))):
            yield "text", text

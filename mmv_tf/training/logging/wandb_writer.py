# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Weights & Biases as a run's log. Its own environment variables apply, such as WANDB_MODE."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np
import wandb

from mmv_tf.training.logging.secrets import Plain
from mmv_tf.training.logging.settings import WANDB
from mmv_tf.training.logging.writers import LoggedRun


class WandbWriter:
    """A writer to a Weights & Biases run, which a resumed run continues.

    Neither the code nor the terminal output is uploaded.

    Args:
      run: the run; files go to the folder "wandb" in its folder.
    """

    def __init__(self, run: LoggedRun):
        settings = wandb.Settings(console="off", disable_code=True, disable_git=True, silent=True)
        self._run = wandb.init(
            project=run.project,
            name=run.name,
            id=run.remembered_id(WANDB),
            dir=str(run.directory),
            resume="allow",
            settings=settings,
        )

    def settings(self, settings: Mapping[str, Plain]) -> None:
        """Record settings as the run's configuration."""
        self._run.config.update(dict(settings), allow_val_change=True)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record scalars."""
        self._run.log(dict(values), step=step)

    def images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Record images."""
        self._run.log({name: wandb.Image(image) for name, image in images.items()}, step=step)

    def texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Record texts, as Markdown source."""
        pages = {
            name: wandb.Html(f"<pre>{html.escape(text)}</pre>") for name, text in texts.items()
        }
        self._run.log(pages, step=step)

    def close(self) -> None:
        """Upload the remaining data."""
        self._run.finish()

// Copyright 2026 The mmv_tf Authors.
// SPDX-License-Identifier: Apache-2.0
// Sets the chosen colors before anything is shown; a classic script, since modules come later.
try {
  const theme = localStorage.getItem("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // The browser stores nothing; its own preference holds.
}

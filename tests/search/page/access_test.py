# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The page for everybody: names, contrast, small screens, keyboards; and for a token's owner.

axe-core, an accessibility checker, is used too if MMV_TF_AXE or node_modules/axe-core has it.
"""

import os
import pathlib

import pytest

from tests import running
from tests.search.api.conftest import serve
from tests.search.page.conftest import MOMENTS, STATUS, Site, serve_here

TOKEN = "0123456789abcdef"
_INSTALLED = running.ROOT / "node_modules" / "axe-core" / "axe.min.js"
AXE = pathlib.Path(os.environ.get("MMV_TF_AXE", _INSTALLED))
VIEWS = {
    "": ".film-card",
    "?q=a+red+square&file=m": ".chip",
    "?q=a+red+square&group=film": ".film",
    "?view=videos": ".row",
}
# Contrast of texts with what is behind them, by WCAG 2; names of what can be used; ids.
CHECK = """(() => {
  const shade = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (color) => {
    shade.clearRect(0, 0, 1, 1);
    shade.fillStyle = color;
    shade.fillRect(0, 0, 1, 1);
    return [...shade.getImageData(0, 0, 1, 1).data].map((value) => value / 255);
  };
  const linear = (c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(linear)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      if (one.matches('.play')) return null;  // a picture
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] > 0.75) return color;
    }
    return [1, 1, 1, 1];
  };
  const wrong = [];
  const seen = (element) => element.offsetWidth > 1
    && element.checkVisibility({opacityProperty: true});
  let texts = 0;
  for (const element of document.querySelectorAll('body *')) {
    if (element.closest('svg') || !seen(element) || element.matches(':disabled')) continue;
    const said = [...element.childNodes].some((node) => node.nodeType == 3 && node.data.trim());
    if (!said) continue;
    const back = behind(element);
    if (!back) continue;
    texts += 1;
    const front = rgba(getComputedStyle(element).color);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const what = `${element.className} ${element.textContent.slice(0, 40)}`;
    if (ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(2)}: ${what}`);
  }
  let used = 0;
  const usable = 'button, a, input, select, [role=slider], video[controls]';
  for (const element of document.querySelectorAll(usable)) {
    if (!element.checkVisibility()) continue;
    used += 1;
    const labels = [...(element.labels ?? [])].map((label) => label.textContent).join('');
    const name = element.getAttribute('aria-label') || labels || element.textContent;
    if (!name.trim()) wrong.push(`no name: ${element.outerHTML.slice(0, 80)}`);
  }
  if (document.querySelector('img:not([alt])')) wrong.push('no alt');
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  if (new Set(ids).size != ids.length) wrong.push('an id is there twice');
  if (document.querySelectorAll('h1').length != 1) wrong.push('not one h1');
  if (!document.documentElement.lang || !document.title) wrong.push('no lang or title');
  if (document.querySelectorAll('main').length != 1) wrong.push('not one main');
  const levels = [...document.querySelectorAll('h1, h2, h3, h4')]
    .filter((one) => one.checkVisibility()).map((one) => +one.tagName[1]);
  levels.reduce((before, level) => {
    if (level > before + 1) wrong.push(`h${level} after h${before}`);
    return level;
  }, 0);
  return {wrong, texts, used};
})()"""


@pytest.fixture(scope="module")
def site(library, tmp_path_factory, page):
    api = serve(library.copy(tmp_path_factory.mktemp("access")))
    with serve_here(api.app) as address:
        yield Site(address, page)
        page.send("Emulation.setEmulatedMedia", features=[])
        page.open("about:blank")


def show(site, path, width, scheme):
    """Opens a view, on results with a moment that plays and one that is chosen."""
    site.page.send(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    site.open(path, width)
    site.page.wait(f"!!document.querySelector('{VIEWS[path]}')")
    site.page.run("document.querySelector('details')?.setAttribute('open', '')")
    if "file" in path:
        site.page.run("document.querySelector('#narrow').click()")
        site.click(".pick input")
        site.click(".moment .play")
        site.page.wait("!!document.querySelector('.stage video')")


everywhere = pytest.mark.parametrize("scheme", ["light", "dark"])


@everywhere
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("path", VIEWS)
def test_names_labels_and_contrast(site, path, width, scheme):
    show(site, path, width, scheme)
    found = site.page.run(CHECK)
    assert found["wrong"] == []
    assert found["texts"] > 8 and found["used"] > 8
    assert site.page.run("document.documentElement.scrollWidth") <= width
    clear = "getComputedStyle(document.body).backgroundColor"
    assert (site.page.run(clear) == "rgb(15, 17, 21)") == (scheme == "dark")


@pytest.mark.skipif(
    not AXE.is_file(), reason=f"no axe-core: MMV_TF_AXE is not set, no {_INSTALLED}"
)
@everywhere
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("path", VIEWS)
def test_axe_finds_nothing_serious(site, path, width, scheme):
    show(site, path, width, scheme)
    site.page.send("Runtime.evaluate", expression=AXE.read_text(encoding="utf-8"))
    found = site.page.run(
        "axe.run(document, {resultTypes: ['violations']}).then(result => [result.passes.length,"
        " result.violations.map(one => [one.impact, one.id, one.nodes[0].target.join(' ')])])"
    )
    assert found[0] > 10
    assert [one for one in found[1] if one[0] in ("serious", "critical")] == []


def test_the_checker_finds_what_is_wrong(site):
    site.open()
    site.page.run(
        """(() => { const p = document.createElement('p'); p.textContent = 'grey on grey';
        p.style.color = '#999'; p.style.background = '#aaa';
        document.body.append(p, document.createElement('button')); })()"""
    )
    found = "\n".join(site.page.run(CHECK)["wrong"])
    assert "grey on grey" in found and "no name: <button>" in found


def test_colors_can_be_chosen(site):
    color = "getComputedStyle(document.body).backgroundColor"
    show(site, "", 1400, "light")
    light = site.page.run(color)
    site.page.run("theme.click()")
    dark = site.page.run(color)
    assert dark != light
    site.open()
    assert site.page.run(color) == dark, "the choice is kept"
    assert site.page.run("theme.getAttribute('aria-pressed')") == "true"
    site.page.run("theme.click()")
    assert site.page.run(color) == light
    site.page.run("localStorage.clear()")


def test_who_wants_no_motion_gets_none(site):
    site.page.send(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
    )
    site.open("?q=a+red+square")
    point_at_a_moment(site)
    site.page.run("new Promise(done => setTimeout(done, 500))")
    assert not site.page.run("document.querySelector('.preview')")
    site.page.send("Emulation.setEmulatedMedia", features=[])
    site.open("?q=a+red+square")
    point_at_a_moment(site)
    site.page.wait("document.querySelector('.preview')?.muted")
    site.page.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    site.page.wait("!document.querySelector('.preview')")


def point_at_a_moment(site):
    x, y = site.page.run(
        "(() => { const b = document.querySelector('.moment .play').getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )
    site.page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def test_a_token_is_asked_once(library, tmp_path, page):
    with serve_here(serve(library.copy(tmp_path), token=TOKEN).app) as address:
        site = Site(address, page)
        page.send("Network.clearBrowserCookies")
        site.open("?q=a+red+square")
        page.wait("document.querySelector('dialog').open")
        page.run("secret.focus()")
        page.write("wrong")
        page.press("Enter")
        page.wait("document.getElementById('token-error').textContent == 'The token is incorrect.'")
        page.write(TOKEN)
        page.press("Enter")
        page.wait(MOMENTS)
        assert not page.run("document.querySelector('dialog').open")
        page.wait("document.querySelector('.moment img').naturalWidth")  # by the session's cookie
        assert TOKEN not in page.run(
            "document.cookie + JSON.stringify({...localStorage, ...sessionStorage})"
        )
        site.open("?q=a+red+square")
        page.wait(MOMENTS)
        assert not page.run("document.querySelector('dialog').open")
        assert "failed" not in page.run(f"status.className + {STATUS}")
        page.open("about:blank")

# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The page as a user sees it."""

import json
import shutil

import pytest

from mmv_tf.search import update_index
from tests import media_samples
from tests.search.api.conftest import serve
from tests.search.conftest import EVIL_NAME, HERE
from tests.search.page.conftest import MOMENTS, STATUS, Site, picture, serve_here

OLD = "old.avi"  # MPEG-4 Visual in AVI, which browsers don't play


@pytest.fixture(scope="module")
def own(library, tmp_path_factory):
    """The library, and a film that browsers can't play."""
    own = library.copy(tmp_path_factory.mktemp("site"))
    film = {"codec": "mpeg4", "size": (96, 64), "audio": None}
    media_samples.write_film(own.videos / OLD, seconds=3, **film)
    shutil.rmtree(own.index)
    update_index(own.videos, own.index, own.embedder, options=HERE)
    return own


@pytest.fixture(scope="module")
def api(own):
    return serve(own, results=2)


@pytest.fixture(scope="module")
def site(api, page):
    with serve_here(api.app) as address:
        yield Site(address, page)
        page.open("about:blank")


def test_searching_by_keyboard_plays_at_the_right_second(site):
    site.open("?file=long.mp4")
    page = site.page
    assert "4 videos" in page.run("document.querySelector('.lead').innerText")
    page.press("/", "/")
    page.write("a red square")
    page.press("Enter")
    page.wait(MOMENTS)
    assert site.settled() == "2 moments, best first"
    # The second moment, whatever it is.
    page.run("sentence.focus()")
    for _ in range(2):
        page.press("ArrowDown")
    moment = "document.activeElement.closest('.moment')"
    assert page.run(f"[...document.querySelectorAll('.moment')].indexOf({moment})") == 1
    start = page.run(f"{moment}.querySelector('.times span').innerText").split(" ")[0]
    page.press("Enter")
    page.wait("document.querySelector('.stage video')?.readyState >= 2")
    page.run("document.querySelector('.stage video').pause()")
    minutes, seconds = start.split(":")
    wanted = 60 * int(minutes) + float(seconds)
    played = page.run("document.querySelector('.stage video').currentTime")
    assert wanted - 0.05 <= played < wanted + 2
    assert page.run("document.querySelector('.player .name').innerText") == "long.mp4"
    # A click in the middle of the curve plays the middle.
    x, y = page.run(
        "(() => { const b = document.querySelector('.curve.large').getBoundingClientRect();"
        " return [b.left + b.width / 2, b.top + b.height / 2]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        page.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    video = "document.querySelector('.stage video')"
    page.wait(f"Math.abs({video}.currentTime - {video}.duration / 2) < 0.6")
    page.run(f"{video}.play()")
    page.press("Escape")
    page.wait(f"{video}.paused")
    page.press("Escape")
    page.wait("document.getElementById('player').hidden")


def test_the_right_frame_is_shown(site):
    """The film's picture says which frame it is, so a player that starts elsewhere is found out."""
    site.open("?q=a+red+square&file=long.mp4")
    site.click(".moment .play")
    site.page.wait("document.querySelector('.stage video')?.readyState >= 2")
    greys = site.page.run(
        """(async () => {
          const video = document.querySelector('.stage video');
          video.pause();
          const time = video.currentTime;
          await new Promise((done) => { video.onseeked = done; video.currentTime = time + 1e-4; });
          const canvas = document.createElement('canvas');
          canvas.width = video.videoWidth; canvas.height = video.videoHeight;
          const context = canvas.getContext('2d');
          context.drawImage(video, 0, 0);
          const grey = (x) => context.getImageData(x, canvas.height - 8, 1, 1).data[0];
          return [time, grey(canvas.width / 4), grey(canvas.width * 3 / 4)];
        })()"""
    )
    number = round((greys[1] - 10) / 20) * 10 + round((greys[2] - 10) / 20)
    assert abs(number - int(greys[0] * 24) % 120) <= 1


def test_a_film_the_browser_cannot_play_is_offered_converted(site):
    site.open(f"?q=a+red+square&file={OLD}")
    site.click(".moment .play")
    site.page.wait("document.querySelector('.notice')?.innerText.includes(\"can't play\")")
    assert OLD in site.page.run("document.querySelector('.notice').innerText")
    site.click_text("Play the moment converted", ".notice")
    site.page.wait("document.querySelector('.stage video')?.readyState >= 2")
    assert "mode=exact" in site.page.run("document.querySelector('.stage video').currentSrc")


def test_names_and_captions_are_texts(site):
    site.open("?q=a+red+square")
    while site.page.run("!!document.querySelector('.next')"):
        shown = site.page.run(MOMENTS)
        site.click(".next")
        site.page.wait(f"{MOMENTS} > {shown}")
    names = site.texts(".moment .name")
    assert EVIL_NAME in names
    texts = site.texts(".said")
    assert any(text.startswith("<img src=x onerror=alert(2)> the red square") for text in texts)
    site.page.run(f"document.querySelectorAll('.moment .play')[{names.index(EVIL_NAME)}].click()")
    site.page.wait("!!document.querySelector('.player .name')")
    for selector in ("#filters", "#chips"):
        site.page.run(f"document.querySelector('{selector}').hidden = false")
    assert site.page.run("document.querySelectorAll('[onerror]').length") == 0
    site.open("?view=videos")
    site.page.wait("document.querySelectorAll('.row').length == 5")
    assert site.page.run("document.querySelectorAll('[onerror]').length") == 0
    assert site.page.dialogs == []


def test_the_toggle_and_the_address_are_one_state(site):
    site.open("?q=a+red+square")
    page = site.page
    seen = site.texts(".moment .times")
    page.run("document.querySelector('#within input[value=audio]').click()")
    page.wait("location.search.includes('within=audio')")
    page.wait(f"{json.dumps(seen)}.join() != [...document.querySelectorAll('.moment .times')]"
              ".map(e => e.textContent).join()")  # fmt: skip
    heard = site.texts(".moment .times")
    page.run("history.back()")
    page.wait("!location.search.includes('within')")
    page.wait(f"{json.dumps(seen)}.join() == [...document.querySelectorAll('.moment .times')]"
              ".map(e => e.textContent).join()")  # fmt: skip
    page.run("history.forward()")
    page.wait(f"{json.dumps(heard)}.join() == [...document.querySelectorAll('.moment .times')]"
              ".map(e => e.textContent).join()")  # fmt: skip
    site.open("?q=a+red+square&within=audio&group=film")
    assert page.run("document.querySelector('#within input[value=audio]').checked")
    assert page.run("group.checked") and site.texts(".film-name")


def test_what_is_combined_can_be_removed(site):
    site.open("?q=a+red+square")
    page = site.page
    page.run("[...document.querySelectorAll('.moment .actions button')].find(b => b.innerText"
             ".trim().startsWith('More like this')).click()")  # fmt: skip
    page.wait("location.search.startsWith('?like=')")
    assert "Like the moment" in site.texts(".chip .text")[0]
    page.wait(MOMENTS)
    site.search("a square")
    assert len(site.texts(".chip")) == 2
    assert page.run("location.search").count("=") == 2
    page.run("document.querySelector('.chip .remove').click()")
    page.wait("location.search.startsWith('?like=')")
    page.run("document.querySelector('.chip .remove').click()")
    page.wait("location.search == '' && !!document.querySelector('.welcome')")
    # A second sentence.
    site.search("a red square")
    page.run("another.click()")
    page.write("a square")
    page.press("Enter")
    page.wait("location.search == '?q=a+red+square&q=a+square'")
    site.settled()
    assert site.texts(".chip .text") == ["“a red square”", "“a square”"]


def test_a_sentence_can_be_avoided(site):
    site.open("?q=a+red+square&q=a+circle")
    page = site.page
    both = site.texts(".moment .times")
    page.run("document.querySelectorAll('.chip .flip')[1].click()")
    page.wait("location.search == '?q=a+red+square&avoid=a+circle'")
    site.settled()
    assert site.texts(".chip .text") == ["“a red square”", "without “a circle”"]
    assert site.texts(".moment .times") != both
    page.run("document.querySelectorAll('.chip .flip')[1].click()")
    page.wait("location.search == '?q=a+red+square&q=a+circle'")
    site.settled()
    assert site.texts(".moment .times") == both
    # Nothing can be found by what is avoided alone.
    site.open("?avoid=a+circle")
    assert site.status.startswith("Filters narrow a search")


def test_a_least_confidence_is_a_filter(site):
    site.open("?q=a+red+square")
    page = site.page
    page.run("""(() => { const real = window.fetch; window.fetch = (address, options) => {
        if (address.endsWith('/search')) window.asked = JSON.parse(options.body);
        return real(address, options); }; })()""")
    page.run("document.querySelector('.confident select').value = '0.9'")
    page.run("document.querySelector('.confident select').dispatchEvent(new Event('change'))")
    page.wait(
        "location.search == '?q=a+red+square&min_score=0.9' && window.asked?.min_score == 0.9"
    )
    site.settled()
    assert "Likely or better" in site.texts(".chip .text")
    assert site.texts("#narrow")[0].strip() == "Filters (1)"
    site.open("?q=a+red+square&min_score=1e9")
    assert "min_score" not in page.run("document.querySelector('#narrow').innerText")
    assert page.run("document.querySelector('.confident select').value") == ""


def test_pages_follow_one_another(site):
    site.open("?q=a+red+square")
    first = site.texts(".moment .times")
    site.click(".next")
    site.page.wait(f"{MOMENTS} > 2")
    more = site.texts(".moment .times")
    assert more[:2] == first and len(set(more)) == len(more)
    assert "page=2" in site.page.run("location.search")
    site.open("?q=a+red+square&page=2")
    assert site.texts(".moment .times") == more
    heights = site.page.run(
        "[...document.querySelectorAll('.moment .line')].map(l => l.getAttribute('points')"
        "?.split(' ').map(p => +p.split(',')[1])).filter(Boolean)"
    )
    assert len(heights) == len(more)
    lowest, highest = max(map(max, heights)), min(map(min, heights))
    assert (lowest, highest) == (46, 3), "all curves share one scale, whose ends are reached"


@pytest.mark.parametrize("how", ["drop", "paste", "choose"])
def test_files_are_searched_for(site, tmp_path, how):
    site.open()
    page = site.page
    if how == "choose":
        (tmp_path / "<b>a.png").write_bytes(picture())
        page.upload("#files", tmp_path / "<b>a.png")
    else:
        site.give(how, "<b>a.png", "image/png", picture())
    page.wait("document.querySelector('.chip .text')?.textContent == 'Image: <b>a.png'")
    page.wait(MOMENTS)
    assert page.run("location.search") == "?upload=image"
    # It is still there after a reload, but not at the address elsewhere.
    page.run("location.reload()")
    page.wait(f"document.readyState == 'complete' && {MOMENTS}")
    site.open("?q=a")
    site.open("?upload=image")
    assert "an address can't hold it" in site.texts(".chip.gone .text")[0]
    site.click(".chip .remove")
    page.wait("location.search == ''")


def test_a_file_that_the_server_has_dropped_is_asked_for_again(site, api):
    site.open()
    site.give("drop", "a.png", "image/png", picture())
    site.page.wait(f"document.querySelector('.chip') && {MOMENTS} > 0")
    for number in range(64):
        api.handlers._uploads.add("image", f"{number}", b"x")
    site.page.run("document.querySelector('#within input[value=video]').click()")
    site.page.wait("!!document.querySelector('.chip.gone')")
    assert "Image a.png: gone" in site.texts(".chip.gone .text")[0]
    assert "give it again" in site.settled()


def test_what_the_answer_says_of_itself_is_shown(site):
    """By an answer that is changed on its way: the tiny network's confidence may be any."""
    site.open()
    site.page.run("""(() => { const real = window.fetch;
        window.fetch = async (address, options) => {
        const answer = await real(address, options);
        if (!address.endsWith('/search')) return answer;
        const json = await answer.json();
        json.nothing = true;
        json.moments[0].confidence = {word: 'very likely', value: 0.997};
        json.moments[1].confidence = null;
        json.moments[0].also = [{...json.moments[1], start: 1}];
        return new Response(JSON.stringify(json), {status: 200}); }; })()""")
    site.search("a red square")
    assert site.texts(".note.nothing") == ["Nothing here matches well. The nearest:"]
    assert site.texts(".moment .confidence") == ["very likely · 99%"]
    assert site.texts(".explained p")[0].startswith("The word and its percentage")
    assert site.texts(".moment .alike summary")[0] == "Alike: 1"
    site.click(".moment .alike button")
    site.page.wait("document.querySelector('.stage video')?.src.endsWith('#t=1.00')")


def test_a_clip_and_a_sound(site, tmp_path):
    site.open()
    media_samples.write_wav(tmp_path / "tone.wav", media_samples.tone(1.0, 48_000, 0.0))
    clip = media_samples.write_film(tmp_path / "a.mp4", 0.8, codec="libx264", size=(96, 64))
    site.page.upload("#files", tmp_path / "tone.wav")
    site.page.wait("document.querySelector('.chip .text')?.textContent == 'Sound: tone.wav'")
    site.settled()
    site.page.upload("#files", clip)
    site.page.wait("document.querySelectorAll('.chip').length == 2")
    site.settled()
    assert site.texts(".chip .text") == ["Sound: tone.wav", "Clip: a.mp4"]
    assert site.page.run(MOMENTS)


def test_wrong_files_are_refused(site):
    site.open()
    site.give("drop", "notes.mp4", "video/mp4", b"this is no film")
    site.page.wait(f"{STATUS}.startsWith('notes.mp4 is not a readable')")
    site.page.run("""(() => { const data = new DataTransfer();
        data.items.add(new File(['x'.repeat(3 << 20)], 'large.png'));
        document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data})); })()""")
    site.page.wait(f"{STATUS} == 'large.png has 3.1 MB; at most 1.0 MB can be searched for.'")
    # The browser's check can be gone round; the server's can not.
    status = site.page.run(
        f"fetch('/api/v1/uploads', {{method: 'POST', body: 'x'.repeat({3 << 20})}})"
        ".then(r => r.status)"
    )
    assert status == 413
    assert "moments" in site.search("a red square")


def test_chosen_moments_are_downloaded_as_lists(site):
    site.open("?q=a+red+square")
    page = site.page
    page.run("""(() => { window.saved = []; window.made = [];
        URL.createObjectURL = (blob) => { made.push(blob.text()); return 'blob:none'; };
        HTMLAnchorElement.prototype.click = function () { saved.push(this.download); }; })()""")
    for at in (0, 1):
        page.run(f"document.querySelectorAll('.pick input')[{at}].click()")
    assert page.run("chosen.innerText").startswith("2 moments chosen")
    for count, name in enumerate(("EDL", "FCPXML", "CSV", "JSON"), 1):
        site.click_text(name, "#chosen")
        page.wait(f"saved.length == {count}")
    assert page.run("saved") == ["moments.edl", "moments.fcpxml", "moments.csv", "moments.json"]
    edl, fcpxml, csv, listed = page.run("Promise.all(made)")
    assert edl.startswith("TITLE:") and "<fcpxml" in fcpxml and csv.count("\n") >= 3
    assert len(json.loads(listed)["moments"]) == 2
    # They are kept when the page is opened again.
    site.open("?q=a+red+square")
    assert page.run("document.querySelectorAll('.pick input:checked').length") == 2
    site.click_text("Clear", "#chosen")
    assert page.run("chosen.hidden")


def test_a_clip_is_downloaded(site):
    site.open("?q=a+red+square&file=long.mp4")
    site.page.run("""(() => { window.saved = [];
        URL.createObjectURL = (blob) => { saved.push(blob.type, blob.size); return 'blob:none'; };
        HTMLAnchorElement.prototype.click = function () { saved.push(this.download); }; })()""")
    site.page.run("[...document.querySelectorAll('.moment .actions button')][1].click()")
    kind, size, name = site.page.wait("saved.length == 3 && saved")
    assert kind == "video/mp4" and size > 1000 and name.startswith("long") and ".mp4" in name


def test_the_page_is_soon_ready(site):
    site.open()
    ready = min(_ready(site) for _ in range(3))
    assert ready < 1000, f"{ready} ms"


def _ready(site):
    site.open()
    return site.page.run(
        "performance.getEntriesByType('resource').filter(e => e.name.includes('/api/v1/index'))"
        ".map(e => e.responseEnd)[0]"
    )


def test_the_page_of_the_api(site):
    site.page.open(f"{site.address}api")
    site.page.wait("document.querySelectorAll('section').length > 5")
    assert "/api/v1/search" in site.page.run("document.getElementById('endpoints').innerText")


def test_an_updated_index_is_seen(site, own):
    site.open()
    assert site.texts("#count") == ["5"]
    media_samples.write_film(own.videos / "new.mp4", seconds=2, codec="libx264", size=(96, 64))
    update_index(own.videos, own.index, own.embedder, options=HERE)
    site.page.run("Date.now = () => performance.timeOrigin + 1e9")
    site.search("a red square")
    site.page.wait("document.getElementById('count').textContent == '6'")
    assert site.page.run("sentence.value") == "a red square"


def test_words_that_the_model_does_not_know_are_named(site):
    site.open("?q=a+red+xylophone")
    assert site.page.run(MOMENTS)
    assert site.texts(".note q") == ["xylophone"]
    site.search("xylophone")
    assert site.page.run(MOMENTS) == 0
    assert "xylophone" in site.page.run("document.getElementById('main').innerText")
    site.search(" ")
    site.page.wait("!!document.querySelector('.welcome')")


def test_an_index_that_vanishes_while_the_page_is_open(site, own):
    site.open("?q=a+red+square")
    page = site.page
    shutil.move(own.index, own.index.with_name("away"))
    try:
        site.search("a square")
        page.wait("document.querySelector('.welcome pre')?.innerText.includes('search index')")
    finally:
        shutil.move(own.index.with_name("away"), own.index)
    site.click_text("Look again")
    page.wait(MOMENTS)

"""The chat as a reader meets it: in Chromium, by keyboard and by touch, its requests and its console recorded."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect, sync_playwright

from tests.chromium import REMEDY, find
from tests.test_chat import HOSTILE, Scripted, Served, serving

pytestmark = pytest.mark.browser

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LOOPBACK = {"127.0.0.1", "localhost", "::1", None}
WAIT = 60_000  # milliseconds; the first answer waits for the models
ANSWERABLE = "Where do soldiers speak of “absolute hell”?"
OFF_TOPIC = "What is the capital of Australia?"

# An element's text colour against what it stands on, by WCAG; every text that is seen and falls short.
FAINT = """() => {
  const channel = (v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
  const parse = (c) => { const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll('#fn-header *, #fn-log *, #fn-article *, #fn-ask, #fn-new')].filter((e) =>
    e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).filter((e) => {
      const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
      return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5;
    }).map((e) => e.outerHTML.slice(0, 120));
}"""
NAMELESS = """() => [...document.querySelectorAll('button, a, input, textarea')].filter((e) => e.checkVisibility()
  && ![e.getAttribute('aria-label'), e.textContent, ...[...(e.labels ?? [])].map((l) => l.textContent)].join('').trim())
  .map((e) => e.outerHTML.slice(0, 120))"""
WIDEST = """() => Math.max(...[document.documentElement, ...document.querySelectorAll('#fn-log, #fn-article')]
  .map((e) => e.scrollWidth))"""
TWICE = """() => [...document.querySelectorAll('[id]')].map((e) => e.id).filter((id, i, a) => a.indexOf(id) !== i)"""
# Whether the first marked line is within both the window and the article's pane.
IN_VIEW = """() => { const mark = document.querySelector('#fn-article mark.fn-active').getClientRects()[0];
  const pane = document.querySelector('#fn-article').getBoundingClientRect();
  return mark.top >= Math.max(0, pane.top) && mark.bottom <= Math.min(innerHeight, pane.bottom); }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, or a failure that says how to get one."""
    path = find()
    if path is None:
        pytest.fail(REMEDY)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield made
        made.close()


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The chat over a pipeline of hostile text."""
    with serving("scripted", tmp_path_factory.mktemp("scripted")) as made:
        yield made


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The chat as it is shipped, over the packaged article."""
    with serving("packaged", tmp_path_factory.mktemp("real")) as made:
        yield made
        assert not [address for address in made.connections() if "127.0.0.1" not in address]


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser session whose every request stays on the loopback, and which the page never troubles."""
    made = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    requests: list[str] = []
    troubles: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            troubles.append(message.text)

    made.on("request", lambda request: requests.append(request.url))
    made.on("dialog", dismiss)
    made.on("weberror", lambda error: troubles.append(f"error: {error.error}"))
    made.on("console", note)
    yield made
    made.close()
    assert requests
    assert not [url for url in requests if urlsplit(url).scheme != "data" and urlsplit(url).hostname not in LOOPBACK]
    assert not troubles


def opened(context: BrowserContext, served: Served) -> Page:
    """A session and a chat to its page, once the article is there."""
    page = context.new_page()
    page.goto(served.url)
    expect(page.locator("#fn-article .fn-document")).to_be_visible(timeout=WAIT)
    return page


def send(page: Page, question: str) -> None:
    """Type a question and send it with Enter."""
    page.locator("#fn-box textarea").fill(question)
    page.locator("#fn-box textarea").press("Enter")


def ask(page: Page, question: str) -> None:
    """Type a question, send it with Enter, and wait for what comes of it."""
    turns = page.locator(".fn-turn").count()
    send(page, question)
    expect(page.locator(".fn-turn")).to_have_count(turns + 1)
    expect(page.locator(".fn-reading")).to_have_count(0, timeout=WAIT)


def active(page: Page) -> str:
    """The words of the article that are marked now."""
    return "".join(page.locator("#fn-article mark.fn-active").all_text_contents())


def tab_to(page: Page, selector: str, key: str = "Shift+Tab") -> None:
    """Press a key until the focus is on an element."""
    for _ in range(20):
        page.keyboard.press(key)
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
    pytest.fail(f"{selector} cannot be reached with {key}")


def test_an_answer_is_checked_with_the_keyboard_alone(context: BrowserContext, real: Served) -> None:
    page = opened(context, real)
    page.keyboard.type(ANSWERABLE)
    page.keyboard.press("Enter")
    expect(page.locator(".fn-cite").first).to_be_visible(timeout=WAIT)
    expect(page.locator("#fn-box textarea")).to_be_focused()
    expect(page.locator("#fn-box textarea")).to_have_value("")
    quote = page.locator(".fn-claim").first.text_content()
    assert quote is not None
    assert "Myrnohrad" in quote
    tab_to(page, ".fn-cite")
    page.keyboard.press("Enter")
    assert active(page) == quote
    assert page.evaluate(IN_VIEW)
    expect(page.locator("#fn-article mark.fn-active").first).to_be_focused()
    expect(page.locator(".fn-cite").first).to_have_attribute("aria-current", "true")
    page.keyboard.press("Escape")
    expect(page.locator(".fn-cite").first).to_be_focused()
    page.keyboard.press("Space")
    expect(page.locator("#fn-article mark.fn-active").first).to_be_focused()
    tab_to(page, ".fn-back", "Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".fn-cite").first).to_be_focused()


def test_off_topic_is_a_card_with_the_nearest_passages(context: BrowserContext, real: Served) -> None:
    page = opened(context, real)
    ask(page, OFF_TOPIC)
    expect(page.locator(".fn-silence")).to_be_visible()
    expect(page.locator(".fn-silence .fn-place")).to_have_count(3)
    expect(page.locator(".fn-problem")).to_have_count(0)
    for place in page.locator(".fn-place").all():
        place.click()
        assert active(page) == (place.locator(".fn-quote").text_content() or "")[1:-1]
        assert page.evaluate(IN_VIEW)


def test_an_example_is_asked_with_one_press(context: BrowserContext, real: Served) -> None:
    page = opened(context, real)
    examples = page.locator(".fn-example")
    expect(examples).to_have_count(4)
    question = examples.first.text_content() or ""
    examples.first.click()
    expect(page.locator(".fn-cite").first).to_be_visible(timeout=WAIT)
    expect(page.locator(".fn-question")).to_contain_text(question)
    expect(page.locator("#fn-box textarea")).to_be_focused()
    page.locator("#fn-new").click()
    expect(examples).to_have_count(4)
    expect(page.locator("#fn-article mark")).to_have_count(0)


def test_hostile_text_is_shown_as_it_is(context: BrowserContext, scripted: Served) -> None:
    page = opened(context, scripted)
    for question in (HOSTILE, f"silence {HOSTILE}", f"refuse {HOSTILE}"):
        ask(page, question)
    assert HOSTILE in (page.locator(".fn-question").first.text_content() or "")
    assert HOSTILE in (page.locator(".fn-claim").nth(1).text_content() or "")
    assert HOSTILE in (page.locator(".fn-silence").text_content() or "")
    assert HOSTILE in (page.locator(".fn-problem").text_content() or "")
    assert HOSTILE in (page.locator("#fn-article .fn-title").text_content() or "")
    page.locator("[data-cite=a1c2]").first.click()
    assert active(page) == HOSTILE
    made = "img, a, script, iframe, svg, style, b, form, template, object"
    assert page.locator(f":is(.fn-turn, .fn-document) :is({made})").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_has_both_panes_and_a_way_back(browser: Browser, scripted: Served, scheme: str) -> None:
    made = browser.new_context(
        viewport={"width": 400, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]  # a plain str here, a literal there
        reduced_motion="reduce",
        has_touch=True,
    )
    page = opened(made, scripted)
    for question in ("", "What?", "silence", "refuse"):
        if question:
            ask(page, question)
        assert page.evaluate(WIDEST) <= 400
        assert (
            page.evaluate("Math.max(...[...document.querySelectorAll('#fn-log, #fn-article')].map(e => e.scrollWidth))")
            <= 400
        )
        expect(page.locator("#fn-article")).to_be_in_viewport()
        expect(page.locator("#fn-log")).to_be_in_viewport()
    page.locator("[data-cite=a1c2].fn-cite").tap()
    assert active(page) == HOSTILE
    assert page.evaluate(IN_VIEW)
    page.locator("[data-return]").tap()
    expect(page.locator("[data-cite=a1c2].fn-cite")).to_be_in_viewport()
    expect(page.locator("[data-cite=a1c2].fn-cite")).to_be_focused()
    made.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_can_be_read(context: BrowserContext, scripted: Served, scheme: str) -> None:
    page = opened(context, scripted)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # as above
    page.reload()
    expect(page.locator("#fn-article .fn-document")).to_be_visible(timeout=WAIT)
    assert page.locator("body.dark").count() == (scheme == "dark")
    for question in ("", "What?", "silence", "refuse", "other"):
        if question:
            ask(page, question)
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(FAINT) == []
    page.locator("[data-cite]").first.click()
    assert page.evaluate(FAINT) == []
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang")
    assert page.get_by_role("log", name="Conversation").count() == 1
    assert page.get_by_role("region", name="Article").count() == 1
    assert page.get_by_role("textbox", name="Your question").count() == 1
    assert page.evaluate(TWICE) == []


def test_a_failure_is_told_and_the_chat_goes_on(context: BrowserContext, scripted: Served) -> None:
    page = opened(context, scripted)
    ask(page, "crash")
    expect(page.locator(".fn-problem")).to_contain_text("Something went wrong")
    assert "secret" not in page.content()
    ask(page, "What?")
    expect(page.locator(".fn-cite")).to_have_count(2)


def test_two_tabs_do_not_mix(context: BrowserContext, scripted: Served) -> None:
    one, two = opened(context, scripted), opened(context, scripted)
    ask(one, "What?")
    ask(two, "other")
    ask(one, "silence")
    expect(one.locator(".fn-question")).to_have_text(["You asked: What?", "You asked: silence"])
    expect(two.locator(".fn-turn")).to_have_count(1)
    expect(two.locator("#fn-article")).to_contain_text("Other words.")
    expect(one.locator("#fn-article")).not_to_contain_text("Other words.")


def test_shift_enter_breaks_the_line_and_nothing_is_not_asked(context: BrowserContext, scripted: Served) -> None:
    page = opened(context, scripted)
    box = page.locator("#fn-box textarea")
    box.press("Enter")
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(box).to_have_value("one\ntwo")
    expect(page.locator(".fn-turn")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator(".fn-question")).to_have_text("You asked: one\ntwo")


def test_an_answer_is_copied_as_markdown(context: BrowserContext, scripted: Served) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened(context, scripted)
    ask(page, "What?")
    page.locator(".fn-copy").click()
    expect(page.locator(".fn-copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == Scripted().ask("What?").to_markdown()


def test_what_is_typed_while_reading_is_kept_and_a_new_chat_stops_it(context: BrowserContext, scripted: Served) -> None:
    page = opened(context, scripted)
    send(page, "slow one")
    expect(page.locator(".fn-reading")).to_be_visible()
    send(page, "What?")
    expect(page.locator(".fn-cite")).to_have_count(2)
    expect(page.locator("#fn-box textarea")).to_have_value("What?")
    expect(page.locator(".fn-turn")).to_have_count(1)
    send(page, "slow two")
    expect(page.locator(".fn-reading")).to_be_visible()
    page.locator("#fn-new").click()
    expect(page.locator(".fn-welcome")).to_be_visible()
    page.wait_for_timeout(2500)
    expect(page.locator(".fn-turn")).to_have_count(0)
    ask(page, "other")
    expect(page.locator(".fn-turn")).to_have_count(1)


def test_what_was_written_when_it_is_stopped_stays(context: BrowserContext, scripted: Served) -> None:
    page = opened(context, scripted)
    stop = page.locator("#fn-stop")
    expect(stop).to_be_hidden()
    send(page, "writes")
    expect(page.locator(".fn-reading")).to_have_text("Writing…")
    expect(page.locator(".fn-pending")).to_have_count(1)
    expect(page.locator(".fn-cite")).to_have_count(1)
    stop.click()
    expect(page.locator(".fn-reading")).to_have_count(0)
    expect(stop).to_be_hidden()
    expect(page.locator(".fn-card")).to_contain_text("cut off")
    page.wait_for_timeout(3500)
    expect(page.locator(".fn-pending")).to_have_count(1)
    ask(page, "What?")
    expect(page.locator(".fn-turn")).to_have_count(2)


def test_the_dials_list_goes_when_the_keyboard_leaves_it(context: BrowserContext, scripted: Served) -> None:
    page = opened(context, scripted)
    box, dial = page.locator("#fn-box textarea"), page.locator("#fn-dial")
    box.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(dial.locator("input")).to_be_focused()
    expect(dial.get_by_role("option")).to_have_count(7)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(dial.locator("input")).not_to_be_focused()
    page.wait_for_timeout(500)
    for name in ("#fn-ask", "#fn-box textarea"):
        at = page.locator(name).bounding_box()
        assert at is not None
        place = [at["x"] + at["width"] / 2, at["y"] + at["height"] / 2]
        there = "([x, y, name]) => document.elementFromPoint(x, y).closest(name) !== null"
        assert page.evaluate(there, [*place, name.split()[0]])


def test_the_dial_withholds_what_is_not_sure_enough(context: BrowserContext, scripted: Served) -> None:
    page = opened(context, scripted)
    ask(page, "What?")
    expect(page.locator(".fn-silence")).to_have_count(0)
    page.locator("#fn-dial input").click()
    page.get_by_role("option", name="at most 2 %").click()
    ask(page, "What?")
    expect(page.locator(".fn-silence")).to_have_count(1)

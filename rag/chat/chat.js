// A press on a citation to its words in the article, and back. Everything is found by key: no offsets here.
(() => {
  'use strict';
  const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
  const glide = () => (calm() ? 'auto' : 'smooth');
  const all = (selector) => [...document.querySelectorAll(selector)];
  const box = () => document.querySelector('#fn-box textarea, #fn-box input');
  let origin = null; // the citation that was pressed last, to come back to
  let key = '';

  function clear() {
    key = '';
    all('#fn-article mark.fn-active').forEach((mark) => mark.classList.remove('fn-active'));
    all('#fn-log [aria-current]').forEach((button) => button.removeAttribute('aria-current'));
    all('[data-return]').forEach((button) => { button.hidden = true; });
  }

  function visit(button) {
    const wanted = button.dataset.cite;
    const marks = all(`#fn-article mark[data-cites~="${wanted}"]`);
    if (!marks.length) return;
    clear();
    [key, origin] = [wanted, button];
    marks.forEach((mark) => mark.classList.add('fn-active'));
    all(`#fn-log [data-cite="${key}"]`).forEach((other) => other.setAttribute('aria-current', 'true'));
    all('[data-return]').forEach((other) => { other.hidden = false; });
    marks[0].focus({preventScroll: true});
    marks[0].scrollIntoView({block: 'center', behavior: glide()});
  }

  function back(wanted) {
    const same = origin && origin.isConnected && origin.dataset.cite === wanted;
    const button = same ? origin : document.querySelector(`#fn-log [data-cite="${wanted}"]`);
    if (!button) return;
    button.focus({preventScroll: true});
    button.scrollIntoView({block: 'center', behavior: glide()});
  }

  async function copy(button) {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not a secure context, or not allowed
      const area = document.createElement('textarea');
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
      button.focus();
    }
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1600);
  }

  document.addEventListener('click', (event) => {
    if (!(event.target instanceof Element)) return;
    const button = event.target.closest('#fn-log button, #fn-article button, #fn-ask, #fn-new');
    const mark = event.target.closest('#fn-article mark');
    if (button?.dataset.cite) visit(button);
    else if (button?.dataset.back) back(button.dataset.back);
    else if (button?.hasAttribute('data-return')) back(key);
    else if (button?.dataset.copy) copy(button);
    else if (button && (button.dataset.question || button.id)) toBox();
    else if (mark && getSelection().isCollapsed) {
      const keys = mark.dataset.cites.split(' ');
      back(keys.includes(key) ? key : keys[keys.length - 1]);
    }
  });

  function toBox() { // but do not open the keyboard of a phone
    if (!matchMedia('(pointer: coarse)').matches) box()?.focus();
  }

  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && key && event.target.closest?.('#fn-article')) back(key);
    // gradio sends at Enter and Shift+Enter alike, and in the middle of composing Chinese or Japanese.
    const typing = event.key === 'Enter' && event.target === box();
    if (typing && (event.shiftKey || event.isComposing)) event.stopImmediatePropagation();
    else if (typing && !event.target.value.trim()) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);

  // A new turn, and then its answer, is brought to the top of the conversation, and what it cites into view.
  let state = '';
  let first = '';
  function changed() {
    const sections = all('#fn-log .fn-turn');
    const now = sections.length + (document.querySelector('#fn-log .fn-reading') ? ' reading' : '');
    if (now !== state) {
      clear();
      state = now;
      sections.at(-1)?.scrollIntoView({block: 'start', behavior: glide()});
    }
    const mark = document.querySelector('#fn-article mark.now');
    if (mark && mark.dataset.cites !== first) {
      const panel = document.querySelector('#fn-article');
      const [words, pane] = [mark, panel].map((element) => element.getBoundingClientRect());
      const hidden = words.top < pane.top + 60 || words.bottom > pane.bottom - 20;
      const top = panel.scrollTop + words.top - pane.top - pane.height / 3;
      if (hidden) panel.scrollTo({top, behavior: glide()});
    }
    first = mark ? mark.dataset.cites : '';
  }

  function label(log, panel) { // what gradio's containers cannot be told from Python
    log.setAttribute('role', 'log');
    log.setAttribute('aria-live', 'polite');
    log.setAttribute('aria-label', 'Conversation');
    panel.setAttribute('role', 'region');
    panel.setAttribute('aria-label', 'Article');
    for (const pane of [log, panel]) pane.tabIndex = 0;
  }

  const started = new MutationObserver(() => {
    const [log, panel] = ['fn-log', 'fn-article'].map((id) => document.getElementById(id));
    if (!log || !panel) return;
    started.disconnect();
    label(log, panel);
    const seen = new MutationObserver(changed);
    for (const pane of [log, panel]) seen.observe(pane, {childList: true, subtree: true, characterData: true});
  });
  started.observe(document, {childList: true, subtree: true});
})();

// Keeps the page up to date: when something has changed, it is fetched again, and its content is put in.
// What a person is doing there stays: open folds, chosen boxes, text in fields, the place that is looked at.
'use strict';
(() => {
  if (document.body.dataset.version === undefined) return;
  const live = document.getElementById('live');
  const pause = 400;
  // The page may be older than the first word of the stream.
  let wanted = false, busy = false, seen = document.body.dataset.version;

  const keyOf = (element) => {
    const path = [];
    for (let e = element; e && e.id !== 'content'; e = e.parentElement) {
      path.push(Array.prototype.indexOf.call(e.parentElement ? e.parentElement.children : [], e));
    }
    return path.join('.');
  };
  const isInUse = () => {
    const active = document.activeElement;
    if (active && /^(INPUT|TEXTAREA|SELECT)$/.test(active.tagName) && active.type !== 'checkbox') return true;
    return [...document.querySelectorAll('#content textarea, #content form[method=post] input')].some(
      (e) => !['hidden', 'checkbox'].includes(e.type) && e.value !== e.defaultValue);
  };

  async function refresh() {
    if (busy || document.hidden || isInUse()) { wanted = true; return; }
    busy = true;
    wanted = false;
    try {
      const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const fresh = page.getElementById('content'), old = document.getElementById('content');
      if (fresh && old && !isInUse()) {
        const open = new Set([...old.querySelectorAll('details[open]')].map(keyOf));
        const chosen = new Set([...old.querySelectorAll('input[type=checkbox]:checked')].map((e) => e.value));
        const scrolled = [...old.querySelectorAll('.wide, .timeline')].map((e) => e.scrollLeft);
        const focused = old.contains(document.activeElement) ? keyOf(document.activeElement) : null;
        old.replaceChildren(...fresh.childNodes);
        old.querySelectorAll('details').forEach((e) => { if (open.has(keyOf(e))) e.open = true; });
        old.querySelectorAll('input[type=checkbox]').forEach((e) => { if (chosen.has(e.value)) e.checked = true; });
        old.querySelectorAll('.wide, .timeline').forEach((e, i) => { e.scrollLeft = scrolled[i] || 0; });
        if (focused !== null) {
          const all = [...old.querySelectorAll('a, button, input, summary, [tabindex]')];
          const again = all.find((e) => keyOf(e) === focused);
          if (again) again.focus({ preventScroll: true });
        }
      }
    } catch { /* the next change tries again */ }
    busy = false;
    if (wanted) setTimeout(refresh, pause);
  }

  const changes = new EventSource('/changes');
  changes.onmessage = (event) => {
    live.textContent = 'live';
    if (seen !== event.data) refresh();
    seen = event.data;
  };
  changes.onerror = () => { live.textContent = 'not connected'; };
  addEventListener('visibilitychange', () => { if (!document.hidden && wanted) refresh(); });
  addEventListener('focusout', () => { if (wanted) setTimeout(refresh, pause); });
})();

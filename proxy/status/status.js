// Brings the page up to date without a reload: fetches it again and replaces the parts marked data-live that changed.
// The marked elements themselves stay, so focus, scrolling and the rest of the page do, too.
'use strict';
(() => {
  const every = 5000; // milliseconds
  const sayRefusals = 30000; // at most this often, to somebody who listens to the page
  const reach = document.getElementById('reach');
  const pause = document.getElementById('pause');
  const announcement = document.getElementById('announcement');
  let timer, fetching = false, paused = false, lost = false, spoken = Date.now(), heard = facts(document);

  // facts are what is worth saying aloud when it changes.
  function facts(page) {
    const text = (id) => page.getElementById(id).textContent.replace(/\s+/g, ' ').trim();
    const number = (decision) => Number(page.querySelector('.totals .' + decision + ' dd').textContent);
    return {
      state: text('state'),
      warnings: [...page.querySelectorAll('[data-check]')].map((w) => w.dataset.check),
      refused: number('refused'), reported: number('reported'),
    };
  }

  function announce(now) {
    const say = [];
    if (now.state !== heard.state) say.push(now.state);
    const raised = now.warnings.filter((w) => !heard.warnings.includes(w)).length;
    if (raised) say.push(raised + ' new warnings');
    if (now.refused < heard.refused) heard.refused = heard.reported = 0; // another process answers
    const refused = now.refused - heard.refused, reported = now.reported - heard.reported;
    const due = Date.now() - spoken >= sayRefusals;
    if (due && refused > 0) say.push(refused + ' more refused');
    if (due && reported > 0) say.push(reported + ' more reported');
    if (due) spoken = Date.now();
    heard = due ? now : { ...now, refused: heard.refused, reported: heard.reported };
    if (say.length) announcement.textContent = say.join(', ');
  }

  // busy tells whether somebody is selecting text in a part, which replacing it would undo.
  function busy(part) {
    const selection = getSelection();
    return !selection.isCollapsed && selection.containsNode(part, true);
  }

  function show(page) {
    for (const part of document.querySelectorAll('[data-live]')) {
      const next = page.getElementById(part.id);
      if (part.innerHTML !== next.innerHTML && !busy(part)) part.replaceChildren(...next.childNodes);
    }
    document.title = page.title;
  }

  async function update() {
    if (fetching) return;
    clearTimeout(timer);
    fetching = true;
    try {
      const answer = await fetch('/', { cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(4 * every) });
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const now = facts(page);
      show(page);
      announce(now);
      if (lost) announcement.textContent = 'envgate answers again';
      lost = false;
    } catch {
      if (!lost) announcement.textContent = 'envgate does not answer; the values are old';
      lost = true;
    }
    fetching = false;
    plan();
  }

  function plan() {
    clearTimeout(timer);
    document.body.classList.toggle('lost', lost);
    reach.textContent = lost ? 'No answer: these values are old' : paused ? 'Paused' : 'Updated every ' + every / 1000 + ' s';
    if (!paused && !document.hidden) timer = setTimeout(update, every);
  }

  pause.hidden = false;
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', paused);
    if (paused) plan(); else update();
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden || paused) clearTimeout(timer); else update();
  });
  plan();
})();

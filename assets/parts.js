// The parts of the page that data moves: a number that counts up, a ranking, a chart of minutes, a feed. Each is made once on
// elements that index.html holds, and returns a function that brings it to a state. Text enters by textContent alone.
// Motion is CSS transitions of transforms: nothing here measures layout, and nothing that arrives shifts it.

const number = new Intl.NumberFormat();
const signed = new Intl.NumberFormat(undefined, { signDisplay: 'exceptZero' });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const hourMinute = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const fullTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'long', timeStyle: 'medium' });

// How an account is marked.
const MARKS = { bot: 'bot', temporary: 'temporary', ip: 'IP' };

export const formatNumber = (value) => number.format(value);

// Writes only what differs: most of a frame's cells are as they were.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// A name from Wikipedia: isolated from its surroundings, linked if there is somewhere to go, whole in its title.
export function setName(link, text, href) {
  setText(link.firstElementChild, text);
  setAttribute(link, 'href', href);
  setAttribute(link, 'title', text);
}

// A number that counts up to each new value, in about a third of a second. `render(value, still)` returns whether it is still on its way.
export function counter(element) {
  let shown = null, atMs = 0;
  const reduced = matchMedia('(prefers-reduced-motion: reduce)');
  return function render(value, nowMs, still) {
    const passedMs = Math.max(0, Math.min(nowMs - atMs, 100)); // clocks are set back, too
    atMs = nowMs;
    const jump = shown === null || still || reduced.matches || value < shown;
    shown = jump ? value : Math.min(value, shown + Math.max((value - shown) * (1 - Math.exp(-passedMs / 120)), passedMs / 200));
    setText(element, number.format(Math.floor(shown)));
    return shown < value;
  };
}

// Puts `rows` into DOM order for those who read or tab through them. What is focused is not moved, everything else around it is.
function reorder(list, rows) {
  const move = list.moveBefore ? 'moveBefore' : 'insertBefore';
  const held = rows.findIndex((row) => row.contains(document.activeElement));
  rows.forEach((row, i) => {
    const before = rows[i - 1]?.nextSibling ?? (i === 0 ? list.firstChild : null);
    if (row === before || i === held) return;
    if (row.parentNode === list) list[move](row, before);
    else list.insertBefore(row, before);
  });
}

// Fades a row out and removes it when its motion is over.
function dismiss(row, slot) {
  row.style.setProperty('--slot', slot);
  row.classList.add('leaving');
  row.inert = true;
  Promise.allSettled(row.getAnimations().map((motion) => motion.finished)).then(() => row.classList.contains('leaving') && row.remove());
}

// Rows that keep their identity while they change places: each has a slot, and moves there.
export function slots(list, template, fill) {
  const rows = new Map();
  return function render(items) {
    const keys = new Set(items.map((item) => item.key));
    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      rows.delete(key);
      dismiss(row, items.length);
    }
    const ordered = items.map((item, slot) => {
      let row = rows.get(item.key);
      if (!row) {
        row = template.content.firstElementChild.cloneNode(true);
        rows.set(item.key, row);
      }
      row.style.setProperty('--slot', slot);
      fill(row, item);
      return row;
    });
    reorder(list, ordered);
  };
}

// Names with counts, the greatest first, as bars against the first. An item is { key, name, href, count, note, kind }.
export function ranking(list, template) {
  let greatest = 1;
  const render = slots(list, template, (row, item) => {
    setName(row.querySelector('.name'), item.name, item.href);
    setText(row.querySelector('.note'), item.note ?? '');
    setText(row.querySelector('.count'), number.format(item.count));
    setAttribute(row, 'data-kind', item.kind);
    setText(row.querySelector('.mark'), MARKS[item.kind] ?? '');
    row.style.setProperty('--share', item.count / greatest);
  });
  return function renderRanking(items) {
    greatest = items[0]?.count || 1;
    render(items);
  };
}

// Changes as they come, the newest on top. An item is { key, name, href, user, userHref, wiki, size, comment, type, bot, atMs }.
export function feed(list, template) {
  return slots(list, template, (row, item) => {
    if (row.dataset.filled) return; // a change does not change
    row.dataset.filled = 'true';
    setName(row.querySelector('.name'), item.name, item.href);
    setName(row.querySelector('.user'), item.user, item.userHref);
    setText(row.querySelector('.wiki'), item.wiki);
    setText(row.querySelector('.comment'), item.comment);
    row.querySelector('.comment').title = item.comment;
    setText(row.querySelector('.type'), item.type);
    setAttribute(row, 'data-kind', item.kind);
    setText(row.querySelector('.mark'), MARKS[item.kind] ?? '');
    const size = row.querySelector('.size');
    setText(size, item.size === null ? '' : signed.format(item.size));
    setAttribute(size, 'data-sign', item.size === null ? null : Math.sign(item.size));
    const time = row.querySelector('time');
    if (Number.isNaN(item.atMs)) return;
    setText(time, clock.format(item.atMs));
    time.dateTime = new Date(item.atMs).toISOString();
    time.title = fullTime.format(item.atMs);
  });
}

const MINUTE_MS = 60_000;
const MINUTES = 60;
const CHART_HEIGHT = 100;

// A round number not below `value`, for the top of a scale that should not move with every edit.
export function scaleTop(value) {
  const magnitude = 10 ** Math.floor(Math.log10(Math.max(value, 10)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * magnitude).find((top) => top >= value);
}

// One rectangle of the chart as a path: column `i` of ten units, from `low` to `high`.
function column(i, low, high, top) {
  const y = (value) => CHART_HEIGHT - (CHART_HEIGHT * value) / top;
  return high > low ? `M${i * 10 + 1} ${y(low).toFixed(1)}V${y(high).toFixed(1)}h8V${y(low).toFixed(1)}z` : '';
}

// The last 60 minutes, people below and bots hatched on top. `render` takes Map(minute in ms -> { edits, bots }) and the time now;
// pointer and arrow keys read out a minute.
export function minutes(figure, svg, readout, voice, scale) {
  const paths = { people: svg.querySelector('.people'), bots: svg.querySelector('.bots') };
  const cursor = svg.querySelector('.cursor');
  let shown = [], pointed = null;

  function read() {
    const at = pointed === null ? null : shown[pointed];
    cursor.toggleAttribute('hidden', !at);
    if (!at) return setText(readout, '');
    cursor.setAttribute('x', pointed * 10);
    const running = pointed === MINUTES - 1 ? ' so far' : '';
    setText(readout, `${hourMinute.format(at.atMs)}: ${number.format(at.edits)} edits${running}, ${number.format(at.bots)} by bots`);
  }
  function point(to, spoken) {
    pointed = to === null ? null : Math.max(0, Math.min(MINUTES - 1, to));
    read();
    setText(voice, spoken ? readout.textContent : '');
  }
  figure.addEventListener('pointermove', (event) => {
    const box = svg.getBoundingClientRect();
    point(Math.floor(((event.clientX - box.left) / box.width) * MINUTES));
  });
  figure.addEventListener('pointerleave', () => point(null));
  figure.addEventListener('blur', () => point(null));
  figure.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -MINUTES, End: MINUTES }[event.key];
    if (!step) return;
    event.preventDefault();
    point((pointed ?? MINUTES) + step, true);
  });

  return function render(byMinute, nowMs) {
    const last = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS;
    shown = Array.from({ length: MINUTES }, (_, i) => {
      const atMs = last - (MINUTES - 1 - i) * MINUTE_MS;
      return { atMs, edits: 0, bots: 0, ...byMinute.get(atMs) };
    });
    const most = Math.max(...shown.map(({ edits }) => edits));
    const top = scaleTop(most);
    const people = (minute) => Math.max(0, minute.edits - minute.bots);
    setAttribute(paths.people, 'd', shown.map((minute, i) => column(i, 0, people(minute), top)).join(''));
    setAttribute(paths.bots, 'd', shown.map((minute, i) => column(i, people(minute), minute.edits, top)).join(''));
    setText(scale, most ? number.format(top) : '');
    setAttribute(svg, 'aria-label', most
      ? `Edits a minute over the last hour: ${number.format(shown.at(-2).edits)} in the last full minute, at most ${number.format(most)}`
      : 'Edits a minute over the last hour: none');
    read();
  };
}

// The page: messages change the state, and the state is drawn at the next frame that somebody can see.
// While the page is hidden nothing is drawn, however much arrives; when it comes back, one frame brings everything up to date.

import { condition } from './condition.js';
import { counter, feed, formatNumber, minutes, ranking, setText } from './parts.js';
import { Stream } from './stream.js';
import {
  accountKind, changeUrl, compareText, contributionsUrl, pageUrl, sizeChange, summary, timeMs, wikiName, wikiUrl,
} from './wiki.js';

// The rate is counted over this long: short enough to be "now", long enough to be calm.
const RATE_WINDOW_MS = 20_000;
// A rate over less than this would be noise.
const RATE_WINDOW_MS_MIN = 3_000;
// A step every other second can be followed calmly; when more arrive, the feed shows the newest and says that it is a sample.
const FEED_STEP_MS = 2_000;
// Up to so many changes may come in one step without being a blur.
const FEED_BURST = 3;
// How many changes the feed holds, as many as the view.
const FEED_ROWS = 20;
// How many places a ranking has.
const PLACES = 10;
// Accounts remembered as bots: many times the few hundred that are active in a day; the oldest is forgotten first.
const BOTS_MAX = 5_000;

const EDITORS = { ever: 'top10', hour: 'top10_1h', humans: 'top10_humans_1h' };
const VIEWS = ['counter', ...Object.values(EDITORS), 'top_pages_1h', 'top_wikis_1h', 'edits_per_minute', 'latest'];

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

const state = {
  editors: Object.hasOwn(EDITORS, query.get('top')) ? query.get('top') : 'ever',
  enginesLost: new Set(), // views whose engine connection is lost
  ingest: null,
  samples: [], // [time, counter] over the rate's window
  changedAtMs: null, // when a change last came, as far as is known
  lagMs: null, // how old the newest change was when it came; Infinity for more than an hour
  clockSkewMs: 0, // the engine's clock against this one
  bots: new Set(),
  feed: [],
  feedAtMs: 0,
  sampled: false,
  pausedBy: new Set(), // pointer, focus, button
};

const draw = {
  total: counter($('total')),
  minutes: minutes($('minutes'), $('chart'), $('readout'), $('voice'), $('scale')),
  editors: ranking($('editors'), $('editor-row')),
  pages: ranking($('pages'), $('small-row')),
  wikis: ranking($('wikis'), $('small-row')),
  feed: feed($('feed'), $('change-row')),
};

const stream = new Stream({ base: document.baseURI, views: VIEWS, onLink, onRows, onMessage });
const { tables } = stream;

function onLink() {
  state.enginesLost.clear();
  schedule();
}

function onRows(view, begins) {
  const nowMs = Date.now();
  // What begins carries the time at which its view last changed, what follows the time at which it did.
  if (begins) still = true;
  else state.clockSkewMs = tables[view].timestamp - nowMs;
  if (view === 'counter') {
    sample(nowMs);
    if (!begins) state.changedAtMs = nowMs;
  }
  if (view === 'latest') {
    learnBots();
    measureLag(nowMs);
  }
  schedule();
}

function measureLag(nowMs) {
  const newestMs = Math.max(...tables.latest.records().map(({ dt }) => timeMs(dt)).filter(Number.isFinite));
  state.lagMs = nowMs + state.clockSkewMs - newestMs;
  state.changedAtMs = Math.max(state.changedAtMs ?? 0, Math.min(nowMs, newestMs - state.clockSkewMs));
}

function onMessage({ status, view, reconnecting }) {
  if (status) state.ingest = status.ingest;
  if (reconnecting === true) state.enginesLost.add(view);
  if (reconnecting === false) state.enginesLost.delete(view);
  schedule();
}

const edits = () => (tables.counter.filled ? tables.counter.value() ?? 0 : null);

function sample(nowMs) {
  const { samples } = state;
  const last = samples.at(-1);
  if (last?.[0] > nowMs || last?.[1] > edits()) samples.length = 0; // another time, another engine's count
  samples.push([nowMs, edits()]);
  forgetSamples(nowMs);
}

// Keeps one sample from before the window: what the count was when it began.
function forgetSamples(nowMs) {
  while (state.samples[1]?.[0] <= nowMs - RATE_WINDOW_MS) state.samples.shift();
}

// Edits a minute over the window; null until there is enough to tell.
function rate(nowMs) {
  forgetSamples(nowMs);
  const [first] = state.samples;
  const passedMs = first && stream.link.state === 'open' ? nowMs - first[0] : 0;
  return passedMs < RATE_WINDOW_MS_MIN ? null : Math.round(((edits() - first[1]) * 60_000) / passedMs);
}

function learnBots() {
  for (const { user, bot } of tables.latest.records()) {
    if (bot === true && user !== null) state.bots.add(user);
  }
  for (const user of state.bots) {
    if (state.bots.size <= BOTS_MAX) break;
    state.bots.delete(user);
  }
}

const byCount = (...columns) => (a, b) => b.count - a.count || columns.reduce((order, name) => order || compareText(a[name], b[name]), 0);
const top = (view, ...columns) => tables[view].records().sort(byCount(...columns)).slice(0, PLACES);

function editorItems(view) {
  return top(view, 'user').map(({ user, count }) => {
    const kind = state.bots.has(user) ? 'bot' : accountKind(user);
    return { key: user, name: user, href: contributionsUrl(user), count, kind };
  });
}

function pageItems() {
  return top('top_pages_1h', 'wiki', 'title').map(({ wiki, title, count }) => (
    { key: JSON.stringify([wiki, title]), name: title, note: wikiName(wiki), href: pageUrl(wiki, title), count }));
}

function wikiItems() {
  return top('top_wikis_1h', 'wiki').map(({ wiki, count }) => ({ key: wiki, name: wikiName(wiki), href: wikiUrl(wiki), count }));
}

const TYPES = { new: 'new page', log: 'log', categorize: 'category', external: 'external' };

function changeItem(change) {
  return {
    key: change.key,
    atMs: timeMs(change.dt),
    name: change.title ?? 'untitled',
    href: changeUrl(change),
    user: change.user ?? 'name removed',
    userHref: change.user === null ? null : contributionsUrl(change.user, change.wiki),
    kind: change.bot === true ? 'bot' : accountKind(change.user),
    wiki: wikiName(change.wiki),
    size: sizeChange(change),
    comment: summary(change.comment),
    type: TYPES[change.type] ?? '',
  };
}

// Moves the feed on by what is new: to what is newest when `whole`, else by a step.
function stepFeed(nowMs, whole) {
  const begin = whole || !state.feed.length;
  if (!begin && Math.abs(nowMs - state.feedAtMs) < FEED_STEP_MS) return;
  const newest = tables.latest.records().map(changeItem).sort((a, b) => b.atMs - a.atMs || compareText(a.key, b.key));
  const shown = new Set(state.feed.map(({ key }) => key));
  const fresh = begin ? newest : newest.filter(({ key, atMs }) => atMs >= state.feed[0].atMs && !shown.has(key));
  if (!fresh.length) return;
  state.sampled = !begin && fresh.length > FEED_BURST;
  state.feed = begin ? newest : [...(state.sampled ? fresh.slice(0, 1) : fresh), ...state.feed].slice(0, FEED_ROWS);
  state.feedAtMs = nowMs;
}

// The two views arrive in frames of their own, so what they say together must hold for two seconds to be believed.
let suspected = new Set();

// Who would have a place among people by the edits of the last hour, and has none, made them as a bot.
function inferBots() {
  const people = top(EDITORS.humans, 'user');
  const last = people.length < PLACES ? 0 : people.at(-1).count;
  const named = new Set(people.map(({ user }) => user));
  const now = new Set(top(EDITORS.hour, 'user').filter(({ user, count }) => count > last && !named.has(user)).map(({ user }) => user));
  if (tables[EDITORS.humans].filled) now.forEach((user) => suspected.has(user) && state.bots.add(user));
  suspected = now;
}

let frame = 0;
let dirty = true;
let still = true; // nobody saw what was there before: the next frame shows what is, without motion

function schedule() {
  dirty = true;
  if (!frame && !document.hidden) frame = requestAnimationFrame(render);
}

function render() {
  frame = 0;
  const nowMs = Date.now();
  const whole = still;
  still = false;
  document.documentElement.classList.toggle('still', whole);
  const total = edits();
  const moving = total === null ? false : draw.total(total, nowMs, whole);
  if (dirty) drawAll(nowMs, whole);
  dirty = false;
  if (moving || whole) frame = requestAnimationFrame(render);
}

function drawAll(nowMs, whole) {
  const engineNowMs = nowMs + state.clockSkewMs;
  drawCondition(nowMs);
  const perMinute = rate(nowMs);
  setText($('rate'), perMinute === null ? '–' : formatNumber(perMinute));
  draw.minutes(byMinute(), engineNowMs);
  draw.editors(editorItems(EDITORS[state.editors]));
  draw.pages(pageItems());
  draw.wikis(wikiItems());
  if (!state.pausedBy.size) stepFeed(nowMs, whole);
  draw.feed(state.feed);
  setText($('feed-note'), feedNote());
  drawGaps();
}

function byMinute() {
  return new Map(tables.edits_per_minute.records().map(({ minute, edits, by_bots: bots }) => [timeMs(minute), { edits, bots }]));
}

function feedNote() {
  if (state.pausedBy.size) return 'Paused';
  return state.sampled ? 'A sample of what arrives' : '';
}

// What each part says while it has nothing to show: that it cannot, that it waits, or that there is nothing.
const GAPS = {
  editors: () => EDITORS[state.editors], pages: () => 'top_pages_1h', wikis: () => 'top_wikis_1h', feed: () => 'latest', minutes: () => 'edits_per_minute',
};

function gap(view) {
  const { problem, filled, rows } = tables[view];
  if (problem) return `Not available: ${problem}. If the engine lacks the view, wikitop init-views creates it.`;
  if (!filled || rows.size) return '';
  if (edits()) return 'Nothing in the last hour.';
  return Object.values(EDITORS).includes(view) ? 'Waiting for the first edit.' : '';
}

function drawGaps() {
  for (const [id, view] of Object.entries(GAPS)) setText($(`${id}-gap`), gap(view()));
}

function drawCondition(nowMs) {
  const { tone, word, detail } = condition({
    link: stream.link, engineLost: state.enginesLost.size > 0, problem: tables.counter.problem, ingest: state.ingest, edits: edits(),
    silentMs: nowMs - (state.changedAtMs ?? nowMs), lagMs: state.lagMs, nowMs,
  });
  document.documentElement.dataset.tone = tone;
  setText($('word'), word);
  setText($('detail'), ` ${detail}`); // a space that stood beside it would be text that shifts
  setText($('announce'), word); // read out when the word changes; the detail counts down and would chatter
  const title = 'wikitop: who edits Wikipedia most, live';
  document.title = tone === 'trouble' ? `${word} – ${title}` : title;
}

// Once a second: what changes with time alone.
function tick() {
  inferBots();
  stream.check();
  stream.seek();
  schedule();
}

function pauseWhile(element, on, off, why) {
  element.addEventListener(on, () => { state.pausedBy.add(why); schedule(); });
  element.addEventListener(off, () => { state.pausedBy.delete(why); schedule(); });
}

function wire() {
  for (const input of document.querySelectorAll('[name=top]')) {
    input.checked = input.value === state.editors;
    input.addEventListener('change', () => {
      state.editors = input.value;
      query.set('top', input.value);
      history.replaceState(null, '', `?${query}`);
      schedule();
    });
  }
  pauseWhile($('feed'), 'pointerenter', 'pointerleave', 'pointer');
  pauseWhile($('feed'), 'focusin', 'focusout', 'focus');
  $('pause').addEventListener('click', ({ currentTarget }) => {
    const paused = currentTarget.getAttribute('aria-pressed') !== 'true';
    currentTarget.setAttribute('aria-pressed', paused);
    if (paused) state.pausedBy.add('button');
    else state.pausedBy.delete('button');
    schedule();
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return void state.pausedBy.delete('pointer'); // nobody tells when it leaves
    still = true;
    stream.check(0);
    keepAwake();
    schedule();
  });
  document.addEventListener('focusin', showFull);
  document.addEventListener('focusout', showFull);
  addEventListener('online', () => stream.link.state === 'waiting' && stream.connect());
  addEventListener('offline', () => stream.check(0));
}

// Shows the whole of a name that is cut, to those who come by keyboard; a pointer finds it in the title.
function showFull({ target }) {
  const link = target.closest?.('.name, .user');
  const cut = link && link.firstElementChild.scrollWidth > link.firstElementChild.clientWidth;
  if (!cut || !link.matches(':focus-visible')) return $('full').hidePopover?.();
  const { left, bottom } = link.getBoundingClientRect();
  setText($('full').firstElementChild, link.title);
  $('full').style.left = `${left}px`;
  $('full').style.top = `${bottom + 4}px`;
  $('full').showPopover?.();
}

// A wall screen should not go dark; where that cannot be had, it is the screen's business.
function keepAwake() {
  if (query.has('kiosk') && !document.hidden) navigator.wakeLock?.request('screen').catch(() => {});
}

document.documentElement.classList.toggle('kiosk', query.has('kiosk'));
keepAwake();
wire();
stream.connect();
setInterval(tick, 1_000);

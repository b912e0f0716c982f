// What the page can honestly say of itself: one sentence for the state that connection, engine and stream are in together. Pure.

// Wikimedia's stream brings tens of changes a second: this long without one is worth telling.
const STALE_MS = 30_000;
// An ingester this far behind is catching up, not live.
const BEHIND_MS = 60_000;

const seconds = (ms) => `${Math.max(1, Math.ceil(ms / 1000))} s`;

function duration(ms) {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 2) return seconds(ms);
  return minutes < 60 ? `${minutes} minutes` : 'more than an hour';
}

// `edits` is null before the first snapshot. `lagMs` is how long ago the newest change happened when it came: null if that is
// not known, Infinity for more than an hour.
// The answer: `tone` is live, wait, trouble or done; `word` changes seldom and may be read out; `detail` may count down.
export function condition({ link, engineLost, problem, ingest, edits, silentMs, lagMs, nowMs }) {
  if (link.state === 'waiting') {
    const next = `Next attempt in ${seconds(link.retryAtMs - nowMs)}.`;
    return { tone: 'trouble', word: 'Reconnecting', detail: `No connection to wikitop: ${link.reason}. ${next}` };
  }
  if (link.state === 'connecting') {
    return edits === null
      ? { tone: 'wait', word: 'Connecting', detail: 'Asking wikitop for the numbers so far.' }
      : { tone: 'trouble', word: 'Reconnecting', detail: 'Asking wikitop what happened meanwhile.' };
  }
  if (engineLost) {
    return { tone: 'trouble', word: 'Reconnecting', detail: 'wikitop lost its engine and is connecting again. The numbers are the last it had.' };
  }
  if (problem) return { tone: 'trouble', word: 'No numbers', detail: `${problem}. If the engine lacks its views, wikitop init-views creates them.` };
  if (edits === null) return { tone: 'wait', word: 'Connecting', detail: 'Waiting for the numbers so far.' };
  return streamCondition({ ingest, edits, silentMs, lagMs, nowMs });
}

function streamCondition({ ingest, edits, silentMs, lagMs, nowMs }) {
  const { state, detail, retry_at_ms: retryAtMs } = ingest ?? {};
  if (state === 'retrying') {
    const because = detail ? `: ${detail}` : '';
    const next = retryAtMs > nowMs ? ` Next attempt in ${seconds(retryAtMs - nowMs)}.` : ' It is being tried again.';
    return { tone: 'trouble', word: 'Stream not reachable', detail: `wikitop cannot read the stream of changes${because}.${next}` };
  }
  if (state === 'ended') return { tone: 'done', word: 'Recording ended', detail: 'Everything in it has been counted.' };
  const elsewhere = state === 'off' ? ' This wikitop does not ingest: is “wikitop ingest” running?' : '';
  if (!edits) return { tone: 'wait', word: 'Waiting for the first edit', detail: `It appears here by itself.${elsewhere}` };
  if (state === 'connecting') return { tone: 'wait', word: 'Connecting', detail: 'wikitop is opening the stream of changes.' };
  if (silentMs > STALE_MS) return { tone: 'trouble', word: 'Stale', detail: `No change has come for ${duration(silentMs)}.${elsewhere}` };
  if (lagMs > BEHIND_MS) return { tone: 'wait', word: 'Catching up', detail: `What arrives now happened ${duration(lagMs)} ago.` };
  return { tone: 'live', word: 'Live', detail: 'Every edit to every Wikimedia wiki, as it happens.' };
}

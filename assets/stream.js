// The one connection of the page: a websocket that carries several views, opened again whenever it is lost.
// It knows messages and rows, and nothing of what they mean or how they look.

// How many updates a second the page asks for: more than the eye follows; the server merges the rest.
const MAX_RATE_HZ = 10;
// Waits between attempts double from the first to the last; half of each is chance, so that readers do not return in step.
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 30_000;
// A socket this long silent is asked after: a laptop that slept, or a proxy that forgot, leaves one that looks open and is dead.
const SILENCE_MS_MAX = 20_000;
// A view that the engine lacks may be made meanwhile: the server is asked whether it is there.
const SEEK_MS_MIN = 10_000;
const SEEK_MS_MAX = 600_000;
// How long such a question, or an attempt to connect, may take.
const ANSWER_MS_MAX = 10_000;

// The rows of one view: what its messages add up to. A row may be there several times.
export class Table {
  rows = new Map(); // JSON of the row -> { row, times }
  columns = [];
  timestamp = 0;
  filled = false; // a snapshot has come
  current = false; // one has come over this connection
  problem = null; // why the view cannot be shown

  // Applies one message. False if it does not fit what is held: then only a new snapshot helps.
  apply({ snapshot, columns, deleted = [], inserted = [], timestamp }) {
    if (snapshot) this.rows.clear();
    else if (!this.current) return false;
    if (columns) this.columns = columns.map((column) => column.name ?? column);
    this.timestamp = timestamp ?? this.timestamp;
    this.filled = this.current = true;
    this.problem = null;
    const fits = deleted.map((row) => this.#add(row, -1)).every(Boolean);
    inserted.forEach((row) => this.#add(row, 1));
    return fits;
  }

  #add(row, times) {
    const key = JSON.stringify(row);
    const held = (this.rows.get(key)?.times ?? 0) + times;
    if (held > 0) this.rows.set(key, { row, times: held });
    else this.rows.delete(key);
    return held >= 0;
  }

  // The rows as objects by column, each with its `key`, in no particular order.
  records() {
    return Array.from(this.rows, ([key, { row }]) => ({
      key, ...Object.fromEntries(this.columns.map((name, i) => [name, row[i]])),
    }));
  }

  // The value of a view that has one row and one column, or null.
  value() {
    const [first] = this.rows.values();
    return first ? first.row[0] : null;
  }
}

// How long to wait before the next attempt, by the number of those that failed in a row.
export function retryDelayMs(failures, random = Math.random()) {
  const full = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures);
  return full / 2 + (full / 2) * random;
}

// Keeps `tables` (name -> Table) up to date, and `link` true: { state: 'connecting' | 'open' | 'waiting', retryAtMs, reason }.
// Calls `onLink` when the link changes, `onRows(view, begins)` when a view does, `onMessage` with every message that brings no rows.
export class Stream {
  link = { state: 'connecting', retryAtMs: 0, reason: '' };
  lastHeardMs = Date.now();
  #socket = null;
  #failures = 0;
  #timer = 0;
  #probing = false;
  #seekMs = SEEK_MS_MIN;
  #seekAtMs = 0;

  constructor({ base, views, onLink, onRows, onMessage }) {
    this.base = base;
    this.tables = Object.fromEntries(views.map((view) => [view, new Table()]));
    Object.assign(this, { onLink, onRows, onMessage });
  }

  // Connects now, whatever was planned.
  connect() {
    clearTimeout(this.#timer);
    this.#drop();
    const url = new URL('api/stream', this.base);
    url.protocol = url.protocol.replace('http', 'ws');
    url.search = `views=${Object.keys(this.tables).join()}&max_rate=${MAX_RATE_HZ}`;
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#timer = setTimeout(() => socket === this.#socket && this.#retry('it does not answer'), ANSWER_MS_MAX);
    let opened = false;
    socket.onopen = () => {
      opened = true;
      clearTimeout(this.#timer);
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => (opened ? this.#retry(closeReason(code, reason)) : this.#explain(url, socket));
    Object.values(this.tables).forEach((table) => { table.current = false; });
    this.#set({ state: 'connecting' });
  }

  // Asks whether a silent socket still lives; called now and then, and when the reader comes back.
  async check(silenceMsMax = SILENCE_MS_MAX) {
    if (this.link.state !== 'open' || this.#probing || Date.now() - this.lastHeardMs < silenceMsMax) return;
    this.#probing = true;
    const socket = this.#socket;
    const heard = this.lastHeardMs;
    const alive = await this.#agrees();
    this.#probing = false;
    if (socket !== this.#socket || heard !== this.lastHeardMs) return;
    if (alive) this.lastHeardMs = Date.now();
    else this.#retry('the connection went silent');
  }

  // Connects anew when a view that could not be shown is there, less and less often if that does not help; called now and then.
  async seek() {
    const missing = Object.keys(this.tables).filter((name) => this.tables[name].problem);
    if (!missing.length) this.#seekMs = SEEK_MS_MIN;
    if (!missing.length || this.link.state !== 'open' || Date.now() < this.#seekAtMs) return;
    this.#seekAtMs = Date.now() + this.#seekMs;
    const socket = this.#socket;
    const { views } = await this.#ask('api/views').then((response) => response.json()).catch(() => ({}));
    if (socket !== this.#socket || !missing.some((name) => views?.includes(name))) return;
    this.#seekMs = Math.min(SEEK_MS_MAX, 2 * this.#seekMs);
    this.connect();
  }

  #ask(path, headers = {}) {
    return fetch(new URL(path, this.base), { headers, cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  }

  // Whether the first view is, by another way, what the socket says it is.
  async #agrees() {
    const [[name, table]] = Object.entries(this.tables);
    try {
      const response = await this.#ask(`api/views/${name}`);
      if (!response.ok) return true; // it lives, and has no numbers to compare
      const { rows } = await response.json();
      return JSON.stringify(rows) === JSON.stringify(Array.from(table.rows.values(), ({ row }) => row));
    } catch {
      return false;
    }
  }

  // A browser does not tell why a websocket was refused; a plain request to the same address does.
  async #explain(url, socket) {
    let reason = closeReason(1006), waitMs = 0;
    try {
      const response = await this.#ask(`${url}`.replace(/^ws/, 'http'), { accept: 'application/json' });
      waitMs = 1000 * (Number(response.headers.get('retry-after')) || 0);
      const { error, hint } = await response.json();
      reason = [error ?? reason, hint?.replace(/\.$/, '')].filter(Boolean).join('. ');
    } catch {
      // No answer, or none that explains: the reason stays.
    }
    if (socket === this.#socket) this.#retry(reason, waitMs);
  }

  #receive(data) {
    this.lastHeardMs = Date.now();
    const message = JSON.parse(data);
    const table = this.tables[message.view];
    if (this.link.state !== 'open') this.#set({ state: 'open' });
    if (table && message.error !== undefined) table.problem = String(message.error);
    if (!table || !message.inserted) return this.onMessage(message);
    const begins = !table.current; // later snapshots only stand for longer differences
    if (!table.apply(message)) return this.#retry('a message was missing');
    if (begins) this.#failures = 0;
    this.onRows(message.view, begins);
  }

  #retry(reason, waitMs = 0) {
    this.#drop();
    const delay = Math.max(retryDelayMs(this.#failures++), waitMs);
    this.#timer = setTimeout(() => this.connect(), delay);
    this.#set({ state: 'waiting', retryAtMs: Date.now() + delay, reason });
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #set(link) {
    this.link = { retryAtMs: 0, reason: '', ...link };
    this.onLink();
  }
}

function closeReason(code, reason) {
  if (code === 1001) return 'it is stopping';
  if (code === 1006) return navigator.onLine ? 'it cannot be reached' : 'it cannot be reached, and this computer is offline';
  return reason || `it closed the connection with code ${code}`;
}

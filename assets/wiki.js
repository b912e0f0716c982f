// What the page knows of Wikimedia: names and addresses of wikis, pages and accounts. Pure functions; text in, text out.
// Nothing here trusts its input: an address from the stream is followed only if it is a web address.

// Wikis whose address or name does not follow from the database name.
const SPECIAL = new Map(Object.entries({
  apiportalwiki: ['api.wikimedia.org', 'Wikimedia API Portal'],
  be_x_oldwiki: ['be-tarask.wikipedia.org', 'Belarusian (Taraškievica) Wikipedia'],
  commonswiki: ['commons.wikimedia.org', 'Wikimedia Commons'],
  donatewiki: ['donate.wikimedia.org', 'Donate wiki'],
  foundationwiki: ['foundation.wikimedia.org', 'Wikimedia Foundation'],
  incubatorwiki: ['incubator.wikimedia.org', 'Wikimedia Incubator'],
  labswiki: ['wikitech.wikimedia.org', 'Wikitech'],
  loginwiki: ['login.wikimedia.org', 'Login wiki'],
  mediawikiwiki: ['www.mediawiki.org', 'MediaWiki.org'],
  metawiki: ['meta.wikimedia.org', 'Meta-Wiki'],
  outreachwiki: ['outreach.wikimedia.org', 'Outreach Wiki'],
  sourceswiki: ['wikisource.org', 'Multilingual Wikisource'],
  specieswiki: ['species.wikimedia.org', 'Wikispecies'],
  testcommonswiki: ['test-commons.wikimedia.org', 'Test Commons'],
  testwikidatawiki: ['test.wikidata.org', 'Test Wikidata'],
  votewiki: ['vote.wikimedia.org', 'Vote wiki'],
  wikidatawiki: ['www.wikidata.org', 'Wikidata'],
  wikifunctionswiki: ['www.wikifunctions.org', 'Wikifunctions'],
  wikimaniawiki: ['wikimania.wikimedia.org', 'Wikimania'],
}));

// What follows the language in a database name. Ordered: `wiki` ends none of the others, but they all begin with it.
const FAMILY = /^([a-z][a-z0-9_]*?)(wiktionary|wikibooks|wikinews|wikiquote|wikisource|wikiversity|wikivoyage|wikimedia|wiki)$/;

// Languages that the browser's list does not have, or that Wikimedia's codes name otherwise.
const LANGUAGES = new Map(Object.entries({
  ace: 'Acehnese', als: 'Alemannic', ary: 'Moroccan Arabic', arz: 'Egyptian Arabic', avk: 'Kotava', azb: 'South Azerbaijani',
  ba: 'Bashkir', ban: 'Balinese', bar: 'Bavarian', 'bat-smg': 'Samogitian', beta: 'Beta', bh: 'Bhojpuri', 'cbk-zam': 'Chavacano',
  cdo: 'Mindong', ce: 'Chechen', crh: 'Crimean Tatar', csb: 'Kashubian', cv: 'Chuvash', diq: 'Zazaki', dsb: 'Lower Sorbian',
  eml: 'Emilian-Romagnol', 'fiu-vro': 'Võro', frr: 'North Frisian', hak: 'Hakka', hsb: 'Upper Sorbian', io: 'Ido', li: 'Limburgish',
  lij: 'Ligurian', lld: 'Ladin', lmo: 'Lombard', 'map-bms': 'Banyumasan', min: 'Minangkabau', mnw: 'Mon', mzn: 'Mazanderani',
  nah: 'Nahuatl', nap: 'Neapolitan', nds: 'Low German', 'nds-nl': 'Dutch Low Saxon', new: 'Newar', nrm: 'Norman', os: 'Ossetian',
  pms: 'Piedmontese', pnb: 'Western Punjabi', 'roa-rup': 'Aromanian', 'roa-tara': 'Tarantino', sah: 'Yakut', sat: 'Santali',
  scn: 'Sicilian', sco: 'Scots', sh: 'Serbo-Croatian', shn: 'Shan', simple: 'Simple English', szl: 'Silesian', test: 'Test',
  test2: 'Second test', vec: 'Venetian', vls: 'West Flemish', vo: 'Volapük', war: 'Waray', wuu: 'Wu', zea: 'Zeelandic',
  'zh-classical': 'Classical Chinese', 'zh-min-nan': 'Minnan', 'zh-yue': 'Cantonese',
}));

const languages = new Intl.DisplayNames(['en'], { type: 'language', fallback: 'none' });

function split(wiki) {
  const parts = FAMILY.exec(wiki ?? '');
  return parts && { language: parts[1].replaceAll('_', '-'), family: parts[2] === 'wiki' ? 'wikipedia' : parts[2] };
}

function languageName(code) {
  try {
    return LANGUAGES.get(code) ?? languages.of(code) ?? code;
  } catch {
    return code; // not a well-formed language tag
  }
}

// `enwiki` -> `en.wikipedia.org`; null for what is no wiki of Wikimedia's.
export function wikiHost(wiki) {
  const parts = split(wiki);
  return SPECIAL.get(wiki)?.[0] ?? (parts && `${parts.language}.${parts.family}.org`);
}

// `enwiki` -> `English Wikipedia`.
export function wikiName(wiki) {
  const parts = split(wiki);
  if (SPECIAL.has(wiki) || !parts) return SPECIAL.get(wiki)?.[1] ?? wiki ?? 'unknown wiki';
  if (parts.family === 'wikimedia') return wikiHost(wiki);
  return `${languageName(parts.language)} ${parts.family[0].toUpperCase()}${parts.family.slice(1)}`;
}

function encodeTitle(title) {
  return encodeURIComponent(title.toWellFormed().replaceAll(' ', '_')).replaceAll('%3A', ':').replaceAll('%2F', '/');
}

// The front page of a wiki; null when it has no known address.
export function wikiUrl(wiki) {
  const host = wikiHost(wiki);
  return host && `https://${host}/`;
}

// A page of a wiki; null when the wiki has no known address.
export function pageUrl(wiki, title) {
  const host = wikiHost(wiki);
  return host && title ? `https://${host}/wiki/${encodeTitle(title)}` : null;
}

// What an account did: on one wiki, or everywhere. Works for registered and temporary accounts and for IP addresses.
export function contributionsUrl(user, wiki) {
  return pageUrl(wiki, `Special:Contributions/${user}`) ?? pageUrl('metawiki', `Special:GlobalContributions/${user}`);
}

// The address if it is one that a browser may be sent to, else null: an event may claim any address, `javascript:` included.
export function webUrl(text) {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : null;
  return url && /^https?:$/.test(url.protocol) && !url.username && !url.password ? url : null;
}

// Where to look at a change: the difference it made, the log entry, or the page it is about.
export function changeUrl({ type, wiki, title, meta_uri }) {
  const page = webUrl(meta_uri)?.href ?? pageUrl(wiki, title);
  if (!page) return null;
  const url = new URL(page);
  if (type === 'edit') url.searchParams.set('diff', 'cur');
  if (type === 'log' && title) {
    url.pathname = '/wiki/Special:Log';
    url.search = new URLSearchParams({ page: title });
  }
  return url.href;
}

const TEMPORARY = /^~\d{4}-\d+(-\d+)*$/;
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const IPV6 = /^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}$/i;

// What the form of the name itself says of an account; whether it is a bot's, only the changes can say.
export function accountKind(user) {
  if (TEMPORARY.test(user)) return 'temporary';
  return IPV4.test(user) || IPV6.test(user) ? 'ip' : null;
}

// An edit summary as readers know it: the section that it begins with is set apart by an arrow, links are their words. What
// Wikidata's software notes there for itself (`/* wbsetclaim-create:2||1 */`) is left out.
export function summary(comment) {
  const text = comment ?? '';
  const end = text.startsWith('/*') ? text.indexOf('*/', 2) : -1;
  const section = end < 0 ? '' : text.slice(2, end).trim();
  const rest = (end < 0 ? text : text.slice(end + 2)).replace(/\[\[:?(?:[^[\]|]*\|)?([^[\]|]*)\]\]/g, '$1').trim();
  return [section && !/^wb[a-z-]+:/.test(section) ? `→${section}` : '', rest].filter(Boolean).join(': ');
}

// A timestamp in the engine's text form, or ISO 8601, in milliseconds since the epoch; NaN if it is neither.
export function timeMs(text) {
  return Date.parse(String(text).replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'));
}

// Bytes that a change added, negative if it removed; null where there is no size (log entries, categorisations).
export function sizeChange({ length_old, length_new }) {
  return length_new === null || length_new === undefined ? null : length_new - (length_old ?? 0);
}

// The order of texts by code points, which is that of their bytes: what the views' ORDER BY means.
export function compareText(a, b) {
  const left = Array.from(a ?? ''), right = Array.from(b ?? '');
  for (let i = 0; i < left.length && i < right.length; i++) {
    if (left[i] !== right[i]) return left[i].codePointAt(0) - right[i].codePointAt(0);
  }
  return left.length - right.length;
}

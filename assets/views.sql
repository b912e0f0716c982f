-- The views of wikitop: one definition, two engines. Each stands on `recentchanges`, one row a change, or on the views above it.
-- An edit is a change whose type is `edit` or `new` (a page creation is an edit).

-- Edits ever observed.
CREATE MATERIALIZED VIEW counter AS
SELECT count(*) AS count
FROM recentchanges
WHERE type IN ('edit', 'new');

-- Edits ever observed, by user. Edits without a user (redacted) count in `counter` only.
CREATE MATERIALIZED VIEW user_edits AS
SELECT "user", count(*) AS count
FROM recentchanges
WHERE type IN ('edit', 'new') AND "user" IS NOT NULL
GROUP BY "user";

-- The ten users with most edits; ties by user, bytewise ascending.
CREATE MATERIALIZED VIEW top10 AS
SELECT "user", count
FROM user_edits
ORDER BY count DESC, "user"
LIMIT 10;

-- The same over the last hour: an edit leaves by itself when its time has passed.
CREATE MATERIALIZED VIEW top10_1h AS
SELECT "user", count(*) AS count
FROM recentchanges
WHERE type IN ('edit', 'new') AND "user" IS NOT NULL
  AND mz_now() <= dt + INTERVAL '1 hour'
GROUP BY "user"
ORDER BY count DESC, "user"
LIMIT 10;

-- The same without bots; a change without the flag is a person's.
CREATE MATERIALIZED VIEW top10_humans_1h AS
SELECT "user", count(*) AS count
FROM recentchanges
WHERE type IN ('edit', 'new') AND "user" IS NOT NULL AND NOT coalesce(bot, false)
  AND mz_now() <= dt + INTERVAL '1 hour'
GROUP BY "user"
ORDER BY count DESC, "user"
LIMIT 10;

-- The 20 most edited pages of the last hour.
CREATE MATERIALIZED VIEW top_pages_1h AS
SELECT wiki, title, count(*) AS count
FROM recentchanges
WHERE type IN ('edit', 'new') AND wiki IS NOT NULL AND title IS NOT NULL
  AND mz_now() <= dt + INTERVAL '1 hour'
GROUP BY wiki, title
ORDER BY count DESC, wiki, title
LIMIT 20;

-- The 20 busiest wikis of the last hour.
CREATE MATERIALIZED VIEW top_wikis_1h AS
SELECT wiki, count(*) AS count
FROM recentchanges
WHERE type IN ('edit', 'new') AND wiki IS NOT NULL
  AND mz_now() <= dt + INTERVAL '1 hour'
GROUP BY wiki
ORDER BY count DESC, wiki
LIMIT 20;

-- The last 60 minutes, minute by minute: a minute leaves as a whole, an hour after it began.
CREATE MATERIALIZED VIEW edits_per_minute AS
SELECT date_trunc('minute', dt) AS minute, count(*) AS edits, count(*) FILTER (WHERE bot) AS by_bots
FROM recentchanges
WHERE type IN ('edit', 'new')
  AND mz_now() <= date_trunc('minute', dt) + INTERVAL '1 hour'
GROUP BY date_trunc('minute', dt);

-- Every kind of change ever observed.
CREATE MATERIALIZED VIEW changes_by_type AS
SELECT type, count(*) AS count
FROM recentchanges
GROUP BY type;

-- The 20 newest changes; what is older than an hour is not news, and bounds what an engine must remember.
CREATE MATERIALIZED VIEW latest AS
SELECT dt, wiki, title, "user", type, bot, comment, length_old, length_new, meta_uri
FROM recentchanges
WHERE mz_now() <= dt + INTERVAL '1 hour'
ORDER BY dt DESC, meta_id
LIMIT 20;

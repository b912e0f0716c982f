-- What the views stand on where wikitop is not the engine itself. In the embedded engine both relations are built in.

-- The changes as they came, one JSON document a row.
CREATE TABLE wikirecent (data jsonb NOT NULL);

-- One row a change. A plain view: nothing reads it as a whole, and what stands on it keeps only what it needs.
-- Identifiers are beyond 32 bits; canaries are Wikimedia's test events.
CREATE VIEW recentchanges AS
SELECT data->>'$schema' AS r_schema,
  (data->>'bot')::bool AS bot,
  data->>'comment' AS comment,
  (data->>'id')::bigint AS id,
  (data->'length'->>'new')::bigint AS length_new,
  (data->'length'->>'old')::bigint AS length_old,
  data->'meta'->>'uri' AS meta_uri,
  data->'meta'->>'id' AS meta_id,
  (data->>'minor')::bool AS minor,
  (data->>'namespace')::bigint AS namespace,
  data->>'parsedcomment' AS parsedcomment,
  (data->'revision'->>'new')::bigint AS revision_new,
  (data->'revision'->>'old')::bigint AS revision_old,
  data->>'server_name' AS server_name,
  data->>'server_script_path' AS server_script_path,
  data->>'server_url' AS server_url,
  (data->>'timestamp')::bigint AS r_ts,
  data->>'title' AS title,
  data->>'type' AS type,
  data->>'user' AS "user",
  data->>'wiki' AS wiki,
  (data->'meta'->>'dt')::timestamptz AS dt
FROM wikirecent
WHERE coalesce(data->'meta'->>'domain', '') <> 'canary';

// node-postgres against the embedded engine: parameters, prepared statements, COPY both ways, a cursor's rows and errors.

const assert = require("node:assert");
const { once } = require("node:events");
const { Client } = require("pg");
const { from: copyFrom, to: copyTo } = require("pg-copy-streams");

const [host, port] = process.argv.slice(2);

const change = (number) => JSON.stringify({
  $schema: "/mediawiki/recentchange/1.0.0",
  meta: { id: `node-${number}`, dt: "2026-08-04T15:24:29.724Z", stream: "mediawiki.recentchange" },
  type: "edit", user: "Node", title: `Title ${number}`, wiki: "testwiki",
});

async function main() {
  const client = new Client({ host, port: Number(port), user: "materialize", database: "materialize" });
  await client.connect();

  const copy = client.query(copyFrom("COPY wikirecent FROM STDIN"));
  for (let number = 0; number < 4; number += 1) {
    copy.write(change(number).replaceAll("\\", "\\\\") + "\n");
  }
  copy.end();
  await once(copy, "finish");

  await client.query("INSERT INTO wikirecent VALUES ($1)", [change(4)]);
  const counted = await client.query({
    name: "counted",
    text: 'SELECT "user", count FROM user_edits WHERE "user" = $1 AND count > $2',
    values: ["Node", 1],
  });
  assert.deepStrictEqual(counted.rows, [{ user: "Node", count: "5" }]);

  const { rows: [row] } = await client.query("SELECT dt, bot, true AS yes FROM recentchanges WHERE meta_id = 'node-0'");
  assert.strictEqual(row.dt.toISOString(), "2026-08-04T15:24:29.724Z");
  assert.strictEqual(row.bot, null);
  assert.strictEqual(row.yes, true);

  await assert.rejects(client.query("SELECT nosuch"), { code: "42703" });
  await client.query("BEGIN");
  await client.query("DECLARE c CURSOR FOR SUBSCRIBE counter WITH (PROGRESS)");
  const fetched = await client.query("FETCH 3 c WITH (timeout = '10s')");
  assert.deepStrictEqual(fetched.rows.map((each) => each.mz_progressed), [true, false, true]);
  await client.query("ROLLBACK");

  const reader = new Client({ host, port: Number(port), user: "materialize", database: "materialize" });
  // The last step hangs up in the middle of a subscription, which this driver reports as an error.
  reader.on("error", () => {});
  await reader.connect();
  const out = reader.query(copyTo("COPY (SUBSCRIBE counter WITH (PROGRESS)) TO STDOUT"));
  out.on("error", () => {});
  const [first] = await once(out, "data");
  assert.match(first.toString(), /^\d+\tt\t\\N\t\\N\n/);
  reader.connection.stream.destroy();

  await client.end();
  console.log("node-postgres", require("pg/package.json").version, "ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

"""asyncpg against the embedded engine: prepared statements in binary, copy_from_query, cursors, introspection, cancellation."""

import asyncio
import io
import json
import sys

import asyncpg

host, port = sys.argv[1], int(sys.argv[2])


def change(number):
    return json.dumps({
        "$schema": "/mediawiki/recentchange/1.0.0",
        "meta": {"id": f"asyncpg-{number}", "dt": "2026-08-04T15:24:29.724Z", "stream": "mediawiki.recentchange"},
        "type": "edit", "user": "Asyncpg", "title": f"Title {number}", "wiki": "testwiki",
    })


async def main():
    connection = await asyncpg.connect(host=host, port=port, user="materialize", database="materialize")
    assert connection.get_server_version().major == 9

    await connection.execute("INSERT INTO wikirecent VALUES ($1)", change(0))
    lines = "".join(change(number).replace("\\", "\\\\") + "\n" for number in range(4))
    tag = await connection.copy_to_table("wikirecent", source=io.BytesIO(lines.encode()))
    assert tag == "COPY 4", tag

    statement = await connection.prepare('SELECT "user", count FROM user_edits WHERE count >= $1 AND "user" = $2')
    assert [parameter.name for parameter in statement.get_parameters()] == ["int8", "text"]
    assert [attribute.name for attribute in statement.get_attributes()] == ["user", "count"]
    rows = await statement.fetch(1, "Asyncpg")
    assert [tuple(row) for row in rows] == [("Asyncpg", 4)], rows

    row = await connection.fetchrow("SELECT dt, bot, 1.50, INTERVAL '1 day 02:00:00', 0.5::float8 FROM recentchanges WHERE meta_id = $1", "asyncpg-0")
    assert row[0].isoformat() == "2026-08-04T15:24:29.724000+00:00" and row[1] is None, row
    assert str(row[2]) == "1.50" and row[3].total_seconds() == 93600 and row[4] == 0.5, row

    out = io.BytesIO()
    tag = await connection.copy_from_query("SELECT meta_id FROM recentchanges WHERE \"user\" = 'Asyncpg' ORDER BY 1", output=out)
    assert tag == "COPY 4" and out.getvalue().splitlines()[0] == b"asyncpg-0", out.getvalue()

    async with connection.transaction():
        seen = [record[0] async for record in connection.cursor("SELECT meta_id FROM recentchanges WHERE \"user\" = 'Asyncpg' ORDER BY 1", prefetch=2)]
    assert seen == [f"asyncpg-{number}" for number in range(4)], seen

    # A subscription as COPY, ended by a cancelled task.
    received = asyncio.Event()

    async def sink(_data):
        received.set()

    copying = asyncio.create_task(connection.copy_from_query("SUBSCRIBE counter WITH (PROGRESS)", output=sink))
    await asyncio.wait_for(received.wait(), 60)
    copying.cancel()
    try:
        await copying
        raise AssertionError("the copy was cancelled")
    except asyncio.CancelledError:
        pass
    assert await connection.fetchval("SELECT 1") == 1

    try:
        await connection.fetch("SELECT nosuch")
        raise AssertionError("an unknown column is an error")
    except asyncpg.UndefinedColumnError:
        pass
    await connection.close()

    # A pool resets its connections between users.
    async with asyncpg.create_pool(host=host, port=port, user="materialize", database="materialize", min_size=1, max_size=2) as pool:
        for _ in range(3):
            assert await pool.fetchval("SELECT count FROM user_edits WHERE \"user\" = 'Asyncpg'") == 4
    print("asyncpg", asyncpg.__version__, "ok")


asyncio.run(main())

"""psycopg 3 against the embedded engine: typed queries, COPY both ways, a server-side cursor, stream(), and transactions."""

import json
import sys

import psycopg
from psycopg.rows import tuple_row

host, port = sys.argv[1], sys.argv[2]
dsn = f"host={host} port={port} user=materialize dbname=materialize"


def change(number, user):
    return json.dumps({
        "$schema": "/mediawiki/recentchange/1.0.0",
        "meta": {"id": f"psycopg-{number}", "dt": "2026-08-04T15:24:29.724Z", "stream": "mediawiki.recentchange"},
        "type": "edit", "user": user, "title": f'Tab\tand "quote" {number}', "wiki": "testwiki",
    })


def count_of(connection, user):
    row = connection.execute('SELECT count FROM user_edits WHERE "user" = %s', [user]).fetchone()
    return row[0] if row else 0


with psycopg.connect(dsn, autocommit=True) as connection:
    # COPY in, in pieces, and the same batch again.
    for _ in range(2):
        with connection.cursor().copy("COPY wikirecent (data) FROM STDIN") as copy:
            for number in range(5):
                copy.write_row([change(number, "Psycopg")])
    assert count_of(connection, "Psycopg") == 5

    # A transaction is visible to others at COMMIT only.
    with connection.transaction():
        connection.execute("INSERT INTO wikirecent VALUES (%s)", [change(5, "Psycopg")])
        with psycopg.connect(dsn) as other:
            assert count_of(other, "Psycopg") == 5
    assert count_of(connection, "Psycopg") == 6
    try:
        with connection.transaction():
            connection.execute("INSERT INTO wikirecent VALUES (%s)", [change(6, "Psycopg")])
            raise psycopg.Rollback()
    except psycopg.Rollback:
        pass
    assert count_of(connection, "Psycopg") == 6

    # Types, in both formats.
    for binary in (False, True):
        with connection.cursor(binary=binary, row_factory=tuple_row) as cursor:
            row = cursor.execute(
                "SELECT dt, bot, title, 1.50, INTERVAL '1 day 02:00:00', 0.5::float8, length_new FROM recentchanges WHERE meta_id = 'psycopg-0'"
            ).fetchone()
            assert row[0].isoformat() == "2026-08-04T15:24:29.724000+00:00", row
            assert row[1] is None and row[2] == 'Tab\tand "quote" 0', row
            assert str(row[3]) == "1.50" and row[4].total_seconds() == 93600 and row[5] == 0.5 and row[6] is None, row

    # COPY out.
    with connection.cursor().copy("COPY (SELECT title FROM recentchanges WHERE \"user\" = 'Psycopg' ORDER BY title) TO STDOUT") as copy:
        copy.set_types(["text"])
        assert list(copy.rows())[0] == ('Tab\tand "quote" 0',)

    # A subscription, row by row.
    with connection.cursor() as cursor:
        stream = cursor.stream("SUBSCRIBE (SELECT count FROM user_edits WHERE \"user\" = 'Psycopg') WITH (PROGRESS)")
        first, snapshot, closed = next(stream), next(stream), next(stream)
        assert first[1] is True and first[2] is None, first
        assert snapshot[1:] == (False, 1, 6) and snapshot[0] == first[0], snapshot
        assert closed[1] is True and closed[0] > first[0], closed
        connection.cancel()
        try:
            for _ in stream:
                pass
            raise AssertionError("a cancelled subscription ends with an error")
        except psycopg.errors.QueryCanceled:
            pass

    # A prepared statement: psycopg prepares what it runs often.
    for number in range(8):
        row = connection.execute("SELECT %s::bigint + 1, %s", [number, "x"], prepare=True).fetchone()
        assert row == (number + 1, "x"), row

    # Errors carry their state and position.
    try:
        connection.execute("SELECT nosuch FROM top10")
        raise AssertionError("an unknown column is an error")
    except psycopg.errors.UndefinedColumn as error:
        assert error.diag.statement_position == "8", error.diag.statement_position

# A server-side cursor lives in a transaction, which psycopg begins by itself.
with psycopg.connect(dsn) as connection:
    with connection.cursor(name="rows") as cursor:
        cursor.itersize = 4
        cursor.execute("SELECT meta_id FROM recentchanges WHERE \"user\" = %s ORDER BY meta_id", ["Psycopg"])
        assert [row[0] for row in cursor] == [f"psycopg-{number}" for number in range(6)]
    with connection.cursor(name="changes") as cursor:
        cursor.execute("SUBSCRIBE counter")
        assert cursor.fetchone()[1] == 1

print("psycopg", psycopg.__version__, "ok")

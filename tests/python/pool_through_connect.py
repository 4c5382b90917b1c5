"""A psycopg pool through a door of `sluice connect`, for some seconds.

    pool_through_connect.py HOST PORT DATABASE SECONDS

It prints which backends it had at the beginning and at the end, and how many queries it ran; it fails if one fails.
"""

import json
import sys
import time

from psycopg_pool import ConnectionPool

host, port, database, seconds = sys.argv[1:]
with ConnectionPool(f"host={host} port={port} user=me dbname={database}", min_size=3, max_size=3, open=True) as pool:
    pool.wait()

    def backends():
        held = [pool.getconn() for _ in range(3)]
        ids = sorted(connection.info.backend_pid for connection in held)
        for connection in held:
            pool.putconn(connection)
        return ids

    first, queries, end = backends(), 0, time.monotonic() + float(seconds)
    while time.monotonic() < end:
        with pool.connection() as connection:
            assert connection.execute("SELECT count(*) FROM orders WHERE id <= %s", (3,)).fetchone() == (3,)
            queries += 1
        # A transaction that failed, and stays open for a while.
        with pool.connection() as connection:
            try:
                connection.execute("SELECT 1 / 0")
            except Exception as error:
                assert error.sqlstate == "22012", error
            time.sleep(0.2)
            connection.rollback()
    print(json.dumps({"first": first, "last": backends(), "queries": queries}))

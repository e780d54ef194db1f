"""The connections of Django, under the name by which it looks for them."""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes no connection from the pool whose other end has hung up.

    The pool's own check asks the database at each request, and after each dead connection waits twice as long as before:
    a pool of ten that all died together refuses for half a minute. Here a connection is looked at without asking, and once
    one is found dead the pool looks at all of them and replaces those together.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection[Any]:
        connection = super().get_new_connection(conn_params)
        if self.pool is None or not _hung_up(connection):
            return connection
        self.pool.putconn(connection)
        self.pool.check()
        return super().get_new_connection(conn_params)


def _hung_up(connection: Connection[Any]) -> bool:
    """Whether there is something to read though nothing was asked: the end, most likely."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))

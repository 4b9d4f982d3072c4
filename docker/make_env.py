"""Write `docker/.env`, with secrets made at random, for the compose file. It is never written over."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

NAMES = (
    "POSTGRES_PASSWORD",
    "AIRFLOW_DATABASE_PASSWORD",
    "MLFLOW_DATABASE_PASSWORD",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
)


def text() -> str:
    """The lines of the file: letters and digits alone, which need no quotes in addresses of databases."""
    values = {name: secrets.token_hex(24) for name in NAMES}
    values["AIRFLOW_FERNET_KEY"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return "".join(f"{name}={value}\n" for name, value in values.items())


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name(".env")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.exit(f"{path} is there already: what it protects was made with its secrets")
    with os.fdopen(descriptor, "w") as file:
        file.write(text())
    print(path)


if __name__ == "__main__":
    main()

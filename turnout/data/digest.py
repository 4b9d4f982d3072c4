"""What data is by its content: one digest for files and directories."""

from __future__ import annotations

import hashlib
from pathlib import Path


def content_digest(path: Path) -> str:
    """The digest of a file's bytes, or of a directory's names and bytes: `sha256:` and hexadecimal digits."""
    if path.is_file():
        with path.open("rb") as opened:
            return "sha256:" + hashlib.file_digest(opened, "sha256").hexdigest()
    hasher = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        hasher.update(f"{file.relative_to(path).as_posix()}\0{content_digest(file)}\0".encode())
    return "sha256:" + hasher.hexdigest()

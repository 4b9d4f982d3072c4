"""Reports of steps that failed on KFP, whose launcher stores nothing of a step that failed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_REPORTS = ("system.HTML", "system.Markdown")
_STORES = ("gs", "s3", "minio")
"""Schemes of KFP's stores that fsspec opens too; MinIO speaks S3."""


def keep_reports(artifacts: Iterable[Any]) -> None:
    """Store the pages that a step wrote before it failed; what keeps one from that is printed, never raised.

    The step itself stores them, so it needs what the store asks for: the identity of its pod, or the variables of S3's
    libraries (for MinIO, `AWS_ENDPOINT_URL` and the keys). Turnout's own launcher keeps all that a step leaves; it
    gives artifacts a path of their own, and those are passed over.

    Args:
        artifacts: the step's outputs, as KFP's SDK has them.
    """
    for artifact in artifacts:
        scheme, _, rest = str(artifact.uri).partition("://")
        if artifact.schema_title not in _REPORTS or scheme not in _STORES or artifact.custom_path:
            continue
        written = Path(artifact.path)
        if not written.is_file():
            continue
        try:
            from upath import UPath

            UPath(f"{'s3' if scheme == 'minio' else scheme}://{rest}").write_bytes(written.read_bytes())
        except Exception as error:
            print(f"warning: {artifact.name} is not kept in {artifact.uri}: {error}", file=sys.stderr)
        else:
            print(f"{artifact.name} of this try: {artifact.uri}", file=sys.stderr)

"""Steps whose code is in an image, as with the docker and kubernetes runtimes."""

from kfp import dsl, kubernetes

from turnout import ComponentError, Dataset, Input, Output, component

IMAGE = "localhost/turnout-test:1"


@component(image=IMAGE)
def write(words: Output[Dataset], text: str = "a b") -> int:
    """Write words, one on a line.

    Args:
        words: the lines.
        text: words with spaces between them.
    """
    from pathlib import Path

    Path(words.path).write_text("\n".join(text.split()))
    words.metadata["user"] = __import__("os").getuid()
    print("written")
    return len(text.split())


@component(image=IMAGE)
def read(words: Input[Dataset], password: str = "", seconds: float = 0) -> list:
    """Read words.

    Args:
        words: lines.
        password: what the variable PASSWORD must be.
        seconds: to wait first.
    """
    import os
    import time
    from pathlib import Path

    if os.environ.get("PASSWORD", "") != password:
        raise ComponentError("the password is wrong", where="password")
    time.sleep(seconds)
    return Path(words.path).read_text().split("\n")


@dsl.pipeline
def contained(text: str = "a b", password: str = "hush", seconds: float = 0):
    written = write(text=text)
    kubernetes.set_security_context(written, run_as_user=1000, run_as_group=1000, run_as_non_root=True)
    found = read(words=written.outputs["words"], password=password, seconds=seconds)
    kubernetes.use_secret_as_env(found, "warehouse", {"password": "PASSWORD"})
    kubernetes.set_timeout(found, 20)

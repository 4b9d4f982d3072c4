"""A time limit and retries: what takes too long is ended, and tried again."""

from kfp import kubernetes

from turnout import component, pipeline


@component
def fetch(address: str) -> str:
    """Fetch a page.

    Args:
        address: of the page.
    """
    return f"the page of {address}"


@pipeline
def time_out(address: str = "example"):
    """Fetch a page, patiently.

    Args:
        address: of the page.
    """
    fetched = fetch(address=address)
    fetched.set_retry(num_retries=3, backoff_duration="10s", backoff_factor=2.0, backoff_max_duration="60s")
    kubernetes.set_timeout(fetched, 300)

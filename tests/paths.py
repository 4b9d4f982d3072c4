"""Where the project and its tests lie."""

from pathlib import Path

TESTS = Path(__file__).parent
EXAMPLES = TESTS / "examples"
PROJECT = TESTS.parent
PACKAGE = PROJECT / "turnout"

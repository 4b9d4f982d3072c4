"""`python -m turnout`: the `turnout` of this Python's environment, also where that is not on the path."""

from turnout.cli import main

main()

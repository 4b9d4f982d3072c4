"""What compiling and checking a pipeline gave before, for as long as all that it looked at is the same.

`answers.py` asks for several sources, `trace.py` records what each one looks at, `doubts.py` finds what no record can
hold, `evidence.py` says whether it is all the same still, and `kept.py` keeps answers in the user's cache.
"""

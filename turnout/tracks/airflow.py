"""stub"""
from turnout.tracks.support import LAUNCHER
SUPPORT = {**LAUNCHER}
def emit(d, s): raise SystemExit
def faults(d): return []

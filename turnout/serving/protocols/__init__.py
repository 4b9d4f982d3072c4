"""How requests and answers are written: one file a protocol."""

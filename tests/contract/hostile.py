"""Texts that something along the way may take for more than text."""

TEXTS = [
    'it\'s "quoted" `so`',
    "two\nlines\r\n\ttabbed \\n",
    "{{$.inputs.parameters['text']}} {{$}} {{$.pipeline_root}} {{$.",
    "python3 -m pip install x; python3",
    "$(touch /tmp/x) `id` $HOME && rm -rf * | cat > /dev/null #",
    "{{ ds }} {% raw %} {{ 7 * 7 }} {#",
    '{"IfPresent": {"InputName": "x"}} {"Concat": []}',
    "--executor-input @/etc/passwd",
    "@/etc/passwd",
    "null",
    "1e3",
    "<script>alert(1)</script><!-- & -->",
    "emoji 🙈 é ü \u202e right to left \u0000nul".replace("\u0000", ""),
    "../../../etc/passwd",
    "",
    "x" * 1_000_000,
]

"""The style of all pages: colours by day and by night, and how wide things may be."""

LIGHT = (
    "--page: #fff; --text: #1c1f24; --quiet: #59616b; --line: #d9dde3; --soft: #f3f5f7; --good: #1e7d3a; "
    "--bad: #c22f2f; --blue: #1f6fb2; --orange: #c8701a; --pale: #9db8d2; --bar: #cfe0f0;"
)
DARK = (
    "--page: #16191d; --text: #e6e8eb; --quiet: #a0a8b2; --line: #3a4048; --soft: #20252b; --good: #4cc26a; "
    "--bad: #ff8079; --blue: #62aef2; --orange: #f0a04b; --pale: #6f93b8; --bar: #2b4a66;"
)

STYLE = (
    f"""
:root {{ color-scheme: light dark; {LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}
"""
    + """
html { background: var(--page); color: var(--text); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 68rem; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .25rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h2 { overflow-wrap: anywhere; } .about { color: var(--quiet); margin: 0 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; } a { color: var(--blue); }
.notice { border: 1px dashed var(--blue); border-radius: 4px; padding: .4rem .75rem; }
.verdict { padding: .75rem 1rem; border-left: .4rem solid var(--quiet); background: var(--soft); margin: 1rem 0; }
.verdict { overflow-wrap: anywhere; } .verdict strong { font-size: 1.1rem; }
.good { border-color: var(--good); } .bad { border-color: var(--bad); }
.verdict ul { margin: .4rem 0 0; padding-left: 1.2rem; } .verdict li { white-space: pre-wrap; }
.metrics { display: flex; flex-wrap: wrap; gap: .75rem 2rem; margin: 1rem 0; } .metrics dt { color: var(--quiet); }
.metrics dt { font-size: .9rem; } .metrics dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.metrics div { min-width: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--quiet); font-weight: 600; font-size: .9rem; vertical-align: bottom; }
td { overflow-wrap: break-word; max-width: 28rem; }
td.short { white-space: nowrap; }
@media (max-width: 40rem) {
  td:not(.number, .short) { min-width: 8rem; max-width: 10rem; overflow-wrap: anywhere; }
  th, td { padding-right: .7rem; }
}
table.pairs td { overflow-wrap: anywhere; min-width: 6.5rem; max-width: 40rem; }
@media (max-width: 40rem) { table.stacked, .stacked tbody { display: block; }
  .stacked thead { position: absolute; clip-path: inset(50%); }
  .stacked tr { display: flex; flex-wrap: wrap; gap: .15rem 1rem; padding: .6rem 0; }
  .stacked tr { border-bottom: 1px solid var(--line); }
  table.stacked tr td { display: block; border: 0; padding: 0; min-width: 0; max-width: 100%; text-align: left; }
  table.stacked tr td:not(.short, .number) { flex: 1 0 100%; } .stacked td:first-child { font-weight: 600; }
  .stacked td[data-label]::before { content: attr(data-label) " "; color: var(--quiet); }
  table.stacked tr td:empty { display: none; } }
td.number, th.number { text-align: right; } td.number { white-space: nowrap; }
@media (max-width: 40rem) { td.number { white-space: normal; } }
tr.bad { border-color: var(--line); } tr.bad td:first-child { color: var(--bad); font-weight: 600; }
.bar { background: linear-gradient(var(--bar), var(--bar)) no-repeat left / var(--share) 100%; padding: .1rem .4rem;
  min-width: 6rem; display: inline-block; text-align: left; white-space: nowrap; box-sizing: border-box; }
.histogram { display: block; width: 7.5rem; height: 2rem; } .histogram .reference { fill: var(--pale); }
.histogram .now { fill: none; stroke: var(--orange); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
td input { width: 1.15rem; height: 1.15rem; margin: .15rem 0; }
button { font: inherit; padding: .35rem .9rem; margin: .25rem 0 .75rem; color: var(--page); background: var(--blue);
  border: 1px solid var(--blue); border-radius: 4px; cursor: pointer; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: .5rem 1.5rem; }
.figures.single { grid-template-columns: minmax(0, 1fr); }
figure { margin: .5rem 0; } figure svg { max-width: 100%; height: auto; color: var(--text); }
figure img { max-width: 100%; height: auto; max-height: 32rem; }
figure svg text { font-family: system-ui, sans-serif !important; fill: currentColor; }
figure.wide { overflow-x: auto; }
iframe { width: 100%; border: 1px solid var(--line); border-radius: 4px; background: #fff; color-scheme: light; }
iframe.modes { background: var(--page); color-scheme: light dark; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; overflow-wrap: anywhere; }
h4 { font-size: .95rem; margin: 1rem 0 .25rem; overflow-wrap: anywhere; }
section section h2, details > section:first-of-type h2 { border-top: 0; padding-top: 0; margin-top: 1rem; }
nav { font-size: .9rem; padding-bottom: .25rem; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--blue); padding: .25rem 0; overflow-wrap: anywhere; }
td:has(> .mark) { min-width: 7rem; }
.mark::before { content: ""; display: inline-block; width: .6rem; height: .6rem; border-radius: 50%;
  margin-right: .4rem; background: var(--quiet); }
.mark.good::before { background: var(--good); } .mark.bad::before { background: var(--bad); }
.mark.busy::before { background: var(--blue); } .mark.open::before { background: none; outline: 1.5px solid
  var(--quiet); outline-offset: -1.5px; }
.span { display: block; min-width: 9rem; white-space: nowrap; } .span i { display: block; height: .35rem;
  margin-left: var(--from); width: max(2px, var(--share)); background: var(--blue); border-radius: 2px; }
figcaption { color: var(--quiet); font-size: .9rem; }
.markdown { overflow-wrap: anywhere; max-width: 46rem; } .markdown table { display: block; overflow-x: auto; }
pre { overflow: auto; max-height: 40rem; background: var(--soft); padding: .5rem .75rem; margin: .5rem 0; }
pre { font-size: .85rem; }
.markdown pre { overflow-x: auto; background: var(--soft); padding: .5rem .75rem; }
"""
)

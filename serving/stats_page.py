"""The page of response times at /stats, for a person with a browser."""

import html
from collections.abc import Sequence

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>Response times</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
         padding: 0 1rem; color: #1b1f23; background: #fff; }
  div { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; }
  th, td { padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #d0d7de; text-align: left; }
  .number { text-align: right; font-variant-numeric: tabular-nums; }
  @media (prefers-color-scheme: dark) {
    body { color: #e6edf3; background: #0d1117; }
    th, td { border-color: #30363d; }
  }
</style>
</head>
<body>
<h1>Response times</h1>
"""
_FOOT = """<p>Milliseconds from a request's arrival to its answer, of the latest 4,096 requests of
each kind. The page renews itself every 5 seconds; <code>curl</code> gets it as JSON, and
<a href="/monitoring/prometheus/metrics">/monitoring/prometheus/metrics</a> has everything.</p>
</body>
</html>
"""
_COLUMNS = (
  ('model_name', 'model'),
  ('version', 'version'),
  ('signature_name', 'signature'),
  ('API', 'API'),
  ('entrypoint', 'by'),
  ('requests', 'requests'),
  ('p50_ms', 'p50'),
  ('p95_ms', 'p95'),
  ('p99_ms', 'p99'),
)
_NUMBERS = frozenset(['requests', 'p50_ms', 'p95_ms', 'p99_ms'])


def render(rows: Sequence[dict]) -> str:
  """Returns the page.

  Args:
    rows: see Metrics.percentiles.
  """
  timed = [row for row in rows if 'status' not in row]
  failed = [row for row in rows if 'status' in row]
  return ''.join((_HEAD, _timed(timed), _failed(failed), _FOOT))


def _timed(rows: Sequence[dict]) -> str:
  if not rows:
    return '<p>No request was answered yet.</p>\n'
  head = ''.join(f'<th{_class(key)}>{title}</th>' for key, title in _COLUMNS)
  body = ''.join(
    '<tr>' + ''.join(f'<td{_class(key)}>{_text(row[key])}</td>' for key, _ in _COLUMNS) + '</tr>\n'
    for row in rows
  )
  return f'<div><table>\n<tr>{head}</tr>\n{body}</table></div>\n'


def _failed(rows: Sequence[dict]) -> str:
  if not rows:
    return ''
  items = ''.join(
    f'<li>{row["requests"]:,} with {html.escape(str(row["status"]))}</li>\n' for row in rows
  )
  return f'<p>Not answered:</p>\n<ul>\n{items}</ul>\n'


def _class(key: str) -> str:
  return ' class="number"' if key in _NUMBERS else ''


def _text(value: object) -> str:
  if isinstance(value, float):
    return f'{value:.1f}'
  return f'{value:,}' if isinstance(value, int) else html.escape(str(value))

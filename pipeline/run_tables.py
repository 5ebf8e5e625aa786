"""The record of runs on a terminal: the list, what a run was made from, what changed.

Everything fits 80 columns, and none of it is read as markup: a path or a goal may hold
[brackets].
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import rich.console
import rich.table
from rich.padding import Padding
from rich.text import Text

from pipeline.lineage import Lineage, Run
from pipeline.run_difference import Change, Difference, Section

_HEADINGS = ('run', 'started UTC', 's', 'state', 'accuracy', 'verdict', 'version')
_HASH = re.compile(r'[0-9a-f]{32,}')
_HASH_DIGITS = 12
# Of each section; JSON has all of them.
_MOST_CHANGES = 30
_MOST_IMAGES = 3


def render_runs(runs: Iterable[Run]) -> rich.console.Group:
  """Returns a line for each run, and below it what it was for and what came of it."""
  runs = list(runs)
  rows = [_HEADINGS, *map(_cells, runs)]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = [_line(_HEADINGS, widths, 'bold')]
  for run, cells in zip(runs, rows[1:], strict=True):
    lines.append(_line(cells, widths))
    for name, said in (('for', run.goal), ('came of it', run.conclusion)):
      if said:
        lines.append(Text(f'  {name}: {said}', 'dim', no_wrap=True, overflow='ellipsis'))
  return rich.console.Group(*lines)


def _cells(run: Run) -> tuple[str, ...]:
  return (
    run.run_id,
    f'{run.started:%m-%d %H:%M}',
    f'{run.seconds:.0f}',
    run.state,
    '' if run.accuracy is None else f'{run.accuracy:.1%}',
    run.verdict,
    run.version,
  )


def _line(cells: Sequence[str], widths: Sequence[int], style: str = '') -> Text:
  padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
  return Text('  '.join(padded).rstrip(), style)


def render_lineage(lineage: Lineage) -> rich.console.Group:
  """Returns what a version was made from: the facts, then every step on the way."""
  # Hashes are meant to be copied: whole, however narrow the terminal is.
  facts = rich.table.Table.grid(padding=(0, 2))
  facts.add_column(no_wrap=True)
  facts.add_column(overflow='fold')
  for name, text in lineage.facts.items():
    facts.add_row(name, Text(text))
  table = rich.table.Table(title='Made by', title_justify='left')
  for heading in ('component', 'run', 'state', 'seconds', 'wrote'):
    table.add_column(heading, overflow='fold')
  for step in lineage.steps:
    wrote = [
      f'{lineage.artifacts[key].type.removeprefix("components.")} {key}'
      for key in step.outputs
      if key in lineage.artifacts
    ]
    table.add_row(
      step.component, step.run_id, step.state.lower(), f'{step.seconds:.1f}', ', '.join(wrote)
    )
  return rich.console.Group(facts, table)


def render_difference(difference: Difference) -> rich.console.Group:
  """Returns which two runs they are, then what changed, one respect after the other."""
  parts: list[rich.console.RenderableType] = [_heads(difference)]
  for section in difference.sections:
    parts += [Text(), Text(section.name, 'bold'), *_section(section)]
  return rich.console.Group(*parts)


def _heads(difference: Difference) -> rich.table.Table:
  table = rich.table.Table.grid(padding=(0, 2))
  table.add_column(no_wrap=True, style='bold')
  table.add_column(overflow='fold')
  for letter, side in (('A', difference.a), ('B', difference.b)):
    head = side.head()
    version = f', version {head["version"]}' if head['version'] else ''
    accuracy = f', accuracy {_text(head["accuracy"])}' if head['accuracy'] else ''
    table.add_row(letter, Text(f'run {head["run_id"]}: {head["outcome"]}{version}{accuracy}'))
    for name in ('goal', 'conclusion', 'error'):
      if head[name]:
        table.add_row('', Text(f'{name}: {head[name]}'))
  return table


def _section(section: Section) -> Iterator[rich.console.RenderableType]:
  if section.changes:
    yield _changes(section.changes[:_MOST_CHANGES])
  hidden = len(section.changes) - _MOST_CHANGES
  if hidden > 0:
    yield Text(f'  and {hidden} more; --json lists them')
  for kind, rows in section.rows.items():
    if rows.count:
      yield Text(f'  {rows.count} {"image" if rows.count == 1 else "images"} {kind}')
      shown = rows.images[:_MOST_IMAGES]
      yield from (Text(f'    {image}', no_wrap=True, overflow='ellipsis') for image in shown)
      if rows.count > len(shown):
        yield Text(f'    and {rows.count - len(shown)} more')
  if section.compared and not section.changed:
    yield Text(f'  nothing changed in {section.name}')
  yield from (Padding(Text(remark, 'yellow'), (0, 0, 0, 2)) for remark in section.remarks)


def _changes(changes: Sequence[Change]) -> rich.table.Table:
  table = rich.table.Table(box=None, padding=(0, 1), pad_edge=True, header_style='dim')
  figures = any(change.difference is not None for change in changes)
  for heading in ('', 'A', 'B', *(['B - A'] if figures else [])):
    table.add_column(heading, overflow='fold', no_wrap=heading == 'B - A')
  for change in changes:
    cells = [Text(change.what), Text(_text(change.a)), Text(_text(change.b))]
    if figures:
      cells.append(Text(_signed(change)))
    table.add_row(*cells)
  return table


def _text(value: Any) -> str:
  if value is None:
    return '-'
  if isinstance(value, bool):
    return str(value).lower()
  if isinstance(value, float):
    return f'{value:.6g}'
  if isinstance(value, str):
    # Enough to tell two apart; JSON has the whole of it.
    return value[:_HASH_DIGITS] if _HASH.fullmatch(value) else value or "''"
  if isinstance(value, list):
    return f'[{", ".join(map(_text, value))}]'
  if isinstance(value, Mapping) and 'interval' in value:
    return _proportion(value)
  return str(value)


def _proportion(found: Mapping[str, Any]) -> str:
  if found['value'] is None:
    return 'not measured'
  low, high = found['interval']
  return f'{found["value"]:.4f} (n {found["n"]}, {low:.3f} to {high:.3f})'


def _signed(change: Change) -> str:
  if change.difference is None:
    return ''
  if isinstance(change.b, Mapping):
    return f'{change.difference:+.4f}'
  whole = isinstance(change.difference, int)
  return f'{change.difference:+d}' if whole else f'{change.difference:+.4g}'

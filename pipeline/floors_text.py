"""What the summary says of simple models: whether the network is worth what it costs."""

from collections.abc import Mapping
from typing import Any

from components.evaluator.comparison import Comparison


def in_words(summary: Mapping[str, Any]) -> list[str]:
  """Returns lines about the best simple model, and the price of the network.

  Args:
    summary: of a run; older ones have no floors.
  """
  measured = summary.get('floors')
  if not measured:
    return []
  found = next((row for row in measured['floors'] if row['name'] == measured['best']), None)
  if found is None:
    return []
  compared = Comparison(**found['comparison'])
  low, high = found['accuracy']['interval']
  lines = [
    f'floor      {found["name"]}: {found["accuracy"]["value"]:.4f} ({low:.4f} to {high:.4f}) in '
    f'{found["seconds"]:.0f} s',
    f'           the network against it: {compared.verdict}, {compared.in_words()}',
  ]
  more = price(summary)
  return lines + ([f'           what it costs more: {more}'] if more else [])


def price(summary: Mapping[str, Any]) -> str:
  """Returns what the network costs: training, size and time; empty where nothing is known."""
  gates = {gate['gate']: gate['value'] for gate in (summary.get('serving') or {}).get('gates', [])}
  trainer = (summary.get('components') or {}).get('Trainer') or {}
  parts = []
  if trainer.get('outcome') == 'done':
    parts.append(f'{trainer["seconds"] / 60:.1f} minutes of training')
  if gates.get('disk_mb') is not None:
    parts.append(f'{gates["disk_mb"]:.1f} MB on disk')
  if gates.get('p95_ms') is not None:
    parts.append(f'{gates["p95_ms"]:.0f} ms an image (95th percentile)')
  return ', '.join(parts)

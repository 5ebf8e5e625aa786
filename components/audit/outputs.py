"""The files that an audit leaves, and its counts in words; imports nothing heavy."""

from typing import Any

PAGE = 'audit.html'
SUMMARY = 'audit.json'
FINDINGS = 'findings.csv'
SUSPECTS = 'suspects.csv'
QUARANTINE = 'quarantine.csv'

# Code of a finding to its words for one and for several.
_WORDS = {
  'exact_copy': ('exact copy', 'exact copies'),
  'near_copy': ('near-copy', 'near-copies'),
  'label_conflict': ('label conflict', 'label conflicts'),
  'leak': ('leak', 'leaks'),
  'dropped_by_leak': ('image taken out for a leak', 'images taken out for leaks'),
  'suspect_label': ('suspect label', 'suspect labels'),
  'missing_cell': ('missing combination', 'missing combinations'),
  'confounded_column': (
    'column that gives the class away',
    'columns that give the class away',
  ),
  'few_images': ('warning of too few images',) * 2,
  'few_in_class': ('class with too few images', 'classes with too few images'),
  'empty_in_split': ('class that a split lacks', 'classes that a split lacks'),
  'gps': ('file with a GPS position', 'files with a GPS position'),
  'serial_number': ('file with a serial number', 'files with a serial number'),
  'owner_name': ("file with a person's name", "files with a person's name"),
}


def in_words(summary: dict[str, Any]) -> str:
  """Returns the counts of audit.json in a line: `3 suspect labels, 8 blurred`."""
  counts = summary['findings'].items()
  return ', '.join(f'{count} {_words(code, count)}' for code, count in counts) or 'nothing found'


def _words(code: str, count: int) -> str:
  one, several = _WORDS.get(code, (code.replace('_', ' '),) * 2)
  return one if count == 1 else several

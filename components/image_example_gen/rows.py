"""A row of the manifest, and why one may be of no use."""

import unicodedata
from typing import NamedTuple

# Reasons, as they stand in quarantine.csv.
MALFORMED_ROW = 'malformed_row'
BLANK_FILENAME = 'blank_filename'
BLANK_LABEL = 'blank_label'
BAD_LABEL = 'bad_label'
UNKNOWN_SPLIT = 'unknown_split'
# How others call the splits.
_OTHER_NAMES = {
  'training': 'train',
  'valid': 'val',
  'validation': 'val',
  'dev': 'val',
  'testing': 'test',
}


class Row(NamedTuple):
  """One row of the manifest.

  Attributes:
    number: as a spreadsheet counts, so that the header is row 1; without a CSV,
      the file's place in the sorted list.
    filename: relative to the image folder, as written.
    label: without surrounding blanks; where a reviewer decided so, another one.
    split: train, val, test, production, or '' where the manifest leaves it open.
    columns: values of the manifest's further columns, '' where blank.
    reason: '' or why the row itself cannot be used.
    detail: the same in words.
    decision: what a reviewer decided about the file, joined by '+'; '' for nothing.
    group: the group that a reviewer put it into; '' for none.
  """

  number: int
  filename: str
  label: str
  split: str = ''
  columns: tuple[str, ...] = ()
  reason: str = ''
  detail: str = ''
  decision: str = ''
  group: str = ''


def checked(row: Row, splits: tuple[str, ...], hint: str = '') -> Row:
  """Returns the row, with a reason where it cannot be used.

  Args:
    row: as it was read.
    splits: that it may name.
    hint: what to do about another split.
  """
  if row.reason:
    return row
  if not row.filename.strip():
    return row._replace(reason=BLANK_FILENAME, detail='the filename is blank.')
  if not row.label:
    return row._replace(reason=BLANK_LABEL, detail='the label is blank.')
  if any(unicodedata.category(character) == 'Cc' for character in row.label):
    # A vocabulary has one class a line: this one would be lost on the way to the model.
    return row._replace(
      reason=BAD_LABEL,
      detail=(
        'expected a label without line breaks and other control characters. '
        f'Received: {row.label!r}.'
      ),
    )
  if row.split and row.split not in splits:
    meant = _OTHER_NAMES.get(row.split)
    hint = f' Write {meant}.' if meant else hint
    return row._replace(
      split='',
      reason=UNKNOWN_SPLIT,
      detail=(
        f'expected one of {", ".join(splits)} or a blank as split. Received: {row.split!r}.{hint}'
      ),
    )
  return row

"""What changed between two versions of a data set, image by image.

Images are told apart by the hash of their file's bytes, so a file that was renamed is
the same image, and a file that was edited is another one under the same path.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

FILE = 'manifest.parquet'

ADDED = 'added'
REMOVED = 'removed'
EDITED = 'edited'
RELABELLED = 'relabelled'
MOVED = 'moved'
RENAMED = 'renamed'
DESCRIBED = 'described otherwise'

# Of each kind; the counts are of all.
_LISTED = 100
_KEY = 'image_id'
# What is compared one by one; further columns of text are compared together.
_OWN = ('path', 'label', 'split')
_TEST = 'test'


@dataclasses.dataclass(frozen=True)
class Rows:
  """Images that something became of.

  Attributes:
    count: how many.
    images: the first of them, by path: what it was and what it is.
  """

  count: int
  images: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Difference:
  """What changed from one manifest to another.

  Attributes:
    rows: by what became of the images: added, removed, edited (another file under the
      same path), relabelled, moved to another split, renamed, described otherwise (a
      further column, a decision, or what belongs together with it).
    test_images: of the two test splits, how many.
    test_shared: how many images are in both.
  """

  rows: Mapping[str, Rows]
  test_images: tuple[int, int]
  test_shared: int


def compare(old: pathlib.Path | None, new: pathlib.Path | None) -> Difference | None:
  """Compares two manifests; None where one of them is not there."""
  if old is None or new is None:
    return None
  import pandas as pd

  tables = [_read(path) for path in (old, new)]
  joined = tables[0].merge(
    tables[1], how='outer', left_index=True, right_index=True, suffixes=('_a', '_b')
  )
  gone = joined[joined['path_b'].isna()]
  come = joined[joined['path_a'].isna()]
  both = joined[joined['path_a'].notna() & joined['path_b'].notna()]
  edited = pd.merge(gone[['path_a']], come[['path_b']], left_on='path_a', right_on='path_b')
  paths = set(edited['path_a'])
  gone, come = gone[~gone['path_a'].isin(paths)], come[~come['path_b'].isin(paths)]
  found = {
    ADDED: _list(come['path_b'] + ': ' + come['label_b'] + ', ' + come['split_b']),
    REMOVED: _list(gone['path_a'] + ': ' + gone['label_a'] + ', ' + gone['split_a']),
    EDITED: _list(edited['path_a']),
  }
  for kind, name in ((RELABELLED, 'label'), (MOVED, 'split'), (RENAMED, 'path')):
    rows = both[both[f'{name}_a'] != both[f'{name}_b']]
    head = '' if name == 'path' else rows['path_b'] + ': '
    found[kind] = _list(head + rows[f'{name}_a'] + ' -> ' + rows[f'{name}_b'])
  found[DESCRIBED] = _list(both[both['rest_a'] != both['rest_b']]['path_b'])
  tests = [set(table.index[table['split'] == _TEST]) for table in tables]
  return Difference(found, (len(tests[0]), len(tests[1])), len(tests[0] & tests[1]))


def _read(path: pathlib.Path):
  """Returns path, label, split and the further columns of text as one, by image."""
  import pyarrow as pa
  import pyarrow.parquet as pq

  texts = [field.name for field in pq.read_schema(path) if field.type == pa.string()]
  table = pq.read_table(path, columns=texts).to_pandas().fillna('').sort_values('path')
  # The columns by name, so that one that came or went counts as well.
  table['rest'] = ''
  for name in sorted(set(texts) - {_KEY, *_OWN}):
    table['rest'] += name + '=' + table[name] + '\0'
  # Copies that a reviewer kept are told apart by their order.
  table['copy'] = table.groupby(_KEY).cumcount()
  return table.set_index([_KEY, 'copy'])[[*_OWN, 'rest']]


def _list(texts) -> Rows:
  return Rows(len(texts), tuple(sorted(texts)[:_LISTED]))

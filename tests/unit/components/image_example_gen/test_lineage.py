import sqlite3

from components.image_example_gen.lineage import Lineage


def _run(memory, rows, before, after):
  """A run over `rows` that finds one lock and leaves another; returns what it counts as."""
  origin = memory.origin(rows, before)
  fingerprint = f'{rows}/{origin}'
  memory.begin(fingerprint, rows, origin)
  memory.end(fingerprint, after)
  return origin


def test_the_lock_that_a_run_left_counts_as_the_one_it_found():
  memory = Lineage(sqlite3.connect(':memory:'))
  first = _run(memory, 'rows', 'absent', 'L1')
  assert memory.origin('rows', 'L1') == first
  # Rows are added: the run counts as new, its repetition does not.
  second = _run(memory, 'more', 'L1', 'L2')
  assert second == ('L1', 0)
  assert memory.origin('more', 'L2') == second
  # The rows are taken out again.
  assert memory.origin('rows', 'L1') == first


def test_an_edited_lock_counts_as_new():
  memory = Lineage(sqlite3.connect(':memory:'))
  _run(memory, 'rows', 'absent', 'L1')
  assert memory.origin('rows', 'edited') == ('edited', 0)


def test_a_removed_lock_is_written_again():
  memory = Lineage(sqlite3.connect(':memory:'))
  first = _run(memory, 'rows', 'absent', 'L1')
  again = _run(memory, 'rows', 'absent', 'L1')
  assert again != first
  assert memory.origin('rows', 'L1') == again
  assert memory.origin('rows', 'absent') not in (first, again)

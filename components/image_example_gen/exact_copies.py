"""Images of equal pixels: all but one are set aside, or all where their labels differ."""

import sqlite3

from components.image_example_gen import quarantine

# Where several copies are fixed in different splits, one of each stays: what to
# do about them is decided by data.on_leak. A free copy goes with the first of the
# fixed ones. Which copy of a split stays is decided by path, and for two rows of
# one path by their content.
_COPIES = """
CREATE TEMP TABLE copies AS
WITH anchored AS (
  SELECT position, pixel_id, filename, rest, fixed,
    COALESCE(fixed, FIRST_VALUE(fixed) OVER (
      PARTITION BY pixel_id ORDER BY fixed IS NULL, filename, rest, position)) AS side
  FROM images WHERE reason = '' AND pixel_id IN (
    SELECT pixel_id FROM images WHERE reason = '' GROUP BY pixel_id HAVING COUNT(*) > 1)
)
SELECT position, FIRST_VALUE(position) OVER (
  PARTITION BY pixel_id, side ORDER BY fixed IS NULL, filename, rest, position) AS kept
FROM anchored
"""


def set_aside(connection: sqlite3.Connection) -> None:
  """Sets copies under one label aside as duplicates, and conflicts of labels altogether.

  Args:
    connection: of the index; `fixed` is known.
  """
  connection.execute('CREATE INDEX IF NOT EXISTS by_pixels ON images (pixel_id, label)')
  _set_conflicts_aside(connection)
  _set_duplicates_aside(connection)


def _set_conflicts_aside(connection: sqlite3.Connection) -> None:
  connection.execute(
    'UPDATE images SET reason = ?, other = (SELECT twin.position FROM images AS twin '
    'WHERE twin.pixel_id = images.pixel_id AND twin.label != images.label '
    'ORDER BY twin.filename, twin.position LIMIT 1) WHERE pixel_id IN '
    '(SELECT pixel_id FROM images GROUP BY pixel_id HAVING COUNT(DISTINCT label) > 1)',
    (quarantine.LABEL_CONFLICT,),
  )
  connection.execute(
    "UPDATE images SET detail = (SELECT images.filename || ' (' || images.label || ') and ' || "
    "twin.filename || ' (' || twin.label || ') have the same pixels. Correct a label, or decide "
    "relabel or drop.' FROM images AS twin WHERE twin.position = images.other) WHERE reason = ?",
    (quarantine.LABEL_CONFLICT,),
  )


def _set_duplicates_aside(connection: sqlite3.Connection) -> None:
  connection.execute(_COPIES)
  connection.execute(
    'UPDATE images SET reason = ?, other = copies.kept, '
    "detail = 'the same pixels as ' || kept.filename || ' in row ' || kept.position "
    'FROM copies JOIN images AS kept ON kept.position = copies.kept '
    'WHERE copies.position = images.position AND copies.kept != copies.position',
    (quarantine.DUPLICATE,),
  )
  connection.execute('DROP TABLE copies')

"""Which images must stand in one split: copies, near-copies, and those of one group."""

import itertools
from collections.abc import Collection, Iterator

import numpy as np
import threadpoolctl

from components.image_example_gen import near_copies
from components.image_example_gen.clusters import Clusters
from components.image_example_gen.decisions import KEEP
from components.image_example_gen.descriptions import Descriptions
from components.image_example_gen.index import Index

# Hex digits of the hash that names a cluster.
_NAME_DIGITS = 16


def join(index: Index, descriptions: Descriptions, near: bool) -> None:
  """Puts images that belong together into clusters.

  Args:
    index: gets the clusters, and the pairs of near-copies.
    descriptions: of its images.
    near: whether images that only look alike belong together.
  """
  clusters = Clusters(len(descriptions))
  for query in (
    'SELECT pixel_id, description FROM images ORDER BY pixel_id',
    "SELECT kind || ' ' || value, description FROM groups ORDER BY kind, value",
  ):
    for _, members in itertools.groupby(index.connection.execute(query), lambda row: row[0]):
      [_, first], *others = members
      for _, other in others:
        clusters.join(first, other)
  if near:
    # The search has threads of its own: more of them in each product cost twice the time.
    with threadpoolctl.threadpool_limits(1, user_api='blas'):
      index.many(
        'INSERT INTO pairs VALUES (?, ?, ?, ?)', _near_pairs(descriptions, clusters, _kept(index))
      )
  _store(index, clusters.roots())


def name(index: Index) -> None:
  """Names each cluster by the images in it that are used; one that is alone is none."""
  index.connection.executescript(f"""
    CREATE TEMP TABLE names AS SELECT root, SUBSTR(MIN(image_id), 1, {_NAME_DIGITS}) AS name
      FROM images WHERE reason = '' AND root IS NOT NULL GROUP BY root HAVING COUNT(*) > 1;
    CREATE UNIQUE INDEX temp.by_root ON names (root);
    UPDATE images SET cluster = COALESCE(
      (SELECT name FROM names WHERE names.root = images.root AND images.reason = ''), '');
    DROP TABLE names;
    CREATE INDEX IF NOT EXISTS by_cluster ON images (cluster, split, filename);
  """)


def _near_pairs(
  descriptions: Descriptions, clusters: Clusters, kept: Collection[int]
) -> Iterator[tuple[int, int, str, float]]:
  for match in near_copies.find(descriptions, kept=kept):
    clusters.join(match.first, match.second)
    if match.how != near_copies.SAME_PIXELS:
      yield match.first, match.second, match.how, match.similarity


def _kept(index: Index) -> frozenset[int]:
  """Returns the descriptions of images that a reviewer keeps, and of their exact copies."""
  return frozenset(
    description
    for (description,) in index.connection.execute(
      'SELECT description FROM images WHERE pixel_id IN '
      '(SELECT pixel_id FROM images WHERE INSTR(decision, ?))',
      (KEEP,),
    )
  )


def _store(index: Index, roots: np.ndarray) -> None:
  shared = np.bincount(roots, minlength=1) > 1 if len(roots) else np.zeros(0, bool)
  index.connection.executescript("""
    CREATE UNIQUE INDEX by_description ON images (description);
    CREATE INDEX by_member ON groups (description);
    CREATE INDEX by_value ON groups (kind, value);
    CREATE INDEX by_first ON pairs (first);
    CREATE INDEX by_second ON pairs (second);
  """)
  members = np.flatnonzero(shared[roots]) if len(roots) else ()
  index.many(
    'UPDATE images SET root = ? WHERE description = ?',
    ((int(roots[member]), int(member)) for member in members),
  )

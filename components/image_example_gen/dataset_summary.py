"""What dataset.json says of a data set, and what a person is warned of."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from components.image_example_gen import findings, fingerprint, quarantine, split
from components.image_example_gen.index import Index
from components.image_example_gen.manifest import Manifest
from schemas import features
from schemas.config import DataConfig

# Below these, figures on val and test swing by several points from split to split.
FEW_IMAGES = 1000
FEW_IMAGES_A_CLASS = 20
ROLES = {
  features.TRAIN: 'fits the weights, the vocabulary and the pixel statistics',
  features.VAL: 'early stopping, calibration, thresholds',
  features.TEST: 'the verdict; never seen in training',
  features.PRODUCTION: 'drawn from serving traffic; scored beside test',
}
_NAMED_LABELS = 5


class Leaks(NamedTuple):
  """What was found and done about clusters that were given or locked into several splits.

  Attributes:
    policy: data.on_leak.
    clusters: how many there were.
    images: how many images of val, test and production are marked.
    taken_out: how many images were taken out.
  """

  policy: str
  clusters: int
  images: int
  taken_out: int


def summarise(
  index: Index,
  manifest: Manifest,
  data: DataConfig,
  tallies: Mapping[str, split.Tally],
  leaks: Leaks,
  warnings: Iterable[str] = (),
) -> dict:
  """Returns what dataset.json holds.

  Args:
    index: with every decision made.
    manifest: where the rows came from.
    data: what was asked for.
    tallies: by class, as they were split.
    leaks: what was done about them.
    warnings: further ones.
  """
  counts = index.counts(manifest.splits)
  images = sum(sum(classes.values()) for classes in counts.values())
  bad = bad_count(index)
  return {
    'dataset_sha256': _dataset_sha256(index, manifest),
    'manifest_sha256': manifest.sha256(),
    'manifest': data.labels if manifest.path else None,
    'rows': index.rows,
    'images': images,
    'classes': list(tallies),
    'columns': list(manifest.columns),
    'splits': {name: sum(classes.values()) for name, classes in counts.items()},
    'counts': counts,
    'roles': {name: ROLES[name] for name in counts},
    'split': data.split.model_dump(),
    'clusters': clusters(index),
    'leaks': leaks._asdict(),
    'decisions': index.decisions,
    'span': data.span or 0,
    'personal': findings.personal_counts(index.connection),
    'bad': {'count': bad, 'fraction': bad / index.rows, 'limit': data.max_bad_fraction},
    'quarantined': index.reasons(),
    'warnings': [*_warnings(tallies, images), *_file_warnings(index, leaks), *warnings],
  }


def bad_count(index: Index) -> int:
  """Returns how many rows cannot be used."""
  return sum(
    count for reason, count in index.reasons().items() if reason not in quarantine.HARMLESS
  )


def listed(names: list[str]) -> str:
  """Returns the first few names, and how many more there are."""
  shown = ', '.join(map(repr, names[:_NAMED_LABELS]))
  return shown if len(names) <= _NAMED_LABELS else f'{shown} and {len(names) - _NAMED_LABELS} more'


def _dataset_sha256(index: Index, manifest: Manifest) -> str:
  total = fingerprint.RowSum()
  for accepted in index.images():
    image = accepted.image
    total.add(
      [
        image.row.filename,
        image.row.label,
        accepted.split,
        list(zip(manifest.columns, image.row.columns, strict=True)),
        image.image_id,
        image.row.decision,
        image.row.group,
        str(accepted.leak),
      ]
    )
  return total.hexdigest()


def clusters(index: Index) -> dict[str, int]:
  """Returns how many clusters there are, of how many images, and the size of the largest."""
  sizes = "SELECT COUNT(*) AS size FROM images WHERE reason = '' AND cluster != '' GROUP BY cluster"
  count, images, largest = index.connection.execute(
    f'SELECT COUNT(*), COALESCE(SUM(size), 0), COALESCE(MAX(size), 0) FROM ({sizes})'
  ).fetchone()
  return {'count': count, 'images': images, 'largest': largest}


def _warnings(tallies: Mapping[str, split.Tally], images: int) -> list[str]:
  warnings = []
  if images < FEW_IMAGES:
    warnings.append(f'{images} images; below {FEW_IMAGES} the figures on val and test are rough.')
  few = [label for label, tally in tallies.items() if tally.total < FEW_IMAGES_A_CLASS]
  if few:
    warnings.append(
      f'{len(few)} of {len(tallies)} classes have fewer than {FEW_IMAGES_A_CLASS} '
      f'images: {listed(few)}.'
    )
  small = split.small_classes(tallies)
  if small:
    warnings.append(
      f'{len(small)} classes have fewer than {split.SMALLEST_SPLIT_CLASS} images; '
      f'all of them are in train, so nothing judges these classes: '
      f'{listed(small)}.'
    )
  for labels in findings.similar_labels(tallies):
    warnings.append(
      'labels that differ by case, blanks or the way of writing a letter alone are taken as '
      f'different classes: {listed(labels)}.'
    )
  return warnings


def _file_warnings(index: Index, leaks: Leaks) -> list[str]:
  warnings = []
  conflicts = findings.label_conflicts(index.connection)
  if conflicts:
    warnings.append(
      f'{conflicts} pairs of near-copies have different labels; they are in {findings.FILE_NAME}.'
    )
  if leaks.images:
    warnings.append(
      f'{leaks.images} images of val, test or production belong together with images of another '
      f'split ({leaks.clusters} groups); they are marked in image/leak.'
    )
  if leaks.taken_out:
    warnings.append(
      f'{leaks.taken_out} images were taken out, because what belongs together with them judges, '
      'was drawn from traffic, or lies on the other side of the time at which train ends.'
    )
  for code, count in findings.personal_counts(index.connection).items():
    warnings.append(
      f'{count} files hold personal data ({code}); it does not reach the records, but stays in '
      'the files.'
    )
  return warnings

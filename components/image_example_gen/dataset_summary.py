"""What dataset.json says of a data set, and what a person is warned of."""

from collections.abc import Iterable, Mapping

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


def summarise(
  index: Index,
  manifest: Manifest,
  data: DataConfig,
  tallies: Mapping[str, split.Tally],
  warnings: Iterable[str] = (),
) -> dict:
  """Returns what dataset.json holds.

  Args:
    index: with every decision made.
    manifest: where the rows came from.
    data: what was asked for.
    tallies: by class, as they were split.
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
    'clusters': _clusters(index),
    'leaks': {'policy': 'stop', 'clusters': 0, 'images': 0, 'taken_out': 0},
    'decisions': {'keep': 0, 'drop': 0, 'relabel': 0, 'group': 0},
    'span': data.span or 0,
    'personal': findings.personal_counts(index.connection),
    'bad': {'count': bad, 'fraction': bad / index.rows, 'limit': data.max_bad_fraction},
    'quarantined': index.reasons(),
    'warnings': [*_warnings(tallies, images), *warnings],
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
        str(accepted.leak),
      ]
    )
  return total.hexdigest()


def _clusters(index: Index) -> dict[str, int]:
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
  folded: dict[str, list[str]] = {}
  for label in tallies:
    folded.setdefault(' '.join(label.casefold().split()), []).append(label)
  for labels in folded.values():
    if len(labels) > 1:
      warnings.append(
        'labels that differ by case or blanks alone are taken as different classes: '
        f'{listed(labels)}.'
      )
  return warnings

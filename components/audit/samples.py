"""A few images of each class, drawn by chance and the same each time."""

import hashlib

from components.audit.dataset import Images


def draw(images: Images, count: int, seed: int) -> dict[str, list[int]]:
  """Draws images of each class.

  Which ones depends on the seed and the names of the files alone, not on the
  order of the rows, and an image that is added later displaces few.

  Args:
    images: to draw from.
    count: images a class, or all of them where there are fewer.
    seed: another seed draws others.

  Returns:
    {class: positions}, classes sorted, min(count, n) positions each.
  """
  keyed: dict[str, list[tuple[bytes, int]]] = {label: [] for label in images.classes}
  for position, (path, label) in enumerate(zip(images.path, images.label, strict=True)):
    key = hashlib.sha256(f'{seed}\n{path}'.encode(errors='surrogateescape')).digest()
    keyed[label].append((key, position))
  return {
    label: [position for _, position in sorted(rows)[:count]] for label, rows in keyed.items()
  }

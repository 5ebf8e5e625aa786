"""What the summary of a run says of its training, in words."""

from collections.abc import Mapping
from typing import Any


def in_words(model: Mapping[str, Any] | None, paths: Mapping[str, str | None]) -> list[str]:
  """Returns lines about stages, diagnosis and what there is to look at.

  Args:
    model: the `model` of a summary; None where nothing was trained.
    paths: its `paths`; what is missing or None was not written.
  """
  lines: list[str] = []
  chosen = (model or {}).get('regularisation')
  if chosen:
    lines.append(
      'head       '
      + ', '.join(f'{name.replace("_", " ")} {value:g}' for name, value in chosen.items())
    )
  for stage in (model or {}).get('stages') or []:
    lines += _stage(stage)
  lines += [f'diagnosis  {found["text"]}' for found in (model or {}).get('diagnosis') or []]
  if paths.get('curves_png'):
    lines.append(f'curves     {paths["curves_png"]}')
  if paths.get('augmentation'):
    lines.append(f'augmented  {paths["augmentation"]}')
  if paths.get('tensorboard'):
    lines.append(f'           tensorboard --logdir {paths["tensorboard"]}')
  return lines


def _stage(stage: Mapping[str, Any]) -> list[str]:
  epochs = stage['epochs_run']
  lines = [
    f'stage      {stage["name"]}: val accuracy {stage["val_accuracy"]:.4f} after {epochs} '
    f'epoch{"" if epochs == 1 else "s"}, {stage["seconds"]:.0f} s'
  ]
  cached = stage.get('cached_features')
  if cached:
    copies = 'each image' if cached['copies'] == 1 else f'{cached["copies"]} copies of each image'
    lines.append(
      f'           features of {copies} were computed once, in '
      f'{cached["seconds_to_compute"]:.1f} s: {cached["speed_up"]:.1f} times as fast'
    )
  return lines

"""A sheet of augmented images, so that a person sees whether each keeps its class."""

import os
import pathlib
import textwrap

import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models import augmentation
from schemas.config import AugmentConfig, Config

ROWS = 8
COPIES = 7
NO_REASON = 'no reason given'

# Inches, of the sheet.
_CELL = 1.25
_LETTER = 0.085
_LINE = 0.19
_CAPTION = 0.34
_MARGIN = 0.12
_NARROWEST = 8.5
_DOTS = 110
# Characters that fit on a line.
_HEADER_WIDTH = 120
_NAME_WIDTH = 20
_CAPTION_WIDTH = 19
# The smallest share of a class that a caption names.
_SMALLEST_SHARE = 0.005


def changes(config: AugmentConfig) -> list[dict]:
  """Returns each change that is on, for the record and the header of the sheet.

  Returns:
    In the order of the config: `name`, a field of augment; `strength`, its value;
    `reason`, why it keeps the class, from augment.reasons.
  """
  on = [name for name in _MEANINGS if _is_on(config, name)]
  return [
    {
      'name': name,
      'strength': getattr(config, name),
      'reason': config.reasons.get(name, '').strip() or NO_REASON,
    }
    for name in on
  ]


def write(
  config: Config,
  pixels: np.ndarray,
  labels: np.ndarray,
  names: list[str],
  path: pathlib.Path,
  seed: int,
) -> None:
  """Writes a PNG: a row an image, the original and seven augmented copies.

  The rows are the first images of up to eight different classes. They are augmented
  together, so what MixUp and CutMix mix in comes from another row.

  Args:
    config: augment is read.
    pixels: float32 [N, H, W, 3], 0..255, N at least 1.
    labels: float32 [N, K], one-hot.
    names: of the K classes.
    path: of the PNG; the folder exists. Replaced in one step.
    seed: the same seed draws the same sheet.
  """
  shown = np.sort(np.unique(np.argmax(labels, axis=1), return_index=True)[1])[:ROWS]
  images = tf.constant(np.asarray(pixels)[shown], tf.float32)
  classes = tf.constant(np.asarray(labels)[shown], tf.float32)
  copies = [
    augmentation.augment(config.augment, images, classes, tf.constant([seed, copy], tf.int64))
    for copy in range(COPIES)
  ]
  columns = [(images.numpy(), classes.numpy())]
  columns += [(changed.numpy(), mixed.numpy()) for changed, mixed in copies]
  _save(_sheet(_header(config), columns, names), path)


def _is_on(config: AugmentConfig, name: str) -> bool:
  if name == 'crop_area':
    return config.crop_area < 1
  if name == 'crop_ratio':
    return config.crop_area < 1 and config.crop_ratio > 1
  if name == 'rand_magnitude':
    return bool(config.rand_augment)
  if name == 'mix_probability':
    return bool(config.mixup or config.cutmix) and config.mix_probability < 1
  return bool(getattr(config, name))


# Of each field of augment that is a change, what a value means. In the config's order.
_MEANINGS = {
  'shift': 'by up to {:.0%} of the side',
  'rotation': 'by up to {degrees:.0f}°',
  'zoom': 'by up to {:.0%}',
  'horizontal_flip': 'half of the images are mirrored',
  'vertical_flip': 'half of the images are upside down',
  'brightness': 'by up to {:.0%} of the range',
  'contrast': 'by up to {:.0%}',
  'saturation': 'by up to {:.0%}',
  'crop_area': 'at least {:.0%} of the area is kept',
  'crop_ratio': 'the crop is stretched by up to a factor of {:g}',
  'rand_augment': '{} operations an image',
  'rand_magnitude': '{:g} of the largest; turns by up to {turn:.0f}°',
  'mixup': 'alpha {:g}: two images and their labels are blended',
  'cutmix': 'alpha {:g}: a box of another image, and its share of the label',
  'mix_probability': '{:.0%} of the batches are mixed',
  'fn': '{}',
}


def _header(config: Config) -> list[str]:
  """Returns the lines above the sheet."""
  listed = changes(config.augment)
  if not listed:
    return ['Nothing is augmented: every copy is the original.']
  lines = ['What training changes, at its strength, and why that keeps the class:']
  for change in listed:
    value = change['strength']
    meaning = _MEANINGS[change['name']].format(
      value,
      degrees=np.degrees(value) if change['name'] == 'rotation' else 0,
      turn=360 * value if change['name'] == 'rand_magnitude' else 0,
    )
    lines += textwrap.wrap(
      f'{change["name"]}: {meaning}. {_sentence(change["reason"])}',
      _HEADER_WIDTH,
      initial_indent='•  ',
      subsequent_indent='    ',
    )
  return lines


def _sentence(reason: str) -> str:
  if reason == NO_REASON:
    return f'({NO_REASON})'
  return f'Why: {reason}'


def _sheet(
  header: list[str], columns: list[tuple[np.ndarray, np.ndarray]], names: list[str]
) -> Figure:
  """Draws it: a column of names, then the originals, then the copies."""
  originals, classes = columns[0]
  rows = len(originals)
  cell_width, cell_height = _cell(originals.shape[1:3])
  # Below a copy stands its label, where that is no longer the row's.
  caption = _CAPTION if any(_differ(labels, classes) for _, labels in columns) else 0.0
  row_names = [_name(label, names) for label in classes]
  longest = max(len(line) for name in row_names for line in name.splitlines())
  side = 2 * _MARGIN + longest * _LETTER
  head = (len(header) + 2) * _LINE
  # A caption is as wide as a square image.
  pitch = (_CELL if caption else cell_width) + _MARGIN
  width = max(side + len(columns) * pitch, _NARROWEST)
  height = head + rows * (cell_height + caption + _MARGIN) + _MARGIN
  figure = Figure((width, height), dpi=_DOTS, facecolor='white')

  def text(x: float, y: float, content: str, **style) -> None:
    # A dollar in a name is no formula.
    figure.text(x / width, 1 - y / height, content, parse_math=False, **style)

  for index, line in enumerate(header):
    text(_MARGIN, (index + 0.5) * _LINE + _MARGIN / 2, line, fontsize=8, va='center')
  for column, (images, labels) in enumerate(columns):
    left = side + column * pitch
    title = 'original' if column == 0 else f'copy {column}'
    text(left, head - 0.06, title, fontsize=7, color='dimgrey', va='bottom')
    for row in range(rows):
      top = head + row * (cell_height + caption + _MARGIN)
      axes = figure.add_axes(
        (
          left / width,
          1 - (top + cell_height) / height,
          cell_width / width,
          cell_height / height,
        )
      )
      axes.imshow(np.uint8(np.rint(np.clip(images[row], 0, 255))))
      axes.set_axis_off()
      if column == 0:
        text(_MARGIN, top + cell_height / 2, row_names[row], fontsize=9, va='center')
      elif _differ(labels[row], classes[row]):
        text(left, top + cell_height + 0.03, _shares(labels[row], names), fontsize=6, va='top')
  return figure


def _cell(size: tuple[int, int]) -> tuple[float, float]:
  """Returns width and height of an image on the sheet, in inches; the longer is _CELL."""
  height, width = size
  return _CELL * width / max(size), _CELL * height / max(size)


def _differ(labels: np.ndarray, classes: np.ndarray) -> bool:
  return bool((np.abs(labels - classes) >= _SMALLEST_SHARE).any())


def _name(label: np.ndarray, names: list[str]) -> str:
  lines = textwrap.wrap(names[int(label.argmax())], _NAME_WIDTH, max_lines=3, placeholder=' …')
  return '\n'.join(lines)


def _shares(label: np.ndarray, names: list[str]) -> str:
  """Returns `70 % carrot` and so on, a line a class, the largest first."""
  order = [i for i in np.argsort(-label, kind='stable') if label[i] >= _SMALLEST_SHARE]
  return '\n'.join(
    _shortened(f'{100 * label[i]:.0f} % {names[i]}', _CAPTION_WIDTH) for i in order[:2]
  )


def _shortened(line: str, width: int) -> str:
  return line if len(line) <= width else f'{line[: width - 1]}…'


def _save(figure: Figure, path: pathlib.Path) -> None:
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    FigureCanvasAgg(figure).print_png(temporary)
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)

"""The curves of a training: the same numbers as a table, as pictures and in TensorBoard."""

import csv
import io
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

COLUMNS = (
  'stage',
  'epoch',
  'loss',
  'accuracy',
  'val_loss',
  'val_accuracy',
  'learning_rate',
  'gradient_norm',
  'images_per_second',
  'waiting_share',
  'seconds',
)
CSV_FILE = 'curves.csv'
PNG_FILE = 'curves.png'
TENSORBOARD_FOLDER = 'tensorboard'

# Two runs with equal tags: TensorBoard draws train and val of one tag in one chart.
_TAGS = {
  'train': {
    'loss': 'loss',
    'accuracy': 'accuracy',
    'learning_rate': 'learning_rate',
    'gradient_norm': 'gradient_norm',
    'images_per_second': 'images_per_second',
    'waiting_share': 'waiting_share',
  },
  'val': {'loss': 'val_loss', 'accuracy': 'val_accuracy'},
}
# A curve that spans more than this is drawn on a logarithmic scale.
_WIDE_RANGE = 100


class Curves:
  """Writes curves.csv and TensorBoard's events after each epoch, curves.png at the end."""

  def __init__(self, folder: pathlib.Path, rows: Sequence[Mapping[str, Any]] = ()):
    """Starts with the epochs that an interrupted training has behind it.

    Args:
      folder: where the files go; it is made. Events of an earlier attempt that lie
        there are replaced, since they may tell of epochs that are trained again.
      rows: as `rows` returns them.

    Raises:
      ValueError: a row has a column that is not one of COLUMNS.
    """
    self._folder = folder
    self._rows = [_row(row) for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    for run in _TAGS:
      for old in (folder / TENSORBOARD_FOLDER / run).glob('events.out.tfevents.*'):
        old.unlink()
    self._writers = {
      run: tf.summary.create_file_writer(str(folder / TENSORBOARD_FOLDER / run)) for run in _TAGS
    }
    self._write_csv()
    for row in self._rows:
      self._write_events(row)

  @property
  def rows(self) -> list[dict[str, Any]]:
    """One dict an epoch: `stage` a string, `epoch` an int, the rest floats; nan may occur."""
    return [dict(row) for row in self._rows]

  def append(self, row: Mapping[str, Any]) -> None:
    """Adds an epoch to the table and to TensorBoard's events.

    Args:
      row: `stage`, `epoch` (its number, over all stages) and any of the other COLUMNS;
        None stands for what was not measured, as a missing key does.

    Raises:
      ValueError: a key is not one of COLUMNS, or stage or epoch is missing.
    """
    added = _row(row)
    self._rows.append(added)
    self._write_csv()
    self._write_events(added)

  def close(self) -> None:
    """Draws curves.png, where there is an epoch, and ends the event files."""
    for writer in self._writers.values():
      writer.close()
    if not self._rows:
      return
    stream = io.BytesIO()
    figure(self._rows).savefig(stream, format='png', dpi=110)
    _replace(self._folder / PNG_FILE, stream.getvalue())

  def _write_csv(self) -> None:
    stream = io.StringIO(newline='')
    writer = csv.DictWriter(stream, COLUMNS, restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows(self._rows)
    _replace(self._folder / CSV_FILE, stream.getvalue().encode())

  def _write_events(self, row: Mapping[str, Any]) -> None:
    for run, tags in _TAGS.items():
      # Whatever the caller's device or strategy is, a scalar is written on the CPU.
      # The writer flushes as it stops being the default one.
      with self._writers[run].as_default(), tf.device('CPU:0'):
        for tag, column in tags.items():
          if column in row:
            tf.summary.scalar(tag, tf.constant(row[column], tf.float32), step=row['epoch'])


def figure(rows: Sequence[Mapping[str, Any]]) -> 'Figure':
  """Draws loss, accuracy, learning rate and gradient norm over the epochs.

  Args:
    rows: as Curves.rows; at least one.

  Returns:
    A matplotlib figure with four axes, in the order above. Each line is labelled by
    its column; vertical lines stand where a later stage begins; a dot on val_loss and
    val_accuracy marks the epoch with the lowest finite val_loss.
  """
  # Matplotlib takes a second to import, and only the end of a training needs it. The
  # figure is made without pyplot, which would keep it alive and choose a screen.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure
  from matplotlib.ticker import MaxNLocator

  drawn = Figure(figsize=(11, 7.5), layout='constrained')
  FigureCanvasAgg(drawn)
  (losses, accuracies), (rates, norms) = drawn.subplots(2, 2)
  epochs = [row['epoch'] for row in rows]
  best = _best(rows)
  for axes, title, columns in (
    (losses, 'loss', ('loss', 'val_loss')),
    (accuracies, 'accuracy', ('accuracy', 'val_accuracy')),
    (rates, 'learning rate', ('learning_rate',)),
    (norms, 'gradient norm', ('gradient_norm',)),
  ):
    for column, colour in zip(columns, ('tab:blue', 'tab:orange'), strict=False):
      values = [row.get(column, math.nan) for row in rows]
      # A curve of few points, or with gaps, is nothing but its points.
      axes.plot(epochs, values, label=column, color=colour, marker='.' if len(rows) < 60 else '')
      if best is not None and column.startswith('val_'):
        label = f'best: epoch {rows[best]["epoch"]}, {values[best]:.4g}'
        axes.plot([epochs[best]], [values[best]], 'o', color='tab:red', label=label)
    axes.set_title(title)
    axes.set_xlabel('epoch')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    _mark_stages(axes, rows)
    if len(columns) > 1:
      axes.legend()
  for axes in (losses, norms):
    _widen(axes)
  return drawn


def _mark_stages(axes: 'Axes', rows: Sequence[Mapping[str, Any]]) -> None:
  """Draws a line where a stage follows on another, and names each at the top."""
  beginnings = [
    index for index, row in enumerate(rows) if not index or row['stage'] != rows[index - 1]['stage']
  ]
  if len(beginnings) == 1:
    return
  for index in beginnings:
    if index:
      # Between two epochs, so that it hides no point.
      axes.axvline(
        (rows[index - 1]['epoch'] + rows[index]['epoch']) / 2, color='grey', linestyle='--', lw=1
      )
    axes.annotate(
      f' {rows[index]["stage"]}',
      (rows[index]['epoch'], 0.98),
      xycoords=('data', 'axes fraction'),
      va='top',
      fontsize='small',
      color='grey',
    )


def _widen(axes: 'Axes') -> None:
  finite = [
    float(value)
    for line in axes.get_lines()
    if not str(line.get_label()).startswith('_')
    for value in line.get_ydata()  # type: ignore[union-attr]
    if math.isfinite(value)
  ]
  if finite and min(finite) > 0 and max(finite) > _WIDE_RANGE * min(finite):
    axes.set_yscale('log')


def _best(rows: Sequence[Mapping[str, Any]]) -> int | None:
  losses = {
    index: row['val_loss']
    for index, row in enumerate(rows)
    if math.isfinite(row.get('val_loss', math.nan))
  }
  return min(losses, key=lambda index: losses[index]) if losses else None


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
  unknown = [name for name in row if name not in COLUMNS]
  missing = [name for name in ('stage', 'epoch') if row.get(name) is None]
  if unknown or missing:
    raise ValueError(
      f'curves: expected a row with stage, epoch and any of {", ".join(COLUMNS[2:])}. '
      f'Received: {", ".join(map(str, row))}.'
    )
  figures = {
    name: float(row[name]) for name in COLUMNS[2:] if name in row and row[name] is not None
  }
  return {
    'stage': str(row['stage']),
    'epoch': int(row['epoch']),
    **{name: value if math.isfinite(value) else math.nan for name, value in figures.items()},
  }


def _replace(path: pathlib.Path, content: bytes) -> None:
  draft = path.with_name(f'.{path.name}')
  draft.write_bytes(content)
  os.replace(draft, path)

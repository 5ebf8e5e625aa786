"""The table, the picture and TensorBoard's events hold the same numbers."""

import csv
import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.util import event_pb2

from models.training import curves

# Of four epochs in two stages; the lowest val loss is that of epoch 3.
ROWS = [
  {
    'stage': stage,
    'epoch': epoch,
    'loss': loss,
    'accuracy': 0.2 + 0.1 * epoch,
    'val_loss': val_loss,
    'val_accuracy': 0.15 + 0.1 * epoch,
    'learning_rate': 1e-3 / epoch,
    'gradient_norm': 3.0 / epoch,
    'images_per_second': 100.0 + epoch,
    'waiting_share': 0.01 * epoch,
    'seconds': 10.5,
  }
  for stage, epoch, loss, val_loss in [
    ('frozen', 1, 2.1, 1.9),
    ('frozen', 2, 1 / 3, 0.7),
    ('unfrozen', 3, 0.3, 0.5),
    ('unfrozen', 4, 0.2, 0.6),
  ]
]


def _table(folder):
  with open(folder / 'curves.csv', newline='', encoding='utf-8') as stream:
    return list(csv.DictReader(stream))


def _events(folder):
  """Returns {(run, tag, step): value}."""
  found = {}
  for path in (folder / 'tensorboard').glob('*/events.out.tfevents.*'):
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
      event = event_pb2.Event.FromString(record)
      for value in event.summary.value:
        key = path.parent.name, value.tag, event.step
        assert key not in found, 'an epoch is written once'
        found[key] = float(tf.make_ndarray(value.tensor))
  return found


def _line(axes, column):
  (line,) = [line for line in axes.get_lines() if line.get_label() == column]
  return list(line.get_xdata()), list(line.get_ydata())


@pytest.fixture
def written(tmp_path):
  drawn = curves.Curves(tmp_path / 'run')
  for row in ROWS:
    drawn.append(row)
  drawn.close()
  return tmp_path / 'run'


def test_the_table_holds_every_digit_of_every_column(written):
  table = _table(written)
  assert tuple(table[0]) == curves.COLUMNS == tuple(ROWS[0])
  for read, row in zip(table, ROWS, strict=True):
    assert {name: type(row[name])(text) for name, text in read.items()} == row


def test_tensorboard_has_train_and_val_under_one_tag_in_two_runs(written):
  expected = {}
  for row in ROWS:
    for run, tag, column in [
      ('train', 'loss', 'loss'),
      ('train', 'accuracy', 'accuracy'),
      ('val', 'loss', 'val_loss'),
      ('val', 'accuracy', 'val_accuracy'),
      ('train', 'learning_rate', 'learning_rate'),
      ('train', 'gradient_norm', 'gradient_norm'),
      ('train', 'images_per_second', 'images_per_second'),
      ('train', 'waiting_share', 'waiting_share'),
    ]:
      expected[run, tag, row['epoch']] = row[column]
  found = _events(written)
  assert found.keys() == expected.keys()
  for key, value in expected.items():
    np.testing.assert_allclose(found[key], value, rtol=1e-6, err_msg=str(key))


def test_the_picture_draws_what_the_table_holds(written):
  table = _table(written)
  losses, accuracies, rates, norms = curves.figure(ROWS).get_axes()
  epochs = [int(row['epoch']) for row in table]
  for axes, column in [
    (losses, 'loss'),
    (losses, 'val_loss'),
    (accuracies, 'accuracy'),
    (accuracies, 'val_accuracy'),
    (rates, 'learning_rate'),
    (norms, 'gradient_norm'),
  ]:
    assert _line(axes, column) == (epochs, [float(row[column]) for row in table])
  with Image.open(written / 'curves.png') as picture:
    picture.load()
    assert picture.format == 'PNG' and min(picture.size) > 500
    assert len(set(picture.convert('RGB').resize((64, 64)).getdata())) > 10


def test_the_picture_marks_the_best_epoch_and_where_a_stage_begins():
  losses, accuracies, rates, norms = curves.figure(ROWS).get_axes()
  (x, y) = _line(losses, 'best: epoch 3, 0.5')
  assert (x, y) == ([3], [0.5])
  assert _line(accuracies, 'best: epoch 3, 0.45')[1] == [pytest.approx(0.45)]
  for axes in (losses, accuracies, rates, norms):
    (boundary,) = [line for line in axes.get_lines() if list(line.get_ydata()) == [0, 1]]
    assert list(boundary.get_xdata()) == [2.5, 2.5]
    assert [text.get_text().strip() for text in axes.texts] == ['frozen', 'unfrozen']


def test_one_stage_needs_no_line():
  for axes in curves.figure(ROWS[:2]).get_axes():
    assert not axes.texts
    assert all(list(line.get_ydata()) != [0, 1] for line in axes.get_lines())


def test_a_curve_over_many_magnitudes_is_drawn_on_a_logarithmic_scale():
  rows = [{**row, 'loss': row['loss'] * 10.0 ** (3 * index)} for index, row in enumerate(ROWS)]
  losses, accuracies, *_ = curves.figure(rows).get_axes()
  assert losses.get_yscale() == 'log' and accuracies.get_yscale() == 'linear'
  assert curves.figure(ROWS).get_axes()[0].get_yscale() == 'linear'


def test_each_epoch_is_on_disk_at_once(tmp_path):
  drawn = curves.Curves(tmp_path)
  assert _table(tmp_path) == []
  drawn.append(ROWS[0])
  assert [row['epoch'] for row in _table(tmp_path)] == ['1']
  assert _events(tmp_path)['val', 'loss', 1] == pytest.approx(1.9)
  assert not list(tmp_path.glob('.curves*'))


def test_a_resumed_training_has_each_epoch_once(tmp_path):
  killed = curves.Curves(tmp_path)
  for row in ROWS[:3]:
    killed.append(row)
  # The last checkpoint was written after epoch 2: epoch 3 is trained again.
  resumed = curves.Curves(tmp_path, killed.rows[:2])
  assert [row['epoch'] for row in _table(tmp_path)] == ['1', '2']
  assert {step for _, _, step in _events(tmp_path)} == {1, 2}
  resumed.append({**ROWS[2], 'loss': 0.31})
  assert [row['loss'] for row in _table(tmp_path)] == ['2.1', repr(1 / 3), '0.31']
  assert _events(tmp_path)['train', 'loss', 3] == pytest.approx(0.31)
  assert resumed.rows == [*ROWS[:2], {**ROWS[2], 'loss': 0.31}]


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, np.float32('nan')])
def test_a_value_that_is_not_finite_is_nan_everywhere_and_drawn_as_a_gap(tmp_path, value):
  drawn = curves.Curves(tmp_path)
  for row in ROWS:
    drawn.append({**row, **({'loss': value, 'val_loss': value} if row['epoch'] == 3 else {})})
  drawn.close()
  assert [row['loss'] for row in _table(tmp_path)] == ['2.1', repr(1 / 3), 'nan', '0.2']
  assert math.isnan(_events(tmp_path)['train', 'loss', 3])
  assert math.isnan(_line(curves.figure(drawn.rows).get_axes()[0], 'loss')[1][2])
  # The best of what is left.
  assert _line(curves.figure(drawn.rows).get_axes()[0], 'best: epoch 4, 0.6')
  assert (tmp_path / 'curves.png').exists()


def test_nothing_but_nan_is_drawn_too():
  rows = [dict.fromkeys(curves.COLUMNS, math.nan) | {'stage': 's', 'epoch': 1}]
  figure = curves.figure(rows)
  figure.canvas.draw()
  assert not any('best' in line.get_label() for line in figure.get_axes()[0].get_lines())


def test_what_was_not_measured_is_empty(tmp_path):
  drawn = curves.Curves(tmp_path)
  drawn.append({'stage': 's', 'epoch': 1, 'loss': np.float32(0.5), 'gradient_norm': None})
  drawn.close()
  (row,) = _table(tmp_path)
  assert row == dict.fromkeys(curves.COLUMNS, '') | {'stage': 's', 'epoch': '1', 'loss': '0.5'}
  assert set(_events(tmp_path)) == {('train', 'loss', 1)}


def test_a_column_that_nobody_draws_is_refused(tmp_path):
  with pytest.raises(ValueError, match='Received: stage, epoch, losss'):
    curves.Curves(tmp_path).append({'stage': 's', 'epoch': 1, 'losss': 0.5})
  with pytest.raises(ValueError, match='Received: stage, loss'):
    curves.Curves(tmp_path).append({'stage': 's', 'loss': 0.5})


def test_a_training_without_an_epoch_leaves_no_picture(tmp_path):
  curves.Curves(tmp_path).close()
  assert not (tmp_path / 'curves.png').exists() and (tmp_path / 'curves.csv').exists()

"""The preview sheet: what it lists, what it shows, and how it is written."""

import io

import numpy as np
import pytest
from PIL import Image

from models.training import preview
from schemas.config import AugmentConfig, Config

NAMES = ['red', 'green', 'blue', 'dollar $x_1$']
NOTHING = {'shift': 0, 'rotation': 0, 'zoom': 0}


def config(**augment) -> Config:
  return Config(name='x', augment=AugmentConfig(**NOTHING | augment))


def batch(classes: list[int], height: int = 16, width: int = 16) -> tuple[np.ndarray, np.ndarray]:
  """One plain colour a class: red, green, blue, and grey."""
  colours = np.float32([[250, 10, 10], [10, 250, 10], [10, 10, 250], [128, 128, 128]])
  pixels = np.broadcast_to(colours[classes][:, None, None], (len(classes), height, width, 3)).copy()
  return pixels, np.eye(4, dtype=np.float32)[classes]


def written(path, settings: Config, classes: list[int], seed: int = 0, **size) -> np.ndarray:
  preview.write(settings, *batch(classes, **size), NAMES, path, seed)
  return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert('RGB')).astype(int)


def blobs(sheet: np.ndarray, colour: list[int]) -> int:
  """How many patches of a colour lie side by side on their fullest row."""
  close = (np.abs(sheet - colour).max(axis=2) <= 6).astype(int)
  starts = (np.diff(close, axis=1, prepend=0) == 1).sum(axis=1)
  return starts[np.argmax(close.sum(axis=1))]


def test_every_change_that_is_on_is_listed_with_strength_and_reason():
  listed = preview.changes(
    AugmentConfig(
      rotation=0,
      horizontal_flip=True,
      crop_area=0.5,
      rand_augment=2,
      fn='a.b.c',
      reasons={'shift': 'the object lies anywhere', 'fn': '  '},
    )
  )
  assert listed == [
    {'name': 'shift', 'strength': 0.08, 'reason': 'the object lies anywhere'},
    {'name': 'zoom', 'strength': 0.1, 'reason': preview.NO_REASON},
    {'name': 'horizontal_flip', 'strength': True, 'reason': preview.NO_REASON},
    {'name': 'crop_area', 'strength': 0.5, 'reason': preview.NO_REASON},
    {'name': 'crop_ratio', 'strength': 1.333, 'reason': preview.NO_REASON},
    {'name': 'rand_augment', 'strength': 2, 'reason': preview.NO_REASON},
    {'name': 'rand_magnitude', 'strength': 0.3, 'reason': preview.NO_REASON},
    {'name': 'fn', 'strength': 'a.b.c', 'reason': preview.NO_REASON},
  ]


def test_what_is_off_is_not_listed():
  # crop_ratio and rand_magnitude have values and nothing to act on.
  assert preview.changes(AugmentConfig(**NOTHING)) == []


def test_every_field_of_augment_can_be_listed():
  assert set(preview._MEANINGS) == set(AugmentConfig.model_fields) - {'reasons'}


def test_the_header_says_strength_and_reason_or_that_there_is_none():
  lines = '\n'.join(
    preview._header(
      config(rotation=np.pi / 6, brightness=0.25, reasons={'rotation': 'hand-held cameras'})
    )
  )
  assert 'rotation: by up to 30°. Why: hand-held cameras' in lines
  assert 'brightness: by up to 25% of the range. (no reason given)' in lines


def test_a_row_an_image_and_eight_pictures_a_row(tmp_path):
  sheet = written(tmp_path / 'sheet.png', config(), [2, 0, 0, 1, 2])
  for colour in ([250, 10, 10], [10, 250, 10], [10, 10, 250]):
    assert blobs(sheet, colour) == 8
  # The first of each class, as they came: blue, red, green.
  firsts = [
    np.argmax((np.abs(sheet - colour).max(axis=2) <= 6).any(axis=1))
    for colour in ([10, 10, 250], [250, 10, 10], [10, 250, 10])
  ]
  assert firsts == sorted(firsts)


def test_copies_are_augmented_and_the_original_is_not(tmp_path):
  sheet = written(tmp_path / 'sheet.png', config(brightness=0.5), [0])
  # A copy may be drawn to be hardly changed; seven are not.
  assert 1 <= blobs(sheet, [250, 10, 10]) < 4


def test_the_same_seed_writes_the_same_sheet_and_another_seed_another(tmp_path):
  settings = config(brightness=0.5)
  one, same, other = (written(tmp_path / 'sheet.png', settings, [0, 1], seed) for seed in (1, 1, 2))
  np.testing.assert_array_equal(one, same)
  assert one.shape == other.shape and not np.array_equal(one, other)


def test_at_most_eight_classes(tmp_path):
  pixels = np.zeros((12, 8, 8, 3), np.float32)
  names = [str(i) for i in range(12)]
  sizes = []
  for count in (8, 12):
    path = tmp_path / f'{count}.png'
    preview.write(config(), pixels[:count], np.eye(12)[:count], names, path, 0)
    sizes.append(Image.open(path).size)
  assert sizes[0] == sizes[1]


def test_a_mixed_label_is_shown_as_shares():
  label = np.float32([0.7, 0.3, 0.001, 0])
  assert preview._shares(label, NAMES) == '70 % red\n30 % green'
  assert preview._differ(label, np.eye(4)[0])
  assert not preview._differ(np.eye(4)[0], np.eye(4)[0])
  # Another image altogether: its label is no longer the row's.
  assert preview._differ(np.eye(4)[1], np.eye(4)[0])


def test_captions_take_room_only_where_labels_are_mixed(tmp_path):
  plain = written(tmp_path / 'a.png', config(), [0, 1])
  mixed = written(tmp_path / 'b.png', config(mixup=1.0), [0, 1])
  assert mixed.shape[0] > plain.shape[0]


@pytest.mark.parametrize('size', [(32, 8), (8, 32)])
def test_pictures_keep_their_aspect_ratio(tmp_path, size):
  sheet = written(tmp_path / 'sheet.png', config(), [0], height=size[0], width=size[1])
  close = np.abs(sheet - [250, 10, 10]).max(axis=2) <= 6
  rows, columns = close.any(axis=1).sum(), close.any(axis=0).sum() / 8
  assert rows / columns == pytest.approx(size[0] / size[1], rel=0.1)


def test_a_sheet_is_replaced_in_one_step_and_nothing_else_is_left(tmp_path, monkeypatch):
  path = tmp_path / 'sheet.png'
  written(path, config(), [0])
  before = path.read_bytes()

  def failing(self, stream):
    stream.write_bytes(b'half')
    raise OSError('disk full')

  monkeypatch.setattr(preview.FigureCanvasAgg, 'print_png', failing)
  with pytest.raises(OSError, match='disk full'):
    written(path, config(), [1])
  assert path.read_bytes() == before
  assert list(tmp_path.iterdir()) == [path]


def test_no_state_of_pyplot_is_touched(tmp_path):
  import sys

  loaded = 'matplotlib.pyplot' in sys.modules
  written(tmp_path / 'sheet.png', config(), [0, 3])
  assert ('matplotlib.pyplot' in sys.modules) == loaded

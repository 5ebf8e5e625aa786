"""The statistics that normalise are those of train; expected ones by NumPy and Pillow."""

import io

import numpy as np
import pytest
from PIL import Image

from models import records
from models.training import pixel_statistics
from schemas.config import ImageConfig
from schemas.errors import TrainingError
from tests.unit.models.conftest import write_records

# The size of every image below: nothing is resized, so that Pillow's pixels are the input.
IMAGE = ImageConfig(height=32, width=40)


def _png(seed: int, brightest: int) -> bytes:
  pixels = np.random.default_rng(seed).integers(0, brightest, (32, 40, 3)).astype(np.uint8)
  stream = io.BytesIO()
  Image.fromarray(pixels + np.array([60, 30, 0], np.uint8)).save(stream, 'PNG')
  return stream.getvalue()


def _statistics(images: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
  pixels = np.stack([np.asarray(Image.open(io.BytesIO(one))) for one in images]) / 255
  return pixels.mean((0, 1, 2)), pixels.var((0, 1, 2))


@pytest.fixture
def check(tmp_path, training_data):
  """Returns check(images, mean, variance, ...)."""

  def check(images, mean, variance, **options):
    path = tmp_path / 'train.tfrecord'
    write_records(path, [(image, 'red') for image in images])
    return pixel_statistics.check(
      records.count([str(path)]), training_data.parse_batch, IMAGE, mean, variance, **options
    )

  return check


TRAIN = [_png(seed, 100) for seed in range(20)]


def test_those_of_train_pass_and_are_told(check):
  mean, variance = _statistics(TRAIN)
  found = check(TRAIN, mean.astype(np.float32), variance.astype(np.float32))
  assert found.ok
  assert f'mean ({mean[0]:.5f}, {mean[1]:.5f}, {mean[2]:.5f})' in found.text
  assert 'all 20 training images' in found.text


def test_statistics_that_have_seen_five_images_of_the_same_kind_more_stop_the_training(check):
  # Of the same distribution: the difference is one of chance, and the leak is real.
  everything = _statistics(TRAIN + [_png(seed, 100) for seed in range(100, 105)])
  with pytest.raises(TrainingError, match='expected those of train, .* all 20 training images'):
    check(TRAIN, *everything)


def test_swapped_channels_and_another_scale_stop_the_training(check):
  mean, variance = _statistics(TRAIN)
  with pytest.raises(TrainingError, match='pixel statistics'):
    check(TRAIN, mean[::-1], variance[::-1])
  with pytest.raises(TrainingError, match='pixel statistics'):
    check(TRAIN, mean / 255, variance / 255**2)
  with pytest.raises(TrainingError, match='pixel statistics'):
    check(TRAIN, mean * np.nan, variance)


def test_of_many_images_a_sample_is_compared_with_room_for_chance(check, monkeypatch):
  monkeypatch.setattr(pixel_statistics, 'FEWEST_IMAGES', 5)
  mean, variance = _statistics(TRAIN)
  found = check(TRAIN, mean, variance, most_pixels=10 * 32 * 40)
  assert found.ok
  assert '10 of the 20 training images' in found.text
  with pytest.raises(TrainingError, match='10 of the 20 training images'):
    check(TRAIN, *_statistics([_png(seed, 150) for seed in range(20)]), most_pixels=10 * 32 * 40)

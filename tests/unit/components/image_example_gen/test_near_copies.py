import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageDraw

from components.image_example_gen import near_copies, perceptual, views
from components.image_example_gen.descriptions import Descriptions

COUNT = 12


def jpeg(pixels, quality):
  stream = io.BytesIO()
  Image.fromarray(pixels).save(stream, 'JPEG', quality=quality)
  return np.asarray(Image.open(stream))


def resized(pixels, factor):
  height, width = pixels.shape[:2]
  size = (round(width * factor), round(height * factor))
  return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def lighter(pixels, factor):
  return np.clip(pixels * factor, 0, 255).astype(np.uint8)


def rotated(pixels, angle):
  return np.asarray(Image.fromarray(pixels).rotate(angle, Image.Resampling.BICUBIC))


def cropped(pixels, share, across=0.5, down=0.5):
  height, width = pixels.shape[:2]
  rows, columns = round(height * share), round(width * share)
  top, left = round((height - rows) * down), round((width - columns) * across)
  return pixels[top : top + rows, left : left + columns]


def stamped(pixels):
  image = Image.fromarray(pixels)
  ImageDraw.Draw(image).text((8, 8), '2026-11-21 09:15', fill=(255, 220, 0))
  return np.asarray(image)


def changed_in_one_pixel(pixels):
  pixels = pixels.copy()
  pixels[20, 30] ^= 255
  return pixels


# What was done, what it is called, and how many of 12 must be found.
COPIES = {
  're-encoded at 95': (lambda p: jpeg(p, 95), 're-encoded', 12),
  're-encoded at 70': (lambda p: jpeg(p, 70), 're-encoded', 12),
  're-encoded at 30': (lambda p: jpeg(p, 30), 're-encoded', 12),
  'half the size': (lambda p: resized(p, 0.5), 're-encoded', 12),
  'lighter': (lambda p: lighter(p, 1.1), 're-encoded', 12),
  'darker': (lambda p: lighter(p, 0.9), 're-encoded', 12),
  'one pixel': (changed_in_one_pixel, 're-encoded', 12),
  'a date on it': (stamped, 're-encoded', 12),
  'mirrored': (lambda p: p[:, ::-1], 'mirrored', 12),
  'upside down': (lambda p: p[::-1], 'mirrored upside down', 12),
  # np.rot90 turns anticlockwise.
  'a quarter turn': (lambda p: np.rot90(p, -1), 'rotated by 90', 12),
  'half a turn': (lambda p: np.rot90(p, 2), 'rotated by 180', 12),
  'three quarter turns': (lambda p: np.rot90(p), 'rotated by 270', 12),
  'turned by 5 degrees': (lambda p: rotated(p, 5), 'turned', 11),
  'turned by 10 degrees': (lambda p: rotated(p, -10), 'turned', 8),
  'cropped to 95 %': (lambda p: cropped(p, 0.95), 'cropped', 12),
  'cropped to 90 %, a corner': (lambda p: cropped(p, 0.9, 0, 1), 'cropped', 12),
  'cropped to 80 %': (lambda p: cropped(p, 0.8), 'cropped', 12),
  'cropped to 80 %, aside': (lambda p: cropped(p, 0.8, 0.6, 0.15), 'cropped', 10),
  'cropped to 70 %': (lambda p: cropped(p, 0.7), 'cropped', 11),
  'mirrored and cropped': (lambda p: cropped(p[:, ::-1], 0.85, 0.3, 0.8), 'mirrored', 11),
}


@pytest.fixture
def matches(tmp_path):
  """Returns the function that finds the matches of a list of images."""
  runs = iter(range(100))

  def run(images, effort=None, kept=()):
    with Descriptions(tmp_path / str(next(runs))) as store:
      for image in images:
        store.append(perceptual.describe(image))
      return list(near_copies.find(store, effort, kept))

  return run


@pytest.mark.parametrize('name', COPIES)
def test_planted_copies_are_found(name, picture, matches):
  change, how, at_least = COPIES[name]
  originals = [picture(seed, 150 + 10 * seed, 240 - 4 * seed) for seed in range(COUNT)]
  found = matches(originals + [change(pixels) for pixels in originals])
  right = [match for match in found if match.second == match.first + COUNT]
  assert found == right
  assert len(right) >= at_least
  named = [match for match in right if how in match.how]
  assert len(named) >= at_least - 1, found
  assert all(0.98 <= match.similarity <= 1 for match in right)


def test_equal_pixels_are_exact_copies_whatever_they_show(picture, matches):
  flat = np.full((40, 50, 3), (10, 200, 30), np.uint8)
  tiny = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
  photo = picture(0, 120, 90)
  found = matches([flat, photo, tiny, flat.copy(), tiny.copy(), photo.copy(), flat.copy()])
  assert {match[:2] for match in found} == {(0, 3), (0, 6), (1, 5), (2, 4)}
  assert {match[2:] for match in found} == {(near_copies.SAME_PIXELS, 1.0)}


def test_two_that_are_both_kept_are_two_pictures_unless_their_pixels_are_equal(picture, matches):
  one = picture(3, 150, 200)
  images = [one, one[:, ::-1], one]
  assert {match.how for match in matches(images, kept=(0, 2))} == {'same pixels', 'mirrored'}
  assert [match.how for match in matches(images, kept=(0, 1, 2))] == ['same pixels']
  # The third joins both, as nobody has said what it is.
  images = [one, one[:, ::-1], one[::-1]]
  found = {(match.first, match.second) for match in matches(images, kept=(0, 1))}
  assert found == {(0, 2), (1, 2)}


def test_different_pictures_do_not_match(picture, matches):
  assert matches([picture(seed, 160, 200) for seed in range(100, 160)]) == []


def test_nothing_and_one(picture, matches):
  assert matches([]) == []
  assert matches([picture(0, 60, 80)]) == []


def test_order_of_the_images_does_not_matter(picture, matches):
  images = [picture(seed, 120, 170) for seed in range(8)]
  images += [jpeg(images[0], 40), images[1][:, ::-1], cropped(images[2], 0.85), images[0].copy()]
  images += [np.rot90(images[3], -1), jpeg(images[0][:, ::-1], 60), images[1].copy()]

  def by_content(order):
    # Of images of equal pixels any may stand for all of them.
    found = matches([images[index] for index in order])
    return {
      (frozenset(images[order[place]].tobytes() for place in match[:2]), match.similarity)
      for match in found
    }

  expected = by_content(list(range(len(images))))
  assert len(expected) == 7
  for seed in range(3):
    assert by_content(np.random.default_rng(seed).permutation(len(images)).tolist()) == expected


def test_a_quarter_turn_is_named_from_the_first_to_the_second(picture, matches):
  pixels = picture(0, 120, 170)
  clockwise = np.asarray(Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_270))
  assert [match.how for match in matches([pixels, clockwise])] == ['rotated by 90']
  assert [match.how for match in matches([clockwise, pixels])] == ['rotated by 270']


def crowd(path, groups, seed=0):
  """A store of made-up descriptions: for each group its size and its hash's origin.

  Signatures are drawn by the group, so that a group's members are copies.
  """
  draw = np.random.default_rng(seed)
  store = Descriptions(path)
  for size in groups:
    signature = draw.integers(0, 256, (64, 64), dtype=np.uint8)
    grey = np.repeat(signature[..., np.newaxis], 3, 2)
    described = perceptual.describe(grey)
    for _ in range(size):
      store.append(described._replace(pixel_id=draw.bytes(32).hex()))
  return store


def test_comparisons_grow_as_the_images_not_as_their_square(tmp_path):
  efforts = []
  for name, count in (('one', 500), ('four', 2000)):
    effort = near_copies.Effort()
    # A tenth has a copy.
    with crowd(tmp_path / name, [1] * int(count * 0.8) + [2] * int(count * 0.1)) as store:
      found = list(near_copies.find(store, effort))
    assert len(found) == count // 10
    efforts.append(effort)
  few, many = efforts
  assert many.compared < 8 * few.compared
  assert many.aligned < 8 * few.aligned
  # 5 % of all pairs of 100,000 images, each of which has hundreds of views.
  assert many.compared < 2500 * 2000


def test_one_bucket_of_all_images_is_one_cluster_at_linear_cost(tmp_path):
  efforts = []
  for name, count in (('one', 150), ('four', 600)):
    effort = near_copies.Effort()
    with crowd(tmp_path / name, [count]) as store:
      found = list(near_copies.find(store, effort))
    assert len(found) == count - 1
    efforts.append(effort)
  few, many = efforts
  assert many.compared < 5 * few.compared
  assert many.aligned < 5 * few.aligned


def test_one_bucket_of_different_images_is_left_at_linear_cost(tmp_path):
  # One hash, but every signature is another: the worst for the finer comparison.
  draw = np.random.default_rng(0)
  template = perceptual.describe(draw.integers(0, 256, (64, 64, 3), dtype=np.uint8))
  effort = near_copies.Effort()
  with Descriptions(tmp_path) as store:
    for _ in range(200):
      store.append(template._replace(pixel_id=draw.bytes(32).hex(), signature=draw.bytes(4096)))
    assert list(near_copies.find(store, effort)) == []
  assert effort.aligned <= 200 * near_copies.MAX_CANDIDATES * near_copies.PASSES


def test_memory_is_below_200_bytes_an_image(tmp_path, monkeypatch):
  # What the chunk at work takes is the same for any number of images; here it would hide
  # what grows, and take minutes.
  monkeypatch.setattr(near_copies, '_ROWS', 512)
  none: np.ndarray = np.zeros(len(views.views()), np.uint64)
  monkeypatch.setattr(views, 'view_hashes', lambda signatures: np.tile(none, (len(signatures), 1)))
  monkeypatch.setattr(near_copies._Index, 'candidates', lambda *_: ({}, 0))
  draw = np.random.default_rng(0)
  described = perceptual.describe(draw.integers(0, 256, (64, 64, 3), dtype=np.uint8))

  def peak(name, count):
    with Descriptions(tmp_path / name) as store:
      for _ in range(count):
        store.append(described._replace(pixel_id=draw.bytes(32).hex(), hashes=draw.bytes(32)))
      tracemalloc.start()
      assert list(near_copies.find(store)) == []
      _, highest = tracemalloc.get_traced_memory()
      tracemalloc.stop()
    return highest

  few, many = peak('few', 4000), peak('many', 32_000)
  assert (many - few) / 28_000 < 200

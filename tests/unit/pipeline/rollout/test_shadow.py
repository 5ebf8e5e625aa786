"""A replay: what a candidate would answer about the pictures of a log."""

import hashlib
import re
import shutil

import numpy as np
import pytest

from pipeline.rollout import flips_page, shadow
from schemas.errors import DataError
from serving import log_files, request_record
from tests.unit.serving import exports, logs

N = 24


@pytest.fixture(scope='module')
def candidate(tmp_path_factory):
  base = tmp_path_factory.mktemp('serving')
  exports.write_image_model(base / '1', seed=1)
  return shutil.move(base / '1', base / '200')


@pytest.fixture(scope='module')
def answers():
  """What the network of the candidate says, outside of any export."""
  found = [exports.expected_probabilities(1, exports.picture(seed)) for seed in range(N)]
  return [exports.LABELS[int(np.argmax(one))] for one in found]


def image_id(seed):
  return hashlib.sha256(exports.encoded(seed)).hexdigest()


def write(folder, *requests, keep_images=True):
  files = log_files.LogFiles(folder, 1 << 20, 1 << 24, 1e6, 1e6)
  for number, request in enumerate(requests):
    made = request_record.complete(request, f'id-{number}', 1000.0, 1.0, keep_images)
    files.write(made.SerializeToString())
  files.complete()
  return folder


def other(label):
  return exports.LABELS[(exports.LABELS.index(label) + 1) % 3]


def replay(candidate, folder, labels=None):
  return shadow.replay(candidate, folder, labels or {}, 0.01)


def test_pictures_that_would_be_answered_otherwise_are_found(candidate, answers, tmp_path):
  logged = [other(label) if seed in (3, 5) else label for seed, label in enumerate(answers)]
  images = [exports.encoded(seed) for seed in range(N)]
  write(tmp_path, logs.asked(images[:20], logged[:20]), logs.asked(images[20:], logged[20:]))
  found = replay(candidate, tmp_path)
  assert [(flip.image_id, flip.before, flip.after) for flip in found.flips] == [
    (image_id(seed), logged[seed], answers[seed]) for seed in (3, 5)
  ]
  assert found.flips[0].image == images[3]
  assert (found.rate['value'], found.rate['n']) == (2 / N, N)
  # Wilson, by hand: centre (2 + 1.96^2 / 2) / (24 + 1.96^2).
  assert found.rate['interval'] == pytest.approx([0.0232, 0.2585], abs=1e-3)
  assert sum(count for count, _ in found.classes.values()) == N
  assert sum(flipped for _, flipped in found.classes.values()) == 2
  assert found.against == {'7': N} and found.skipped == {}
  assert found.labelled is None


def test_with_labels_it_is_said_who_is_right(candidate, answers, tmp_path):
  images = [exports.encoded(seed) for seed in range(N)]
  logged = [other(label) for label in answers[:10]] + answers[10:]
  write(tmp_path, logs.asked(images, logged))
  truth = {image_id(seed): answers[seed] for seed in range(20)}
  found = replay(candidate, tmp_path, truth)
  # Ten only the candidate has right, none only the log: 2 / 2^10.
  assert found.labelled.p == pytest.approx(2 / 2**10)
  assert (found.labelled.verdict, found.labelled.n) == ('better', 20)
  assert [one['value'] for one in found.accuracies] == [0.5, 1.0]
  truth = {image_id(seed): logged[seed] for seed in range(20)}
  assert replay(candidate, tmp_path, truth).labelled.verdict == 'worse'


def test_each_row_that_is_not_replayed_is_counted(candidate, answers, tmp_path):
  image = exports.encoded(0)
  write(
    tmp_path,
    logs.asked([image, image], [answers[0]] * 2),
    logs.asked([exports.encoded(1)], [answers[1]], version=200),
    logs.asked([b'no image'], ['red']),
  )
  write(tmp_path, logs.asked([exports.encoded(2)], [answers[2]]), keep_images=False)
  found = replay(candidate, tmp_path)
  assert found.rate['n'] == 1
  assert found.skipped == {
    shadow.AGAIN: 1,
    shadow.ITS_OWN: 1,
    shadow.REFUSED: 1,
    shadow.NO_IMAGE: 1,
  }


def test_a_log_without_pictures_says_how_to_keep_them(candidate, tmp_path):
  write(tmp_path, logs.asked([exports.encoded(0)]), keep_images=False)
  with pytest.raises(DataError, match='1 without a picture.*request_log.images: true'):
    replay(candidate, tmp_path)


def test_labels_are_read_and_other_columns_named(tmp_path):
  path = tmp_path / 'labels.csv'
  path.write_text('image_id,label\nab,red\ncd,\n')
  assert shadow.read_labels(path) == {'ab': 'red'}
  path.write_text('filename,label\na.png,red\n')
  with pytest.raises(DataError, match='columns image_id .* Received: filename, label'):
    shadow.read_labels(path)


def test_the_page_shows_each_flip_with_its_picture(candidate, answers, tmp_path):
  logged = ['<b>odd</b>' if seed < 2 else label for seed, label in enumerate(answers)]
  images = [exports.encoded(seed) for seed in range(N)]
  write(tmp_path / 'log', logs.asked(images, logged))
  found = replay(candidate, tmp_path / 'log')
  path = tmp_path / 'deep/page.html'
  flips_page.write(found, 'fruit', tmp_path / 'log', path)
  text = path.read_text()
  assert text.count('data:image/webp') == 2
  assert '2 of 24 pictures would be answered otherwise: 0.0833 (0.0232 to 0.2585)' in text
  assert '&lt;b&gt;odd&lt;/b&gt;' in text and '<b>odd' not in text
  assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
  assert image_id(0)[:16] in text

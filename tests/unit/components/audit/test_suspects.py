"""The goal: of 5 % flipped labels, half or more lie in the top tenth of the list."""

import csv

import apache_beam as beam
import numpy as np
import pytest
from PIL import Image
from sklearn import datasets

from components.audit import report, suspects
from components.image_example_gen import ingest
from schemas.config import AuditConfig, DataConfig

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'


@pytest.fixture(scope='module')
def digits():
  found = datasets.load_digits()
  pixels = np.round(found.images * (255 / 16)).astype(np.uint8)
  thumbnails = np.stack(
    [np.asarray(Image.fromarray(image).convert('RGB').resize((32, 32))) for image in pixels]
  )
  return thumbnails, found.target


def _flip(labels, seed):
  rng = np.random.default_rng(seed)
  flipped = rng.choice(len(labels), len(labels) // 20, replace=False)
  noisy = labels.copy()
  noisy[flipped] = (noisy[flipped] + rng.integers(1, 10, len(flipped))) % 10
  return noisy, flipped


@pytest.mark.parametrize('seed', [0, 1])
def test_half_of_the_flipped_digits_lie_in_the_top_tenth(digits, seed):
  thumbnails, labels = digits
  noisy, flipped = _flip(labels, seed)
  alone = np.full(len(labels), -1)
  found = suspects.find(thumbnails, noisy, alone)
  top = found.ranking()[: len(labels) // 10]
  assert np.isin(flipped, top).mean() >= 0.5
  # Of what it flags most was flipped, and of the flipped it mostly knows the truth.
  assert np.isin(np.flatnonzero(found.flagged), flipped).mean() > 0.8
  assert (found.suggestion[flipped] == labels[flipped]).mean() > 0.8
  assert found.accuracy == pytest.approx((found.suggestion == noisy).mean())
  again = suspects.find(thumbnails, noisy, alone)
  np.testing.assert_array_equal(found.score, again.score)


def test_a_copy_under_the_same_wrong_label_does_not_vouch_for_it(digits):
  thumbnails, labels = digits[0][:600], digits[1][:600]
  wrong = int(np.flatnonzero(labels == 3)[0])
  copies = np.repeat(wrong, 8)
  thumbnails = np.concatenate([thumbnails, thumbnails[copies]])
  labels = np.concatenate([labels, np.full(8, 8)])
  labels[wrong] = 8
  alone = np.full(len(labels), -1)
  clusters = alone.copy()
  clusters[[wrong, *range(600, 608)]] = 0
  assert suspects.find(thumbnails, labels, alone).score[wrong] > 0.5
  found = suspects.find(thumbnails, labels, clusters)
  assert found.score[wrong] < 0.2
  assert found.suggestion[wrong] == 3


def test_a_class_that_is_too_small_is_not_judged(digits):
  thumbnails, labels = digits[0][:300], digits[1][:300].copy()
  labels[:4] = 10
  labels[4:14] = 11
  clusters = np.full(300, -1)
  clusters[4:14] = 7  # ten images, one cluster: nothing else shows this class
  found = suspects.find(thumbnails, labels, clusters)
  assert found.unjudged == [10, 11]
  assert np.isnan(found.score[:14]).all() and not np.isnan(found.score[14:]).any()
  assert (found.suggestion[:14] == -1).all() and not found.flagged[:14].any()
  assert found.judged == 286 == len(found.ranking())
  assert set(found.ranking()) == set(range(14, 300))


def test_one_class_alone_is_not_judged():
  thumbnails = np.random.default_rng(0).integers(0, 255, (30, 32, 32, 3), dtype=np.uint8)
  found = suspects.find(thumbnails, np.zeros(30, int), np.full(30, -1))
  assert found.judged == 0 and np.isnan(found.accuracy) and found.unjudged == [0]


def test_names_become_numbers():
  numbers, names = suspects.numbered(['pear', 'fig', 'pear'])
  assert names == ['fig', 'pear'] and numbers.tolist() == [1, 0, 1]
  assert suspects.cluster_numbers(['', 'b', 'a', 'b', '']).tolist() == [-1, 0, 1, 0, -1]


@pytest.mark.slow
def test_the_flipped_among_digits_on_disk_lie_in_the_top_tenth_of_the_csv(tmp_path):
  found = datasets.load_digits()
  noisy, flipped = _flip(found.target[:600], 0)
  (tmp_path / 'data/images').mkdir(parents=True)
  (tmp_path / 'dataset').mkdir()
  (tmp_path / 'audit').mkdir()
  with open(tmp_path / 'data/labels.csv', 'w', encoding='utf-8', newline='') as stream:
    writer = csv.writer(stream)
    writer.writerow(('filename', 'label'))
    for number, label in enumerate(noisy):
      pixels = np.round(found.images[number] * (255 / 16)).astype(np.uint8)
      Image.fromarray(pixels).save(tmp_path / f'data/images/{number:04d}.png')
      writer.writerow((f'{number:04d}.png', f'digit {label}'))
  data = DataConfig(root=tmp_path / 'data')
  outputs = ingest.Outputs({}, tmp_path / 'quarantine', tmp_path / 'dataset')
  ingest.examine(data, outputs, tmp_path / 'state', lambda: beam.Pipeline(argv=[FN_API]))
  report.write(
    'digits', outputs.dataset, outputs.quarantine, data, AuditConfig(), tmp_path / 'audit'
  )
  with open(tmp_path / 'audit/suspects.csv', encoding='utf-8', newline='') as stream:
    ranked = list(csv.DictReader(stream))
  assert len(ranked) == 600
  top = {row['filename'] for row in ranked[:60]}
  assert len(top & {f'{number:04d}.png' for number in flipped}) >= len(flipped) / 2

"""Drift and skew on statistics that TFDV itself computed."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate import drift
from components.schema_gen import curation

SCHEMA = curation.curate(
  text_format.Parse(
    """
    feature { name: "label" type: BYTES }
    feature { name: "image/brightness" type: FLOAT }
    feature { name: "image/width" type: INT }
    """,
    schema_pb2.Schema(),
  ),
  ['cat', 'dog', 'eel'],
)


@pytest.fixture
def sample(tmp_path):
  """Returns sample(span, cats, dogs, eels, ...): its statistics and manifest; 'other' fills val."""

  def sample(span, counts, brightness=None, width=None, split='train'):
    labels = [label for label, count in counts.items() for _ in range(count)]
    rng = np.random.default_rng(span)
    size = len(labels)
    columns = {
      'label': labels,
      'brightness': rng.normal(0.5, 0.1, size).astype(np.float32)
      if brightness is None
      else brightness,
      'width': np.full(size, 348) if width is None else width,
    }
    manifest = tmp_path / f'{span}-{split}.parquet'
    paths = [f's{span}/{label}-{number:03d}.png' for number, label in enumerate(labels)]
    pq.write_table(
      pa.table(
        {
          'path': [*paths, 'elsewhere.png'],
          'split': [split] * size + ['val'],
          **{key: [*list(values), values[0]] for key, values in columns.items()},
        }
      ),
      manifest,
    )
    frame = pd.DataFrame(columns).rename(
      columns={'brightness': 'image/brightness', 'width': 'image/width'}
    )
    statistics = tfdv.generate_statistics_from_dataframe(
      frame, tfdv.StatsOptions(num_rank_histogram_buckets=10_000), n_jobs=1
    )
    return drift.Sample(f'{split} of span {span}', statistics, manifest, split)

  return sample


def test_a_class_that_lost_four_fifths_is_named_with_shares_spans_and_files(sample):
  before = sample(1, {'cat': 80, 'dog': 80, 'eel': 80})
  now = sample(2, {'cat': 16, 'dog': 80, 'eel': 80})
  [line] = drift.compare(drift.DRIFT, now, before, SCHEMA)
  assert line.startswith(
    "drift, feature label: the share of 'cat' changed from 33.3 % (80 of 240) in train of span 1 "
    'to 9.1 % (16 of 176) in train of span 2: by 0.242, where '
  )
  assert 'drift_comparator 0.05, and what chance does to 240 and 176 images' in line
  assert (
    "Files of 'cat' in train of span 1: s1/cat-000.png, s1/cat-001.png, s1/cat-002.png and others."
  ) in line
  assert "Files of 'cat' in train of span 2: s2/cat-000.png" in line
  assert 'elsewhere' not in line


def test_a_class_that_is_gone_has_no_files(sample):
  before = sample(1, {'cat': 80, 'dog': 80, 'eel': 80})
  now = sample(2, {'dog': 80, 'eel': 80})
  [line] = drift.compare(drift.DRIFT, now, before, SCHEMA)
  assert 'to 0.0 % (0 of 160)' in line
  assert "Files of 'cat' in train of span 2: none." in line


def test_brighter_images_are_noticed_and_the_most_extreme_are_named(sample):
  before = sample(1, {'cat': 200, 'dog': 200})
  values = np.random.default_rng(7).normal(0.7, 0.1, 400).astype(np.float32)
  values[7] = 0.99
  values[3] = 0.98
  now = sample(2, {'cat': 200, 'dog': 200}, brightness=np.minimum(values, 0.99))
  [line] = drift.compare(drift.DRIFT, now, before, SCHEMA)
  assert line.startswith('drift, feature image/brightness: its values changed from a median of 0.')
  assert 'in train of span 1 to 0.' in line
  assert 'The most extreme in train of span 2: s2/cat-007.png (0.99), s2/cat-003.png (0.98)' in line


def test_samples_of_one_set_do_not_drift(sample):
  lines = []
  for number in range(0, 20, 2):
    rng = np.random.default_rng(number)
    counts = [
      dict(zip(('cat', 'dog', 'eel'), rng.multinomial(60, (0.5, 0.3, 0.2)).tolist(), strict=True))
      for _ in range(2)
    ]
    lines += drift.compare(
      drift.DRIFT, sample(number + 1, counts[1]), sample(number, counts[0]), SCHEMA
    )
  assert lines == []


def test_one_image_of_another_size_is_no_drift(sample):
  # TFDV's histograms of equal width call this a divergence of 1.
  width = np.full(200, 348)
  width[0] = 4000
  now = sample(2, {'cat': 100, 'dog': 100}, width=width)
  assert list(drift.compare(drift.DRIFT, now, sample(1, {'cat': 100, 'dog': 100}), SCHEMA)) == []


def test_skew_compares_with_production_by_the_other_comparator(sample):
  now = sample(1, {'cat': 100, 'dog': 100})
  served = sample(1, {'cat': 20, 'dog': 100, 'newt': 5}, split='production')
  [line] = drift.compare(drift.SKEW, now, served, SCHEMA)
  assert line.startswith(
    "skew, feature label: the share of 'cat' changed from 16.0 % (20 of 125) in production of "
    'span 1 to 50.0 % (100 of 200) in train of span 1'
  )
  quiet = schema_pb2.Schema()
  quiet.CopyFrom(SCHEMA)
  for feature in quiet.feature:
    feature.ClearField('skew_comparator')
  assert list(drift.compare(drift.SKEW, now, served, quiet)) == []


def test_an_empty_sample_is_not_compared(sample):
  empty = drift.Sample(
    'production', drift.Statistics.FromString(b''), sample(1, {'cat': 1}).manifest, 'production'
  )
  assert list(drift.compare(drift.SKEW, sample(1, {'cat': 9}), empty, SCHEMA)) == []

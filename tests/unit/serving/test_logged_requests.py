"""What a log says to a reader, and to TFDV."""

import pytest
import tensorflow_data_validation as tfdv

from schemas import features
from schemas.errors import DataError
from serving import log_files, logged_requests, request_record
from tests.unit.serving import exports, logs


def write(folder, *requests, keep_images=False):
  files = log_files.LogFiles(folder, 1 << 20, 1 << 24, 1e6, 1e6)
  for number, request in enumerate(requests):
    made = request_record.complete(request, f'id-{number}', 1000.0 + number, 1.0, keep_images)
    files.write(made.SerializeToString())
  files.complete()
  return folder


def test_a_row_an_image(tmp_path):
  write(
    tmp_path,
    logs.asked([exports.encoded(1), exports.encoded(2, width=9)], ['red', 'blue'], [0.5, 0.75]),
    logs.asked([exports.encoded(3)], ['green'], version=8),
  )
  table = logged_requests.frame(tmp_path)
  assert table['request_id'].tolist() == ['id-0', 'id-0', 'id-1']
  assert table['predicted'].tolist() == ['red', 'blue', 'green']
  assert table['probability'].tolist() == [0.5, 0.75, 0.5]
  assert table['version'].tolist() == ['7', '7', '8']
  assert table[features.WIDTH].tolist() == [23, 9, 23]
  assert table['ood_score'].tolist() == [0.25] * 3
  assert table['time'].tolist() == [1000.0, 1000.0, 1001.0]


def test_images_come_back_where_they_were_kept(tmp_path):
  images = [exports.encoded(1), exports.encoded(2)]
  write(tmp_path / 'with', logs.asked(images), keep_images=True)
  write(tmp_path / 'without', logs.asked(images))
  found = {
    name: [row['image'] for row in logged_requests.rows(tmp_path / name, images=True)]
    for name in ('with', 'without')
  }
  assert found == {'with': images, 'without': [None, None]}


def test_tfdv_takes_the_table_as_it_is(tmp_path):
  write(
    tmp_path,
    *(logs.asked([exports.encoded(seed, width=20 + seed)], ['red']) for seed in range(3)),
    logs.asked([exports.encoded(9)], ['blue']),
  )
  statistics = tfdv.generate_statistics_from_dataframe(logged_requests.frame(tmp_path))
  (dataset,) = statistics.datasets
  assert dataset.num_examples == 4
  found = {one.path.step[0]: one for one in dataset.features}
  assert found[features.WIDTH].num_stats.max == 23
  shares = {one.value: one.frequency for one in found['predicted'].string_stats.top_values}
  assert shares == {'red': 3, 'blue': 1}
  assert found['low_confidence'].num_stats.mean == 0


def test_nothing_to_read_is_an_error(tmp_path):
  with pytest.raises(DataError, match=r'expected a request log.*no file \*\.tfrecord'):
    list(logged_requests.rows(tmp_path))


def test_a_damaged_file_is_named(tmp_path):
  write(tmp_path, logs.asked([exports.encoded(1)]))
  (path,) = log_files.whole(tmp_path)
  path.write_bytes(path.read_bytes()[:-1])
  with pytest.raises(DataError, match=f'{path.name}: expected records'):
    list(logged_requests.rows(path))

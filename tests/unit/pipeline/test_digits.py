import csv
import os

import numpy as np
import pytest
import tensorflow_data_validation as tfdv
from PIL import Image
from sklearn import datasets as sklearn_datasets

from pipeline import digits
from schemas.errors import DataError


@pytest.fixture
def root(tmp_path):
  digits.write(tmp_path / 'digits')
  return tmp_path / 'digits'


def _times(root):
  return {path: path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file()}


def test_the_files_are_scikit_learns_digits(root):
  expected = sklearn_datasets.load_digits()
  with open(root / 'labels.csv', newline='') as stream:
    rows = list(csv.DictReader(stream))
  assert len(rows) == len(expected.target) == 1797
  assert [int(row['label']) for row in rows] == expected.target.tolist()
  for number in (0, 7, 1796):
    with Image.open(root / 'images' / rows[number]['filename']) as image:
      assert image.format == 'PNG'
      pixels = np.asarray(image)
    # The 17 values of scikit-learn come back without loss.
    np.testing.assert_array_equal(np.round(pixels / 255 * 16), expected.images[number])
  assert sorted(os.listdir(root.parent)) == ['digits']


def test_no_two_images_are_the_same(root):
  contents = [path.read_bytes() for path in (root / 'images').iterdir()]
  assert len(set(contents)) == len(contents) == 1797


def test_what_is_right_is_left_alone(root, capsys):
  before = _times(root)
  digits.write(root)
  assert _times(root) == before
  assert capsys.readouterr() == ('', '')


def test_what_differs_is_put_right_and_the_lock_stays(root, tmp_path):
  (root / 'splits.lock.csv').write_text('kept')
  (root / 'images' / 'digit_0003.png').write_bytes(b'broken')
  (root / 'images' / 'digit_0004.png').unlink()
  labels = (root / 'labels.csv').read_text()
  (root / 'labels.csv').write_text(labels.replace('0005.png,5', '0005.png,6'))
  digits.write(root)
  digits.write(tmp_path / 'again')
  for path in (tmp_path / 'again').rglob('*.*'):
    assert (root / path.relative_to(tmp_path / 'again')).read_bytes() == path.read_bytes()
  assert (root / 'splits.lock.csv').read_text() == 'kept'
  assert sorted(os.listdir(root)) == ['images', 'labels.csv', 'splits.lock.csv']


def test_another_data_set_is_not_overwritten(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label\nmine.png,cat\n')
  with pytest.raises(DataError, match=r"which holds 'mine\.png'"):
    digits.write(tmp_path)
  assert (tmp_path / 'labels.csv').read_text() == 'filename,label\nmine.png,cat\n'


def test_images_without_labels_are_not_mixed_with_digits(tmp_path):
  (tmp_path / 'cat').mkdir()
  (tmp_path / 'cat' / 'mine.png').touch()
  with pytest.raises(DataError, match='mine'):
    digits.write(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(DataError, match='data.root'):
    digits.write(tmp_path / 'file' / 'digits')


def test_the_bundled_schema_knows_ten_digits():
  schema = tfdv.load_schema_text(
    os.path.join(os.path.dirname(digits.__file__), '../schemas/digits/schema.pbtxt')
  )
  [label] = [feature for feature in schema.feature if feature.name == 'label']
  assert list(label.string_domain.value) == [str(digit) for digit in range(10)]

"""A second look at the same candidate is served from the record."""

import numpy as np
import pytest

from components.evaluator import looks


@pytest.fixture
def export(tmp_path):
  folder = tmp_path / 'export'
  (folder / 'variables').mkdir(parents=True)
  (folder / 'saved_model.pb').write_bytes(b'graph')
  (folder / 'variables' / 'variables.data-00000-of-00001').write_bytes(b'weights')
  (folder / 'variables' / 'variables.index').write_bytes(b'index')
  return folder


class Model:
  """Counts how often it is asked."""

  asked = 0

  def __call__(self):
    self.asked += 1
    return np.full((2, 3), self.asked, np.float32)


def test_a_model_is_asked_once_about_one_test_set(tmp_path, export):
  record, model = looks.Record(tmp_path / 'looks'), Model()
  first, known = record.answers('images', export, model)
  assert not known
  again, known = looks.Record(tmp_path / 'looks').answers('images', export, model)
  assert known and model.asked == 1
  np.testing.assert_array_equal(first, again)
  assert not record.answers('other images', export, model)[1]
  (export / 'saved_model.pb').write_bytes(b'another graph')
  assert not record.answers('images', export, model)[1]
  assert model.asked == 3


def test_a_damaged_record_is_not_trusted(tmp_path, export):
  record, model = looks.Record(tmp_path / 'looks'), Model()
  record.answers('images', export, model)
  (path,) = (tmp_path / 'looks' / 'images').iterdir()
  path.write_bytes(path.read_bytes()[:-5])
  answers, known = record.answers('images', export, model)
  assert not known and model.asked == 2
  np.testing.assert_array_equal(np.load(path), answers)


def test_without_a_folder_nothing_is_kept(export):
  record, model = looks.Record(None), Model()
  assert [record.answers('images', export, model)[1] for _ in range(2)] == [False, False]


def test_ids_labels_and_their_order_are_the_test_set():
  first = looks.images_sha256([('a', 'cat'), ('b', 'dog')])
  assert first == looks.images_sha256([('a', 'cat'), ('b', 'dog')])
  assert len({first, looks.images_sha256([('b', 'dog'), ('a', 'cat')]),
              looks.images_sha256([('a', 'cat'), ('b', 'cat')])}) == 3  # fmt: skip

"""Looks at a test set are counted by test set and candidate."""

import pytest
from tfx.orchestration import metadata

import components
from pipeline import looks_at_test


@pytest.fixture
def store(tmp_path):
  """Returns add(test set, weights), which records one evaluation, and the metadata file."""
  path = tmp_path / 'metadata.sqlite'

  def add(test: str, weights: str) -> None:
    from ml_metadata.proto import metadata_store_pb2 as mlmd
    from tfx.orchestration.portable.mlmd import common_utils

    artifact = components.Predictions()
    artifact.set_string_custom_property('test_sha256', test)
    artifact.set_string_custom_property('weights_sha256', weights)
    connection = metadata.sqlite_metadata_connection_config(str(path))
    with metadata.Metadata(connection) as handle:
      kind = common_utils.register_type_if_not_exist(handle, artifact.artifact_type)
      row = mlmd.Artifact()
      row.CopyFrom(artifact.mlmd_artifact)
      row.type_id = kind.id
      handle.store.put_artifacts([row])

  return add, tmp_path


def test_candidates_are_told_apart_by_their_weights_and_test_sets_by_their_images(store):
  add, root = store
  for test, weights in [('t', 'w1'), ('t', 'w1'), ('t', 'w2'), ('t', 'w3'), ('other', 'w4')]:
    add(test, weights)
  found = looks_at_test.count(root, 't', False)
  assert (found.looks, found.candidates) == (4, 3)
  # Bonferroni, by hand.
  assert found.level == pytest.approx(0.05 / 3)
  assert '3 candidates' in found.as_dict()['correction']
  assert '0.0167' in found.as_dict()['correction']


def test_one_candidate_calls_for_no_correction(store):
  add, root = store
  add('t', 'w1')
  found = looks_at_test.count(root, 't', True).as_dict()
  assert found['correction'] is None and found['level'] == 0.05 and found['from_record']

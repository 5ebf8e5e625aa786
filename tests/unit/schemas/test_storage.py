"""Addresses that cannot be read and written as folders are refused with the reason."""

import pytest

from schemas import storage
from schemas.errors import ConfigError
from schemas.loader import build_config


@pytest.mark.parametrize('text', ['/data/x', 'runs/x', '~/x', './a:b', 'C', 'odd name: x/y'])
def test_a_path_is_a_path(text):
  storage.check('key', text)
  assert storage.scheme(text) == ''


@pytest.mark.parametrize(
  'text, reason',
  [
    ('s3://bucket/x', 'TensorFlow has no file system for s3'),
    ('S3://bucket/x', 'TensorFlow has no file system for s3'),
    ('s3:/bucket/x', 'TensorFlow has no file system for s3'),
    ('hdfs://host/x', 'TensorFlow has no file system for hdfs'),
    ('abfss://x@y/z', 'TensorFlow has no file system for Azure'),
    ('file:///data', 'Beam and TensorFlow do not agree'),
    ('https://host/x', 'Nothing can be written'),
    ('oss://bucket/x', 'TensorFlow and Beam have no file system for it'),
  ],
)
def test_another_scheme_is_refused_also_where_a_bucket_will_do(text, reason):
  for buckets in (False, True):
    with pytest.raises(ConfigError) as caught:
      storage.check('run.root', text, buckets)
    assert f'Received: {text}. {reason}' in str(caught.value)
    assert 'mount the bucket or share' in str(caught.value)


def test_a_bucket_will_do_only_where_it_is_asked_for():
  storage.check('key', 'gs://bucket/x', buckets=True)
  with pytest.raises(ConfigError, match='or gs://. Received: gs:/bucket'):
    storage.check('key', 'gs:/bucket', buckets=True)
  with pytest.raises(ConfigError, match='files of this machine; do that.'):
    storage.check('key', 'gs://bucket/x', instead='do that')


@pytest.mark.parametrize(
  'key',
  ['run.root', 'run.state', 'data.root', 'data.lock', 'data.schema', 'publish.directory'],
)
@pytest.mark.parametrize('address', ['s3://bucket/x', 'gs://bucket/x'])
def test_each_folder_of_a_config_is_checked(tmp_path, key, address):
  with pytest.raises(ConfigError) as caught:
    build_config({'name': 'x'}, 'test', [f'{key}={address}'], tmp_path)
  assert str(caught.value).startswith(f'{key}: expected a local or shared POSIX path. Received')

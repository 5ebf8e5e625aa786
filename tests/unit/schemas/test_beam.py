"""An engine has what it needs, or the config is refused with what is missing."""

import pytest

from schemas.errors import ConfigError
from schemas.loader import build_config


def build(beam, tmp_path):
  return build_config({'name': 'x', 'beam': beam}, 'test', (), tmp_path)


DATAFLOW = {
  'project': 'p',
  'region': 'europe-west4',
  'temp_location': 'gs://bucket/tmp',
  'staging_location': 'gs://bucket/staging',
  'worker_image': 'registry/sightline:1',
}


def test_without_the_section_it_is_this_process(tmp_path):
  assert build({}, tmp_path).beam.engine == 'local'


@pytest.mark.parametrize(
  'engine, reason',
  [
    ('dask', 'silently loses'),
    ('DaskRunner', 'silently loses'),
    ('ray', 'a prototype'),
    ('prism', 'is downloaded'),
    ('DirectRunner', 'tries to download Prism'),
  ],
)
def test_what_loses_data_or_downloads_is_refused_for_that_reason(tmp_path, engine, reason):
  with pytest.raises(ConfigError) as caught:
    build({'engine': engine}, tmp_path)
  assert f'{engine} is refused' in str(caught.value) and reason in str(caught.value)
  assert 'Expected one of: local, portable, dataflow, flink, spark' in str(caught.value)


def test_another_word_is_an_error(tmp_path):
  with pytest.raises(ConfigError, match='beam.engine should be'):
    build({'engine': 'hadoop'}, tmp_path)


@pytest.mark.parametrize(
  'engine, given, missing',
  [
    ('portable', {}, 'beam.portable.job_endpoint, beam.portable.worker_pool'),
    ('portable', {'job_endpoint': 'a:1'}, 'beam.portable.worker_pool'),
    ('flink', {'master': 'a:1', 'worker_pool': 'a:2'}, 'beam.flink.job_server_jar'),
    ('spark', {'master': 'local', 'job_server_jar': 'x.jar'}, 'beam.spark.worker_pool'),
    *(
      ('dataflow', {key: value for key, value in DATAFLOW.items() if key != name}, name)
      for name in DATAFLOW
    ),
  ],
)
def test_what_is_missing_is_named(tmp_path, engine, given, missing):
  with pytest.raises(ConfigError) as caught:
    build({'engine': engine, engine: given}, tmp_path)
  prefix = '' if missing.startswith('beam') else 'beam.dataflow.'
  assert f'engine {engine} expects {prefix}{missing}. Received: none' in str(caught.value)


@pytest.mark.parametrize(
  'engine, given, key',
  [
    ('portable', {'job_endpoint': 'localhost'}, 'beam.portable.job_endpoint'),
    ('portable', {'worker_pool': 'http://localhost:1'}, 'beam.portable.worker_pool'),
    ('portable', {'check_seconds': 0}, 'beam.portable.check_seconds'),
    ('dataflow', {'temp_location': 's3://bucket/x'}, 'beam.dataflow.temp_location'),
    ('dataflow', {'staging_location': '/tmp/x'}, 'beam.dataflow.staging_location'),
    ('flink', {'version': '1.12'}, 'beam.flink.version'),
    ('spark', {'master': 'yarn'}, 'beam.spark.master'),
    ('dataflow', {'bucket': 'x'}, 'unknown key beam.dataflow.bucket'),
  ],
)
def test_a_value_that_cannot_be_is_refused_whatever_the_engine(tmp_path, engine, given, key):
  with pytest.raises(ConfigError, match=key):
    build({engine: given}, tmp_path)


@pytest.mark.parametrize('engine, master', [('flink', 'jobs:8081'), ('spark', 'spark://m:7077')])
def test_a_jar_has_to_be_there_and_is_found_beside_the_config(tmp_path, engine, master):
  given = {'master': master, 'worker_pool': 'pool:50000', 'job_server_jar': 'jars/server.jar'}
  with pytest.raises(ConfigError) as caught:
    build({'engine': engine, engine: given}, tmp_path)
  text = str(caught.value)
  assert f'beam.{engine}.job_server_jar: expected a .jar file that is there' in text
  assert str(tmp_path / 'jars/server.jar') in text and 'org.apache.beam' in text
  # Of an engine that is not chosen, nothing is asked.
  assert build({engine: {'job_server_jar': 'jars/server.jar'}}, tmp_path).beam.jar() is None
  (tmp_path / 'jars').mkdir()
  (tmp_path / 'jars/server.jar').write_bytes(b'PK')
  given['job_server_jar'] = 'jars/server.jar'
  made = build({'engine': engine, engine: given}, tmp_path)
  assert made.beam.jar() == (f'beam.{engine}.job_server_jar', tmp_path / 'jars/server.jar')

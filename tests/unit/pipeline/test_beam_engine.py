"""The arguments of each engine, read back by Beam's own parser."""

import logging

import pytest
from apache_beam.options import pipeline_options

from pipeline import beam_engine
from pipeline.create_pipeline import create_pipeline
from schemas import loader
from schemas.errors import ConfigError

POOL = {
  'environment_type': 'EXTERNAL',
  'environment_config': 'pool:50000',
  # Workers that are there already are sent no sources.
  'sdk_container_image': 'none',
}
DATAFLOW = {
  'project': 'p',
  'region': 'europe-west4',
  'temp_location': 'gs://bucket/tmp',
  'staging_location': 'gs://bucket/staging',
  'worker_image': 'registry/sightline:1',
  'machine_type': 'n2-standard-8',
  'max_workers': 3,
  'disk_gb': 77,
  'service_account': 'worker@p',
  'subnetwork': 'regions/r/subnetworks/s',
  'experiments': ['one', 'two'],
}
ENGINES = {
  'local': (
    {},
    {
      'runner': 'apache_beam.runners.portability.fn_api_runner.FnApiRunner',
      'sdk_container_image': 'none',
    },
  ),
  'portable': (
    {'job_endpoint': 'jobs:1', 'worker_pool': 'pool:50000', 'check_seconds': 7.4},
    {
      'runner': 'apache_beam.runners.portability.portable_runner.PortableRunner',
      'job_endpoint': 'jobs:1',
      'job_server_timeout': 7,
      **POOL,
    },
  ),
  'dataflow': (
    DATAFLOW,
    {
      'runner': 'DataflowRunner',
      'project': 'p',
      'region': 'europe-west4',
      'temp_location': 'gs://bucket/tmp',
      'staging_location': 'gs://bucket/staging',
      'sdk_container_image': 'registry/sightline:1',
      'sdk_location': 'container',
      'machine_type': 'n2-standard-8',
      'max_num_workers': 3,
      'disk_size_gb': 77,
      'service_account_email': 'worker@p',
      'subnetwork': 'regions/r/subnetworks/s',
      'use_public_ips': False,
      'experiments': ['one', 'two'],
    },
  ),
  'flink': (
    {'master': 'jobs:8081', 'version': '2.0', 'worker_pool': 'pool:50000', 'parallelism': 5},
    {
      'runner': 'FlinkRunner',
      'flink_master': 'jobs:8081',
      'flink_version': '2.0',
      'parallelism': 5,
      **POOL,
    },
  ),
  'spark': (
    {'master': 'spark://m:7077', 'worker_pool': 'pool:50000'},
    {'runner': 'SparkRunner', 'spark_master_url': 'spark://m:7077', **POOL},
  ),
}


def config_of(engine, tmp_path, runs_on='local'):
  given = dict(ENGINES[engine][0])
  if engine in ('flink', 'spark'):
    (tmp_path / 'server.jar').touch()
    given['job_server_jar'] = str(tmp_path / 'server.jar')
  beam = {'engine': engine, **({engine: given} if given else {})}
  (tmp_path / 'labels.csv').write_text('filename,label\n')
  tree = {'name': 'x', 'data': {'root': str(tmp_path)}, 'beam': beam, 'run': {'engine': runs_on}}
  return loader.build_config(tree, 'test', working_directory=tmp_path)


@pytest.mark.parametrize('engine', ENGINES)
def test_beam_reads_every_argument_as_it_was_meant(engine, tmp_path, caplog):
  arguments = beam_engine.arguments(config_of(engine, tmp_path).beam)
  expected = dict(ENGINES[engine][1])
  if engine in ('flink', 'spark'):
    expected[f'{engine}_job_server_jar'] = str(tmp_path / 'server.jar')
  with caplog.at_level(logging.WARNING):
    found = pipeline_options.PipelineOptions(list(arguments)).get_all_options(drop_default=True)
  assert 'unparseable' not in caplog.text
  assert {key: found.get(key) for key in expected} == expected
  assert set(found) == set(expected)


def test_beam_complains_about_an_argument_that_it_does_not_know(caplog):
  with caplog.at_level(logging.WARNING):
    pipeline_options.PipelineOptions(['--no_such_flag=1']).get_all_options()
  assert 'unparseable' in caplog.text


def runners(config):
  return {
    node.id: [word for word in node.executor_spec.beam_pipeline_args if '--runner' in word][-1]
    for node in create_pipeline(config).components
    if hasattr(node, 'executor_spec') and hasattr(node.executor_spec, 'beam_pipeline_args')
  }


def test_all_steps_run_where_the_workers_share_the_folders(tmp_path):
  found = runners(config_of('portable', tmp_path))
  assert {'ImageExampleGen', 'StatisticsGen', 'Transform', 'Evaluator'} <= set(found)
  assert {word.rpartition('.')[2] for word in found.values()} == {'PortableRunner'}


def test_what_reads_files_of_this_machine_stays_on_it_with_dataflow(tmp_path):
  found = runners(config_of('dataflow', tmp_path, runs_on='vertex'))
  assert found['StatisticsGen'] == found['Transform'] == '--runner=DataflowRunner'
  assert found['ImageExampleGen'] == found['Evaluator'] == beam_engine.LOCAL[0]


def test_dataflow_is_refused_for_a_run_on_this_machine(tmp_path):
  with pytest.raises(ConfigError, match='dataflow expects artifacts on gs://.*sightline compile'):
    create_pipeline(config_of('dataflow', tmp_path))

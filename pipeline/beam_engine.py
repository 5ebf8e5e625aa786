"""The Beam engine that a config names, as the arguments that Beam reads.

Only `local` and `portable` ever ran where this was written; the arguments of the
others are checked against Beam's own parser, and no more.
"""

from schemas.beam import BeamConfig
from schemas.config import Config
from schemas.errors import ConfigError

# Without an image's name TFX packs its own sources for the workers in every
# component, two seconds each; these workers have them.
_NOTHING_PACKED = '--sdk_container_image=none'
LOCAL = (
  # Named in full: Beam's default runner tries to download another engine first.
  '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner',
  _NOTHING_PACKED,
)
# Their workers have no folder in common with the machine that starts the job.
_WITHOUT_SHARED_FOLDERS = frozenset({'dataflow'})


def arguments(beam: BeamConfig) -> tuple[str, ...]:
  """Returns the arguments for the chosen engine."""
  return {
    'local': lambda: LOCAL,
    'portable': lambda: _portable(beam),
    'dataflow': lambda: _dataflow(beam),
    'flink': lambda: _flink(beam),
    'spark': lambda: _spark(beam),
  }[beam.engine]()


def arguments_for_files(beam: BeamConfig) -> tuple[str, ...]:
  """Returns those of a component whose workers read and write files of this machine.

  Where the engine's workers cannot see them, it runs in the component's own process.
  """
  return LOCAL if beam.engine in _WITHOUT_SHARED_FOLDERS else arguments(beam)


def check_folders(config: Config) -> None:
  """Refuses an engine whose workers cannot read what this machine writes.

  Raises:
    ConfigError: a local run with Dataflow.
  """
  if config.run.engine == 'local' and config.beam.engine in _WITHOUT_SHARED_FOLDERS:
    raise ConfigError(
      f'beam.engine: {config.beam.engine} expects artifacts on gs://. Received: a run on this '
      f'machine, whose artifacts lie in {config.run.root}. Compile it and submit it to Vertex AI: '
      'sightline compile CONFIG --pipeline-root gs://BUCKET/FOLDER; or: --set beam.engine=local'
    )


def _external(worker_pool: str | None) -> tuple[str, ...]:
  """Workers that somebody started: their environment is what they have."""
  return ('--environment_type=EXTERNAL', f'--environment_config={worker_pool}', _NOTHING_PACKED)


def _portable(beam: BeamConfig) -> tuple[str, ...]:
  chosen = beam.portable
  return (
    '--runner=apache_beam.runners.portability.portable_runner.PortableRunner',
    f'--job_endpoint={chosen.job_endpoint}',
    f'--job_server_timeout={max(1, round(chosen.check_seconds))}',
    *_external(chosen.worker_pool),
  )


def _dataflow(beam: BeamConfig) -> tuple[str, ...]:
  chosen = beam.dataflow
  optional = (
    ('--service_account_email', chosen.service_account),
    ('--subnetwork', chosen.subnetwork),
  )
  return (
    '--runner=DataflowRunner',
    f'--project={chosen.project}',
    f'--region={chosen.region}',
    f'--temp_location={chosen.temp_location}',
    f'--staging_location={chosen.staging_location}',
    f'--sdk_container_image={chosen.worker_image}',
    # The image has Beam already.
    '--sdk_location=container',
    f'--worker_machine_type={chosen.machine_type}',
    f'--max_num_workers={chosen.max_workers}',
    f'--disk_size_gb={chosen.disk_gb}',
    *(f'{flag}={value}' for flag, value in optional if value),
    '--use_public_ips' if chosen.public_addresses else '--no_use_public_ips',
    *(f'--experiments={name}' for name in chosen.experiments),
  )


def _flink(beam: BeamConfig) -> tuple[str, ...]:
  chosen = beam.flink
  return (
    '--runner=FlinkRunner',
    f'--flink_master={chosen.master}',
    f'--flink_version={chosen.version}',
    f'--flink_job_server_jar={chosen.job_server_jar}',
    f'--parallelism={chosen.parallelism}',
    *_external(chosen.worker_pool),
  )


def _spark(beam: BeamConfig) -> tuple[str, ...]:
  chosen = beam.spark
  return (
    '--runner=SparkRunner',
    f'--spark_master_url={chosen.master}',
    f'--spark_job_server_jar={chosen.job_server_jar}',
    *_external(chosen.worker_pool),
  )

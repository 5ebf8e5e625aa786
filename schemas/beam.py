"""The section `beam` of the config: where the steps over many images are computed.

One engine is chosen; what it needs stands in the part of its name. Parts of other
engines may stay in the file, but are not asked for anything.
"""

import pathlib
from typing import Annotated, Literal, get_args

import pydantic
from pydantic import Field

from schemas.node import Node

Engine = Literal['local', 'portable', 'dataflow', 'flink', 'spark']
Address = Annotated[str, Field(pattern=r'^[A-Za-z0-9._-]+:[0-9]{1,5}$')]
Bucket = Annotated[str, Field(pattern=r'^gs://[a-z0-9][a-z0-9._-]+(/.*)?$')]
SparkMaster = Annotated[str, Field(pattern=r'^(spark://.+:[0-9]+|local(\[[0-9*]+\])?)$')]
# Of Beam 2.77.
FlinkVersion = Literal['1.19', '1.20', '2.0', '2.1', '2.2']

_REFUSED = {
  'dask': 'it ends well and silently loses what is emitted at the end of a bundle, and all '
  'but the last output',
  'ray': 'Beam has no module for it, and the one outside of Beam is a prototype',
  'prism': 'it is a program that is downloaded and run, another one with each version',
  'direct': 'it tries to download Prism first, and is another engine with a network than without',
}
_NEEDED = {
  'portable': ('job_endpoint', 'worker_pool'),
  'dataflow': ('project', 'region', 'temp_location', 'staging_location', 'worker_image'),
  'flink': ('master', 'worker_pool', 'job_server_jar'),
  'spark': ('master', 'worker_pool', 'job_server_jar'),
}


class PortableConfig(Node):
  """A Beam job service, and workers that are processes of their own."""

  job_endpoint: Address | None = Field(None, description='host:port of the job service')
  worker_pool: Address | None = Field(
    None, description='host:port of the worker pool, as this machine and the job service call it'
  )
  check_seconds: Annotated[float, Field(ge=5)] = Field(
    120.0, description='in which a tiny job has to come back before a run begins'
  )
  step_seconds: Annotated[float, Field(gt=0)] = Field(
    86_400.0, description='that one step may take: a job whose worker died never ends by itself'
  )


class DataflowConfig(Node):
  """Google Cloud Dataflow."""

  project: str | None = Field(None, description='id of the Google Cloud project that pays')
  region: str | None = Field(None, description='such as europe-west4')
  temp_location: Bucket | None = Field(None, description='gs://bucket/folder for temporary files')
  staging_location: Bucket | None = Field(None, description='gs://bucket/folder for what it stages')
  worker_image: str | None = Field(
    None, description='container image of the workers, with Sightline and its lock'
  )
  machine_type: str = Field('n2-standard-4', description='of a worker')
  max_workers: Annotated[int, Field(ge=1)] = Field(
    16, description='machines, at most: it bounds what a run costs'
  )
  disk_gb: Annotated[int, Field(ge=10)] = Field(50, description='of a worker')
  service_account: str | None = Field(None, description='e-mail address that the workers run as')
  subnetwork: str | None = Field(None, description='regions/REGION/subnetworks/NAME')
  public_addresses: bool = Field(False, description='whether workers have public addresses')
  experiments: tuple[str, ...] = Field((), description='of Dataflow, such as use_runner_v2')


class FlinkConfig(Node):
  """An Apache Flink cluster whose task managers share the folders of this machine."""

  master: Address | None = Field(None, description='host:port of its REST server')
  version: FlinkVersion = Field('2.2', description='of Flink, as that of the jar')
  job_server_jar: pathlib.Path | None = Field(
    None, description="Beam's job server for that Flink; never downloaded"
  )
  worker_pool: Address | None = Field(
    None, description='host:port of the worker pool, as each task manager calls it'
  )
  parallelism: Annotated[int, Field(ge=1)] = Field(2, description='task slots that a job takes')


class SparkConfig(Node):
  """An Apache Spark 3 cluster whose executors share the folders of this machine."""

  master: Annotated[str, Field(pattern=r'^(spark://.+:[0-9]+|local(\[[0-9*]+\])?)$')] | None = (
    Field(None, description='spark://host:port')
  )
  job_server_jar: pathlib.Path | None = Field(
    None, description="Beam's job server for Spark 3; never downloaded"
  )
  worker_pool: Address | None = Field(
    None, description='host:port of the worker pool, as each executor calls it'
  )


class BeamConfig(Node):
  """Where the steps over many images are computed."""

  engine: Engine = Field(
    'local', description='local: this process; portable, dataflow, flink, spark: elsewhere'
  )
  portable: PortableConfig = PortableConfig()
  dataflow: DataflowConfig = DataflowConfig()
  flink: FlinkConfig = FlinkConfig()
  spark: SparkConfig = SparkConfig()

  @pydantic.field_validator('engine', mode='before')
  @classmethod
  def _refused_for_a_reason(cls, engine: object) -> object:
    name = str(engine).lower().removesuffix('runner')
    if name in _REFUSED:
      raise ValueError(
        f'{engine} is refused: {_REFUSED[name]}. Expected one of: {", ".join(get_args(Engine))}'
      )
    return engine

  @pydantic.model_validator(mode='after')
  def _has_what_it_needs(self) -> 'BeamConfig':
    part = getattr(self, self.engine, None)
    missing = [name for name in _NEEDED.get(self.engine, ()) if not getattr(part, name)]
    if missing:
      names = ', '.join(f'beam.{self.engine}.{name}' for name in missing)
      raise ValueError(f'engine {self.engine} expects {names}. Received: none')
    return self

  def jar(self) -> tuple[str, pathlib.Path] | None:
    """Returns key and file of the job server that the chosen engine starts, if it starts one."""
    jars = {'flink': self.flink.job_server_jar, 'spark': self.spark.job_server_jar}
    jar = jars.get(self.engine)
    return (f'beam.{self.engine}.job_server_jar', jar) if jar else None

"""Compiles the pipeline for Kubeflow Pipelines v2, and checks the file without a cluster.

Nothing outside this machine is touched: no bucket, no registry, no server. The
run's code is what the container image holds, so nothing is packed here either.

TFX and kfp are imported inside the functions, as in every module here that the
command line imports when it starts: they cost seconds.
"""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import re
import tempfile
from typing import Any, Literal

import yaml

from pipeline import weights
from pipeline.kubeflow import lint
from schemas import storage
from schemas.config import Config
from schemas.errors import ConfigError, RunError

# What Kubeflow accepts as a pipeline's name.
_NAME = re.compile(r'[a-z][-a-z0-9]{0,127}')
_SUFFIXES = ('.json', '.yaml', '.yml')
Target = Literal['vertex', 'kfp']
# Where a run may write: what is mounted or copied in its containers, see kubeflow/mounts.py.
_SCHEMES = {'vertex': ('gs://',), 'kfp': ('gs://', 'minio://', 's3://')}


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What lies in a compiled file.

  Attributes:
    path: the file.
    tasks: names of the steps, sorted.
    parameters: run parameters that a submission may set, name to default; it has to set
      those whose default is None.
    image: the container image of the components.
    pipeline_root: where the run writes; empty when the submission says so.
    resolvers: steps that only Vertex AI can run; the open-source backend
      refuses any resolver.
  """

  path: pathlib.Path
  tasks: tuple[str, ...]
  parameters: dict[str, Any]
  image: str
  pipeline_root: str
  resolvers: tuple[str, ...]


def default_image() -> str:
  """Returns the name of the image that holds this version of Sightline and its lock.

  TFX's own image will not do: it holds another Python and turns Keras 3 off.
  """
  return f'sightline:{importlib.metadata.version("sightline")}'


def compile_pipeline(
  config: Config,
  output: pathlib.Path | str,
  pipeline_root: str | None = None,
  image: str | None = None,
  target: Target = 'vertex',
) -> Compiled:
  """Compiles one experiment.

  Args:
    config: the experiment; its `run.engine` is taken to be the target.
    output: the file to write: .yaml is the pipeline alone, which Kubeflow
      Pipelines and Vertex AI accept; .json wraps it as a job, for Vertex AI.
    pipeline_root: where the run writes, such as gs://bucket/path; without it
      the submission has to say so.
    image: the container image; by default `default_image()`.
    target: who runs it: Vertex AI Pipelines, or the open-source Kubeflow Pipelines.

  Returns:
    What the file holds, read back from it.

  Raises:
    ConfigError: the name, the root or the file name cannot be used there.
    RunError: the compiled file does not pass the check; nothing is written.
  """
  output = pathlib.Path(output)
  if output.suffix not in _SUFFIXES:
    raise ConfigError(
      f'--output: expected a name that ends in {", ".join(_SUFFIXES)}. Received: {output}.'
    )
  if target == 'kfp' and output.suffix == '.json':
    raise ConfigError(
      f'--output: expected .yaml, the pipeline alone, for --target kfp. Received: {output}.'
    )
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename: a reader sees the
    # whole file or none.
    with tempfile.TemporaryDirectory(prefix='.compile-', dir=output.parent) as folder:
      draft = pathlib.Path(folder, output.name)
      pipeline = kubeflow_pipeline(config, pipeline_root, target)
      job = kubeflow_runner(draft, image).run(pipeline, write_out=False)
      _set_defaults(job, pipeline)
      _set_outputs(job)
      if pipeline_root:
        # The .yaml holds the pipeline without its job, which names the root otherwise.
        job['pipelineSpec']['defaultPipelineRoot'] = pipeline_root
      _write(job, draft)
      compiled = read_compiled(draft, target)
      os.replace(draft, output)
  except OSError as error:
    raise ConfigError(
      f'--output: expected a folder that can be written. Received: {output} '
      f'({error.strerror or error}).'
    ) from error
  return dataclasses.replace(compiled, path=output)


def kubeflow_pipeline(config: Config, pipeline_root: str | None = None, target: Target = 'vertex'):
  """Returns the TFX pipeline of one experiment as Kubeflow runs it.

  Raises:
    ConfigError: the name, the root or a component's resources cannot be used there.
  """
  if not _NAME.fullmatch(config.name):
    raise ConfigError(
      'name: Kubeflow expects a lower-case letter, then lower-case letters, digits and '
      f'dashes. Received: {config.name}. Rename the experiment, or: --set name=...'
    )
  if pipeline_root and not pipeline_root.startswith(_SCHEMES[target]):
    storage.check('--pipeline-root', pipeline_root, buckets=True)
  _check_kept(config, pipeline_root)
  found = weights.resolve(config)
  if pathlib.Path(found).is_absolute():
    raise ConfigError(
      'model.weights: expected auto, imagenet, bundled or none, which an image can find. '
      f'Received: {found}, a file of this machine.'
    )
  from pipeline import create_pipeline
  from pipeline.kubeflow import resources

  run = config.run.model_copy(update={'engine': target})
  pipeline = create_pipeline.create_pipeline(config.model_copy(update={'run': run}))
  resources.attach(pipeline.components, config.kubeflow.resources, target)
  # The config's own root is a folder of this machine.
  pipeline.pipeline_info.pipeline_root = pipeline_root or ''
  return pipeline


def _check_kept(config: Config, pipeline_root: str | None) -> None:
  """Refuses a state folder that would be gone with each container, or artifacts out of reach."""
  if config.run.state is None:
    raise ConfigError(
      'run.state: expected a folder that all pods mount, such as /gcs/BUCKET/state on Vertex AI. '
      'Received: none. Hashes, checkpoints and answers to test images would be gone with each '
      'container. Name it: --set run.state=/MOUNT/state'
    )
  if config.beam.engine == 'dataflow' and pipeline_root and storage.scheme(pipeline_root) != 'gs':
    raise ConfigError(
      f'--pipeline-root: beam.engine dataflow expects gs://. Received: {pipeline_root}. Its '
      'workers see no other folder.'
    )


def kubeflow_runner(output: pathlib.Path | str, image: str | None = None):
  """Returns TFX's runner, which writes `output` when its `run` is called."""
  from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

  from pipeline.kubeflow import container, expectation

  output = pathlib.Path(output)
  return kubeflow_v2_dag_runner.KubeflowV2DagRunner(
    kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
      default_image=image or default_image(),
      default_commands=[
        *container.COMMAND,
        container.EXPECT,
        expectation.compiled_here().to_json(),
      ],
      use_pipeline_spec_2_1=True,
    ),
    output_dir=str(output.parent),
    output_filename=output.name,
  )


def read_compiled(path: pathlib.Path, target: Target = 'vertex') -> Compiled:
  """Reads a compiled file and checks it as strictly as that is possible offline.

  Raises:
    RunError: it cannot be read, or `check_job` refuses it for the target.
  """
  try:
    tree = yaml.safe_load(path.read_text(encoding='utf-8'))
  except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
    raise RunError(f'{path}: expected a compiled pipeline. Received: {error}') from error
  if not isinstance(tree, dict):
    raise RunError(f'{path}: expected a compiled pipeline. Received: {type(tree).__name__}.')
  job = tree if 'pipelineSpec' in tree else {'pipelineSpec': tree}
  check_job(job, str(path), target)
  spec = job['pipelineSpec']
  executors = spec['deploymentSpec']['executors']
  images = {
    executor['container']['image'] for executor in executors.values() if 'container' in executor
  }
  if len(images) != 1:
    raise RunError(f'{path}: expected one container image. Received: {sorted(images)}.')
  inputs = spec['root'].get('inputDefinitions', {}).get('parameters', {})
  return Compiled(
    path=path,
    tasks=tuple(sorted(spec['root']['dag']['tasks'])),
    parameters={name: value.get('defaultValue') for name, value in inputs.items()},
    image=images.pop(),
    pipeline_root=spec.get('defaultPipelineRoot', ''),
    resolvers=lint.resolvers(spec),
  )


def _set_defaults(job: dict, pipeline) -> None:
  """Gives each run parameter the default that TFX's compiler leaves out."""
  from tfx.orchestration import data_types

  inputs = job['pipelineSpec']['root'].get('inputDefinitions', {}).get('parameters', {})
  for component in pipeline.components:
    for value in component.exec_properties.values():
      if isinstance(value, data_types.RuntimeParameter) and value.default is not None:
        inputs[value.name]['defaultValue'] = value.default


def _set_outputs(job: dict) -> None:
  """Tells each container the types of what it makes, which a backend may leave out."""
  from pipeline.kubeflow import container

  spec = job['pipelineSpec']
  for component in spec['components'].values():
    executor = spec['deploymentSpec']['executors'][component['executorLabel']]
    if 'container' in executor:
      # Not on one line: two braces in a row would look like a placeholder.
      outputs = json.dumps(component.get('outputDefinitions', {}), indent=1, sort_keys=True)
      executor['container']['args'] += [container.OUTPUTS_SPEC, outputs]


def _write(job: dict, path: pathlib.Path) -> None:
  if path.suffix == '.json':
    path.write_text(json.dumps(job, indent=1, sort_keys=True), encoding='utf-8')
    return
  spec = job['pipelineSpec']
  header = f'# Pipeline {spec["pipelineInfo"]["name"]}, compiled by Sightline for Kubeflow v2.\n'
  path.write_text(header + yaml.safe_dump(spec, sort_keys=True), encoding='utf-8')


def check_job(job: dict, source: str, target: Target = 'vertex') -> None:
  """Refuses a job that Kubeflow's message types, kfp's loader or the backend do not accept.

  A strict parse does not see inside fields of type Struct, where an unknown key
  passes; the pipeline and its deployment are therefore parsed on their own.

  Args:
    job: a PipelineJob as plain values.
    source: stands at the head of each error.
    target: whose backend is meant.

  Raises:
    RunError: with the part that was refused and why.
  """
  import kfp.components
  from google.protobuf import json_format
  from kfp.pipeline_spec import pipeline_spec_pb2

  spec = job['pipelineSpec']
  parts: tuple[tuple[str, dict, Any], ...] = (
    ('job', job, pipeline_spec_pb2.PipelineJob()),
    ('pipelineSpec', spec, pipeline_spec_pb2.PipelineSpec()),
    (
      'deploymentSpec',
      spec.get('deploymentSpec', {}),
      pipeline_spec_pb2.PipelineDeploymentConfig(),
    ),
  )
  for name, part, message in parts:
    try:
      json_format.ParseDict(part, message, ignore_unknown_fields=False)
    except json_format.ParseError as error:
      raise RunError(
        f'{source}: {name}: expected what Kubeflow Pipelines v2 reads. Received: {error}'
      ) from error
  lint.check(spec, source, target)
  # Through JSON, because the loader takes text and the values hold no other types.
  text = yaml.safe_dump(json.loads(json.dumps(spec)))
  try:
    kfp.components.load_component_from_text(text)
  except (ValueError, TypeError, KeyError, AttributeError) as error:
    raise RunError(f'{source}: kfp cannot load it: {error}') from error

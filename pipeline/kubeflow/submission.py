"""Hands a compiled file to Vertex AI Pipelines or to Kubeflow Pipelines.

Neither can be reached where this was written: what is sent, and what is said where nobody
answers, is tested; that a cluster accepts it is not.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.errors import ConfigError, RunError


@dataclasses.dataclass(frozen=True)
class Destination:
  """Where a run is created.

  Attributes:
    project: of Google Cloud; Vertex AI alone.
    region: such as europe-west4; Vertex AI alone.
    service_account: that the run has; by default the cluster's own.
    endpoint: address of the API of Kubeflow Pipelines.
    namespace: of a multi-user Kubeflow.
  """

  project: str | None = None
  region: str | None = None
  service_account: str | None = None
  endpoint: str | None = None
  namespace: str | None = None


def parameters(given: Sequence[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
  """Reads NAME=VALUE rows; a value has the type of the default.

  Args:
    given: rows.
    defaults: run parameters of the compiled file; None is one without a default, a text.

  Raises:
    ConfigError: a row is none, a name is unknown, a value of another type, or a parameter
      without a default is missing.
  """
  values: dict[str, Any] = {}
  for row in given:
    name, equals, text = row.partition('=')
    if not equals or name not in defaults:
      raise ConfigError(
        f'--param {row}: expected NAME=VALUE, NAME one of {", ".join(sorted(defaults))}.'
      )
    kind = str if defaults[name] is None else type(defaults[name])
    try:
      values[name] = kind(text)
    except ValueError as error:
      raise ConfigError(f'--param {row}: expected a value of type {kind.__name__}.') from error
  missing = [name for name, default in defaults.items() if default is None and name not in values]
  if missing:
    raise ConfigError(
      f'--param: expected a value for {", ".join(missing)}, which has no default. '
      f'Received: none. For instance: --param {missing[0]}=/gcs/bucket/{missing[0]}'
    )
  return values


def to_vertex(
  path: pathlib.Path,
  name: str,
  pipeline_root: str,
  values: Mapping[str, Any],
  destination: Destination,
) -> str:
  """Creates a run on Vertex AI Pipelines; returns its resource name.

  Raises:
    ConfigError: project, region, root or credentials are missing.
    RunError: Vertex AI refuses the run or does not answer.
  """
  for option, value in (('--project', destination.project), ('--region', destination.region)):
    if not value:
      raise ConfigError(f'{option}: expected a value, for --submit to Vertex AI. Received: none.')
  if not pipeline_root.startswith('gs://'):
    raise ConfigError(
      '--pipeline-root: expected gs://bucket/path, for --submit to Vertex AI. '
      f'Received: {pipeline_root or "none"}.'
    )
  import google.auth
  from google.api_core import exceptions
  from google.auth import exceptions as auth_exceptions

  try:
    credentials, _ = google.auth.default(scopes=['https://www.googleapis.com/auth/cloud-platform'])
  except auth_exceptions.DefaultCredentialsError as error:
    raise ConfigError(
      '--submit: expected credentials of Google Cloud. Received: none on this machine. '
      'Next: gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS.'
    ) from error
  job = vertex_job(path, name, pipeline_root, values, destination, credentials)
  try:
    job.submit(service_account=destination.service_account)
  except (exceptions.GoogleAPIError, auth_exceptions.GoogleAuthError, OSError) as error:
    raise RunError(
      f'--submit: expected Vertex AI in {destination.region} to accept the run. Received: {error}'
    ) from error
  return job.resource_name


def vertex_job(
  path: pathlib.Path,
  name: str,
  pipeline_root: str,
  values: Mapping[str, Any],
  destination: Destination,
  credentials,
):
  """Returns the job as the library reads it from a compiled file; nothing is sent.

  Raises:
    RunError: the library does not accept the file or a parameter.
  """
  from google.cloud import aiplatform

  try:
    return aiplatform.PipelineJob(
      display_name=name,
      template_path=str(path),
      pipeline_root=pipeline_root,
      parameter_values=dict(values),
      project=destination.project,
      location=destination.region,
      credentials=credentials,
    )
  except (ValueError, KeyError) as error:
    raise RunError(f'{path}: Vertex AI cannot read it: {error}') from error


def to_kfp(
  path: pathlib.Path,
  name: str,
  pipeline_root: str,
  values: Mapping[str, Any],
  destination: Destination,
) -> str:
  """Creates a run on Kubeflow Pipelines; returns its id.

  Raises:
    ConfigError: the endpoint is missing.
    RunError: it does not answer, or refuses the run.
  """
  if not destination.endpoint:
    raise ConfigError(
      '--endpoint: expected the address of the API of Kubeflow Pipelines, for --submit. '
      'Received: none. Next: kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80, and '
      '--endpoint http://localhost:8080'
    )
  import kfp
  import kfp_server_api
  import urllib3

  try:
    client = kfp.Client(host=destination.endpoint, namespace=destination.namespace or 'kubeflow')
    done = client.create_run_from_pipeline_package(
      str(path),
      arguments=dict(values),
      experiment_name=name,
      namespace=destination.namespace,
      pipeline_root=pipeline_root or None,
      service_account=destination.service_account,
    )
  except (
    kfp_server_api.ApiException,
    urllib3.exceptions.HTTPError,
    # What the client raises after its own tries.
    RuntimeError,
    TimeoutError,
    ValueError,
  ) as error:
    raise RunError(
      f'--endpoint {destination.endpoint}: expected Kubeflow Pipelines to accept the run. '
      f'Received: {error}'
    ) from error
  return done.run_id

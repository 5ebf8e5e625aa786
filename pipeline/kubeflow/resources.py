"""Cores, memory and accelerators of each component's container."""

import difflib
import re
from collections.abc import Iterable, Mapping

from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.components.base import base_component, base_node

from schemas.config import ResourcesConfig
from schemas.errors import ConfigError

ResourceSpec = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec

_FACTORS = {'M': 1e-3, 'G': 1.0, 'T': 1e3, 'Mi': 2**20 / 1e9, 'Gi': 2**30 / 1e9, 'Ti': 2**40 / 1e9}


def attach(
  nodes: Iterable[base_node.BaseNode], wanted: Mapping[str, ResourcesConfig], target: str
) -> None:
  """Has each component ask for what the config says.

  Args:
    nodes: of the pipeline.
    wanted: by id of a node.
    target: vertex or kfp; they name accelerators in their own ways.

  Raises:
    ConfigError: there is no such component, or the accelerator's name is of the other target.
  """
  components = {node.id: node for node in nodes if isinstance(node, base_component.BaseComponent)}
  for name, resources in wanted.items():
    if name not in components:
      near = difflib.get_close_matches(name, list(components), n=1)
      hint = f' Did you mean {near[0]}?' if near else ''
      raise ConfigError(
        f'kubeflow.resources: expected one of {", ".join(components)}. Received: {name}.{hint}'
      )
    _check_accelerator(name, resources, target)
    components[name].with_platform_config(spec(resources))


def spec(resources: ResourcesConfig):
  """Returns a ResourceSpec: numbers, which Vertex AI reads, and text, which newer backends read.

  Memory as a number is in 10^9 bytes.
  """
  result = ResourceSpec()
  if resources.cpu is not None:
    result.cpu_limit = result.cpu_request = resources.cpu
    result.resource_cpu_limit = result.resource_cpu_request = f'{resources.cpu:g}'
  if resources.memory is not None:
    result.memory_limit = result.memory_request = gigabytes(resources.memory)
    result.resource_memory_limit = result.resource_memory_request = resources.memory
  if resources.accelerator is not None:
    result.accelerator.type = result.accelerator.resource_type = resources.accelerator
    result.accelerator.count = resources.count
    result.accelerator.resource_count = str(resources.count)
  return result


def gigabytes(text: str) -> float:
  """Returns a quantity such as 512Mi in 10^9 bytes."""
  found = re.fullmatch(r'(\d+)([A-Za-z]+)', text)
  assert found is not None  # the config's pattern asks for it
  return int(found[1]) * _FACTORS[found[2]]


def _check_accelerator(name: str, resources: ResourcesConfig, target: str) -> None:
  kind = resources.accelerator
  # A resource of Kubernetes has its vendor's domain before a slash.
  if kind is not None and ('/' in kind) != (target == 'kfp'):
    example = 'nvidia.com/gpu' if target == 'kfp' else 'NVIDIA_TESLA_T4'
    raise ConfigError(
      f'kubeflow.resources.{name}.accelerator: expected a name as {target} knows it, such as '
      f'{example}. Received: {kind}.'
    )

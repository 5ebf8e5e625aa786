"""The files of deploy/, read as the tests need them."""

import json
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).parents[3]
DEPLOY = ROOT / 'deploy'
BIN = pathlib.Path(sys.executable).parent
REST, GRPC = 8501, 8500

# Of tensorflow_serving/model_servers/main.cc at 9d981c5.
TENSORFLOW_MODEL_SERVER_FLAGS = frozenset(
  """
  allow_version_labels_for_unavailable_models batching_parameters_file enable_batching
  enable_grpc_healthcheck_service enable_model_warmup enable_per_model_batching_parameters
  enable_profiler enable_serialization_as_tensor_content enable_signature_method_name_check
  file_system_poll_wait_seconds flush_filesystem_caches
  force_allow_any_version_labels_for_unavailable_models grpc_channel_arguments grpc_max_threads
  grpc_socket_path load_retry_interval_micros max_num_load_retries mixed_precision
  model_base_path model_config_file model_config_file_poll_wait_seconds model_name
  monitoring_config_file num_load_threads num_request_iterations_for_warmup
  num_tflite_interpreters_per_pool num_tflite_pools num_unload_threads
  per_process_gpu_memory_fraction platform_config_file port prefer_tflite_model
  remove_unused_fields_from_bundle_metagraph rest_api_enable_cors_support rest_api_num_threads
  rest_api_port rest_api_timeout_in_ms saved_model_tags skip_initialize_tpu ssl_config_file
  tensorflow_inter_op_parallelism tensorflow_intra_op_parallelism
  tensorflow_session_config_file tensorflow_session_parallelism thread_pool_factory_config_file
  use_alts_credentials version xla_cpu_compilation_enabled xla_gpu_compilation_enabled
  """.split()
)


def documents(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the documents of a YAML file."""
  return list(yaml.safe_load_all(path.read_text(encoding='utf-8')))


def of_kind(folder: str, kind: str) -> list[dict[str, Any]]:
  """Returns the Kubernetes objects of one kind in a folder of deploy/kubernetes."""
  paths = sorted((DEPLOY / 'kubernetes' / folder).glob('*.yaml'))
  found = [document for path in paths for document in documents(path)]
  return [document for document in found if document['kind'] == kind]


def instructions(dockerfile: pathlib.Path) -> list[tuple[str, str]]:
  """Returns (instruction, rest of it) of a Dockerfile, with its long lines put together."""
  lines = dockerfile.read_text(encoding='utf-8').splitlines()
  text = '\n'.join(line for line in lines if not line.lstrip().startswith('#'))
  joined = re.sub(r'\\\n\s*', ' ', text)
  return [(line.split()[0], line.split(None, 1)[1]) for line in joined.splitlines() if line]


def one(dockerfile: pathlib.Path, instruction: str) -> str:
  """Returns the last of an instruction, which is the one that holds."""
  return [rest for name, rest in instructions(dockerfile) if name == instruction][-1]


def command(dockerfile: pathlib.Path) -> list[str]:
  """Returns what process 1 is started with."""
  return json.loads(one(dockerfile, 'ENTRYPOINT')) + json.loads(one(dockerfile, 'CMD'))


def health_command(dockerfile: pathlib.Path) -> list[str]:
  """Returns what Docker runs to see whether the container is well."""
  return json.loads(one(dockerfile, 'HEALTHCHECK').partition(' CMD ')[2])


def flags(arguments: list[str]) -> dict[str, str]:
  """Returns {name without dashes: value} of arguments such as --port=8500."""
  given = [argument for argument in arguments if argument.startswith('--')]
  return {name: value for name, _, value in (flag[2:].partition('=') for flag in given)}


def started_servers() -> Iterator[tuple[str, str, dict[str, str]]]:
  """Yields (where, which server, its flags) of every place that starts one."""
  for folder, server in (('server', 'sightline'), ('tensorflow_serving', 'tensorflow')):
    yield f'{folder}/Dockerfile', server, flags(command(DEPLOY / folder / 'Dockerfile'))
    (deployment,) = of_kind(folder, 'Deployment')
    (container,) = deployment['spec']['template']['spec']['containers']
    yield f'kubernetes/{folder}', server, flags(container['args'])
  services = documents(DEPLOY / 'compose.yaml')[0]['services']
  yield 'compose', 'tensorflow', flags(services['tensorflow-serving']['command'])
  runtime = documents(DEPLOY / 'kserve/inference_service.yaml')[0]
  yield 'kserve', 'sightline', flags(runtime['spec']['containers'][0]['args'])

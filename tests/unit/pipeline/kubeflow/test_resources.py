"""What a component's container asks for."""

import pydantic
import pytest
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.types import channel, standard_artifacts

from pipeline.kubeflow import resources
from schemas.config import ResourcesConfig
from schemas.errors import ConfigError


@pytest.fixture
def node():
  return StatisticsGen(examples=channel.Channel(type=standard_artifacts.Examples))


@pytest.mark.parametrize(
  ('text', 'expected'),
  [('16G', 16.0), ('512M', 0.512), ('2Ti', 2 * 1024**4 / 1e9), ('1Gi', 1.073741824)],
)
def test_memory_as_a_number_is_in_gigabytes(text, expected):
  assert resources.gigabytes(text) == pytest.approx(expected, rel=1e-12)


def test_numbers_and_text_say_the_same(node):
  asked = ResourcesConfig(cpu=0.5, memory='2G', accelerator='nvidia.com/gpu', count=2)
  resources.attach([node], {'StatisticsGen': asked}, 'kfp')
  found = node.platform_config
  assert (found.cpu_limit, found.cpu_request, found.resource_cpu_limit) == (0.5, 0.5, '0.5')
  assert (found.memory_limit, found.resource_memory_request) == (2.0, '2G')
  assert (found.accelerator.type, found.accelerator.count) == ('nvidia.com/gpu', 2)
  assert (found.accelerator.resource_type, found.accelerator.resource_count) == (
    'nvidia.com/gpu',
    '2',
  )


def test_what_is_left_out_is_not_asked_for():
  found = resources.spec(ResourcesConfig(memory='2G'))
  assert {field.name for field, _ in found.ListFields()} == {
    'memory_limit',
    'memory_request',
    'resource_memory_limit',
    'resource_memory_request',
  }


@pytest.mark.parametrize(
  ('name', 'asked', 'target', 'words'),
  [
    ('StatisticGen', {'cpu': 1}, 'kfp', 'Received: StatisticGen. Did you mean StatisticsGen?'),
    (
      'StatisticsGen',
      {'accelerator': 'NVIDIA_TESLA_T4', 'count': 1},
      'kfp',
      'StatisticsGen.accelerator: .* nvidia.com/gpu. Received: NVIDIA_TESLA_T4',
    ),
    (
      'StatisticsGen',
      {'accelerator': 'nvidia.com/gpu', 'count': 1},
      'vertex',
      'as vertex knows it, such as NVIDIA_TESLA_T4',
    ),
  ],
)
def test_what_nobody_could_give_is_refused(node, name, asked, target, words):
  with pytest.raises(ConfigError, match=words):
    resources.attach([node], {name: ResourcesConfig(**asked)}, target)


@pytest.mark.parametrize(
  'asked',
  [{'cpu': 0}, {'memory': '16'}, {'memory': '0G'}, {'memory': 'lots'}, {'count': 1}]
  + [{'accelerator': 'x'}, {'accelerator': 'x', 'count': 0}, {'gpu': 1}],
)
def test_what_the_config_does_not_take(asked):
  with pytest.raises(pydantic.ValidationError):
    ResourcesConfig(**asked)

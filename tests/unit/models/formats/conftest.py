import numpy as np
import pytest

from models.formats.export_graph import ExportGraph
from tests.unit.serving import exports

SEED = 1


@pytest.fixture(scope='session')
def export(tmp_path_factory):
  return exports.write_image_model(tmp_path_factory.mktemp('formats') / '1', seed=SEED)


@pytest.fixture(scope='session')
def graph(export):
  return ExportGraph(export)


@pytest.fixture(scope='session')
def network(graph):
  return graph.network()


@pytest.fixture(scope='session')
def pixels():
  """Pictures of one tint each, with noise: float32 [40, 8, 8, 3], 0..255."""
  draw = np.random.default_rng(3)
  tints = draw.uniform(40, 200, (40, 1, 1, 3))
  noise = draw.normal(0, 25, (40, exports.SIDE, exports.SIDE, 3))
  return np.clip(tints + noise, 0, 255).astype(np.float32)


@pytest.fixture(scope='session')
def answers(pixels):
  """What the network says about them, outside of any export, by the formulas of the outputs."""
  probabilities = np.asarray(exports.network(SEED)(pixels, training=False))
  brightest = probabilities.max(axis=1)
  return {
    'probabilities': probabilities,
    'class_id': probabilities.argmax(axis=1),
    'probability': brightest,
    'ood_score': 1 - brightest,
    'foreign': 1 - brightest > exports.PLAIN.ood_limit,
    'low_confidence': np.zeros(len(pixels), bool),
  }

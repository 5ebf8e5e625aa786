"""The containers of a compiled pipeline, one after the other, without a cluster."""

import csv
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from pipeline import compilation
from schemas import loader
from tests.e2e.container_steps import Steps

COLOURS = {'red': (200, 40, 40), 'green': (40, 200, 40), 'blue': (40, 40, 200)}

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]


@pytest.fixture(scope='module')
def steps(tmp_path_factory):
  """Everything was run, with data in another place than where it was compiled."""
  folder = tmp_path_factory.mktemp('cluster')
  random = np.random.default_rng(0)
  rows = []
  for label, colour in COLOURS.items():
    for number in range(20):
      pixels = np.clip(np.array(colour) + random.integers(-40, 40, (36, 44, 3)), 0, 255)
      (folder / 'data').mkdir(exist_ok=True)
      Image.fromarray(pixels.astype(np.uint8)).save(folder / f'data/{label}{number}.png')
      rows.append((f'{label}{number}.png', label))
  with open(folder / 'data/labels.csv', 'w', newline='') as stream:
    csv.writer(stream).writerows([('filename', 'label'), *rows])
  tree = {
    'name': 'tiny',
    'data': {'root': '/nowhere/data'},
    'image': {'height': 32, 'width': 32},
    'model': {'backbone': 'efficientnet_tiny', 'weights': 'none'},
    'train': {'epochs': 9, 'batch_size': 16},
    'evaluate': {'min_accuracy': 0.0},
    'floors': {'fit': True, 'gates': False, 'reason': 'one epoch'},
    'run': {'root': '/nowhere/runs', 'state': str(folder / 'state')},
    'analysis': {'images': 4},
    # The machine may be busy; how fast a model answers is asked elsewhere.
    'serving_validator': {'p95_ms': 60000},
  }
  config = loader.build_config(tree, 'test', working_directory=folder)
  compiled = compilation.compile_pipeline(config, folder / 'tiny.yaml', target='kfp')
  steps = Steps(
    compiled.path,
    folder / 'artifacts',
    {
      'data_root': str(folder / 'data'),
      'serving_directory': str(folder / 'serving/tiny'),
      'epochs': 1,
      'learning_rate': 0.001,
    },
  )
  steps.folder.mkdir()
  for task in steps.order():
    done = steps.run(task)
    assert done.returncode == 0, f'{task}:\n{done.stdout[-6000:]}'
  return steps


def test_every_step_left_a_report(steps):
  assert set(steps.made) == set(steps.order())
  assert {'ImageExampleGen', 'StatisticsGen', 'SchemaGen', 'Transform', 'Trainer'} <= set(
    steps.made
  )
  assert {'Evaluator', 'ServingValidator', 'Publisher'} <= set(steps.made)


def test_run_parameters_reached_the_training(steps):
  record = json.loads((steps.folder / 'Trainer/model_run/training.json').read_text())
  (stage,) = record['stages']
  assert (stage['epochs'], stage['learning_rate']) == (1, 0.001)


def published(steps):
  folder = pathlib.Path(steps.parameters['serving_directory'])
  (version,) = [path for path in folder.iterdir() if path.name.isdigit()]
  return version


def test_a_version_is_in_the_folder_that_was_named(steps):
  version = published(steps)
  assert (version / 'saved_model.pb').is_file()
  assert steps.made['Publisher']['pushed_model']['metadata']['pushed'] == 1


def test_the_blessing_names_the_model_as_the_store_of_a_cluster_does(steps):
  # Vertex AI's resolver looks the blessed model up by this name.
  metadata = steps.made['Evaluator']['blessing']['metadata']
  assert metadata['current_model_id'] == steps.made['Trainer']['model']['name']
  assert metadata['blessed'] == 1


def test_a_baseline_can_be_a_published_version(steps):
  version = published(steps)
  done = steps.run('Evaluator', {'baseline_uri': str(version)})
  assert done.returncode == 0, done.stdout[-6000:]
  metadata = steps.made['Evaluator']['blessing']['metadata']
  assert metadata['baseline_model'] == str(version)
  verdict = json.loads((steps.folder / 'Evaluator/evaluation/verdict.json').read_text())
  assert verdict['same_as_baseline']


def test_general_types_are_made_good(steps):
  for row in steps.made['Trainer'].values():
    row['type'] = {'schemaTitle': 'system.Model', 'schemaVersion': '0.0.1'}
  done = steps.run('Publisher')
  assert done.returncode == 0, done.stdout[-6000:]

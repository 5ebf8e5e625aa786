"""The whole way, through the command line: train, judge, validate, publish, serve, again.

The tests of this file share one experiment and build on each other's runs.
"""

import csv
import json
import pathlib
import re
import shutil

import nbformat
import numpy as np
import pyarrow.parquet as pq
import pytest
import sklearn.metrics
from PIL import Image

from schemas import weights_hash
from tests.e2e import notebooks
from tests.e2e.experiment import sightline, write_csv

pytestmark = pytest.mark.slow
# A model that has learnt nothing, and no bar that keeps it out.
UNTRAINED = (
  'train.epochs=1',
  'train.learning_rate=1e-9',
  'train.seed=3',
  'evaluate.min_accuracy=0',
)


@pytest.fixture(scope='module')
def first(experiment):
  return experiment.run('analysis.run=true', ask=True)


@pytest.fixture(scope='module')
def second(experiment, first):
  assert first.code == 0, first.output
  return experiment.run()


@pytest.fixture(scope='module')
def third(experiment, second):
  assert second.code == 0, second.output
  return experiment.run()


def test_the_first_model_is_blessed_against_the_absolute_bar_and_published(first, experiment):
  assert first.code == 0, first.output
  assert first.summary['outcome'] == 'published'
  assert first.summary['verdict'] == 'blessed'
  assert first.summary['baseline'] is None
  page = pathlib.Path(first.summary['paths']['report'])
  assert page.parent.name == first.summary['run_id'] and 'id="gates"' in page.read_text()
  assert 'there is no model in service yet' in first.summary['reasons'][0]
  assert experiment.versions() == [first.summary['published']['version']]
  assert set(first.outcomes().values()) == {'done'}


def test_the_served_model_answered_and_its_answer_carries_the_version(first):
  answer = first.summary['answer']
  assert answer['model_version'] == first.summary['published']['version']
  assert answer['model_sha256'] == first.summary['model']['weights_sha256']
  assert answer['label'] in ('blue', 'green', 'red')
  assert sum(answer['probabilities']) == pytest.approx(1, abs=1e-5)


def test_the_summary_gives_accuracy_with_n_and_interval(first):
  accuracy = first.summary['accuracy']
  low, high = accuracy['interval']
  assert accuracy['n'] == 12  # a tenth of 120
  assert low < accuracy['value'] <= high
  assert 'accuracy' in first.output and '95 % interval' in first.output


def test_the_model_was_asked_again_about_changed_images(first):
  analysis = first.summary['analysis']
  assert analysis['images'] == 12 and first.summary['failures'] == {}
  found = json.loads(pathlib.Path(analysis['path']).read_text(encoding='utf-8'))
  assert len(found['robustness']) == 7 * 6 and len(found['directional']) == 4
  (png,) = (row for row in found['harmless'] if row['change'] == 're-encoded as PNG')
  assert png['flipped']['value'] == 0 and png['flipped']['n'] == 12
  assert f'robust     {analysis["words"][0]}' in first.output.replace('\n', ' ')


def test_figures_agree_with_scikit_learn_on_the_stored_predictions(first):
  evaluation = pathlib.Path(first.summary['paths']['evaluation'])
  predictions = next(evaluation.parents[1].glob('predictions/*/predictions.parquet'))
  table = pq.read_table(predictions)
  truth = table['label_id'].to_numpy()
  probabilities = np.array(table['candidate'].to_pylist())
  predicted = probabilities.argmax(axis=1)
  import tensorflow_model_analysis as tfma

  loaded = tfma.load_eval_result(str(evaluation), model_name='')
  overall = dict(loaded.slicing_metrics)[()]['']['']
  assert overall['sparse_categorical_accuracy']['doubleValue'] == pytest.approx(
    sklearn.metrics.accuracy_score(truth, predicted), abs=1e-6
  )
  matrix = np.zeros((3, 3), int)
  (confusion,) = overall['multi_class_confusion_matrix_at_thresholds'][
    'multiClassConfusionMatrixAtThresholds'
  ]['matrices']
  for entry in confusion['entries']:
    matrix[int(entry.get('actualClassId', 0)), int(entry.get('predictedClassId', 0))] = int(
      entry['numWeightedExamples']
    )
  np.testing.assert_array_equal(
    matrix, sklearn.metrics.confusion_matrix(truth, predicted, labels=range(3))
  )
  assert first.summary['metrics']['log_loss'] == pytest.approx(
    sklearn.metrics.log_loss(truth, probabilities, labels=range(3)), abs=1e-6
  )
  assert first.summary['metrics']['macro_f1'] == pytest.approx(
    sklearn.metrics.f1_score(truth, predicted, average='macro'), abs=1e-6
  )


def test_slices_are_those_of_label_column_and_bucket(first):
  keys = {row['key'] for row in first.summary['slices']}
  buckets = ('brightness', 'contrast', 'sharpness', 'size', 'aspect', 'cluster')
  assert keys == {'label', 'column/device', *(f'bucket/{name}' for name in buckets)}
  # An interval as wide as that of three images shows no floor but a low one.
  assert {row['status'] for row in first.summary['slices'] if row['key'] == 'label'} == {'shown'}
  devices = {
    row['value']: row['accuracy']['n']
    for row in first.summary['slices']
    if row['key'] == 'column/device'
  }
  assert sum(devices.values()) == 12


def test_serving_gates_were_measured(first):
  serving = first.summary['serving']
  gates = {gate['gate']: gate for gate in serving['gates']}
  assert gates['max_difference']['value'] < 1e-5
  assert {'p95_ms', 'disk_mb', 'rss_mb'} <= set(gates)
  assert serving['figures']['warm_calls'] >= 200
  assert serving['figures']['p50_ms'] <= serving['figures']['p99_ms']


def test_the_second_run_comes_from_the_cache_and_keeps_the_verdict(second, first):
  outcomes = second.outcomes()
  fresh = {name for name, outcome in outcomes.items() if outcome != 'cached'}
  # Evaluator has a baseline now, Publisher another blessing; resolvers always look.
  assert fresh == {
    'PreviousSpan',
    'LatestServedModel',
    'FirstPredictions',
    'PreviouslyServed',
    'Evaluator',
    'Publisher',
  }
  assert second.summary['same_as_baseline'] is True
  assert second.summary['verdict'] == 'blessed'
  assert second.summary['outcome'] == 'unchanged'
  assert second.summary['published']['version'] == first.summary['published']['version']


def test_from_the_third_run_on_everything_is_cached(third, experiment):
  fresh = {name for name, outcome in third.outcomes().items() if outcome != 'cached'}
  assert fresh == {'PreviousSpan', 'LatestServedModel', 'FirstPredictions', 'PreviouslyServed'}
  assert third.summary['outcome'] == 'unchanged'
  assert len(experiment.versions()) == 1


def test_a_version_that_is_missing_from_the_serving_folder_comes_back(third, experiment, first):
  version = experiment.serving / first.summary['published']['version']
  before = weights_hash.weights_sha256(version)
  shutil.rmtree(version)
  done = experiment.run()
  assert done.code == 0, done.output
  assert weights_hash.weights_sha256(version) == before


def test_a_worse_model_is_not_blessed_and_not_pushed_and_says_why(third, experiment):
  before = experiment.versions()
  done = experiment.run(
    *UNTRAINED,
    'evaluate.slice_floors=[]',
  )
  assert done.code == 3, done.output
  assert done.summary['outcome'] == 'not blessed'
  assert done.summary['reasons'][0].startswith('Against the model in service: ')
  assert done.summary['comparison']['difference'] < 0
  page = pathlib.Path(done.summary['paths']['report']).read_text()
  assert 'Not blessed' in page and 'against the model in service' in page
  # Its time and size, too: the same network with other weights, of the same size.
  compared = done.summary['serving']['comparison']
  assert compared['how'] == 'side by side' and compared['remarks'] == []
  assert compared['baseline']['weights_sha256'] == third.summary['model']['weights_sha256']
  rows = {row['name']: row for row in compared['rows']}
  assert {'p50', 'p99', 'decode', 'network', 'disk', 'memory'} <= set(rows)
  assert rows['disk']['ratio'] == pytest.approx(1, abs=0.01) and 'id="latency"' in page
  assert 'evaluate.max_accuracy_drop' in done.output
  assert done.summary['baseline']['accuracy']['n'] == 12
  assert done.summary['published'] is None
  assert experiment.versions() == before


@pytest.fixture(scope='module')
def refused(third, experiment):
  """An untrained model beside simple ones, with the model in service to compare with."""
  return experiment.run(
    *UNTRAINED,
    'evaluate.max_accuracy_drop=1',
    'evaluate.slice_floors=[{slice: label, min_accuracy: 0.99}]',
    'evaluate.groups=[device]',
    'floors.fit=true',
  )


def test_a_slice_under_its_floor_blocks_the_blessing(refused):
  done = refused
  assert done.code == 3, done.output
  assert any('the best simple model (' in reason for reason in done.summary['reasons'])
  measured = done.summary['floors']
  assert {'random', 'majority', 'SVM on colours'} <= {row['name'] for row in measured['floors']}
  assert all(row['accuracy']['n'] == 12 for row in measured['floors'])
  assert any(reason.startswith('accuracy on label=') for reason in done.summary['reasons'])
  (gap,) = done.summary['groups']
  assert gap['column'] == 'column/device' and gap['status'] == 'shown'
  # The run before judged the same candidate: its answers are those of then.
  assert done.summary['looks']['from_record']
  assert done.summary['looks']['candidates'] >= 2
  assert 'looks      ' in done.output


def test_the_notebook_shows_what_was_stored_of_a_run(first, refused, experiment, tmp_path):
  notebook = notebooks.read('evaluation')
  (parameters,) = [cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', ())]
  others = [cell.source for cell in notebook.cells if cell.cell_type == 'code'][1:]
  assert parameters.cell_type == 'code' and 'SIGHTLINE_RUN' in parameters.source
  # One kernel for two runs: by the variable, and by another cell in its place.
  second = [f'RUN = {str(experiment.root / refused.summary["run_id"])!r}', *others]
  half = len(notebook.cells)
  notebook.cells += [nbformat.v4.new_code_cell(source) for source in second]
  notebooks.execute(notebook, tmp_path, SIGHTLINE_RUN=experiment.root / first.summary['run_id'])

  for done, cells in ((first, notebook.cells[:half]), (refused, notebook.cells[half:])):
    text = notebooks.printed(cells)
    folder = pathlib.Path(done.summary['paths']['evaluation']).parents[1] / 'predictions'
    (path,) = folder.glob(f'{pathlib.Path(done.summary["paths"]["evaluation"]).name}/*.parquet')
    table = pq.read_table(path)
    right = np.array(table['candidate'].to_pylist()).argmax(axis=1) == table['label_id'].to_numpy()
    assert f'accuracy {right.mean():.4f} on 12 images' in text
    assert f'accuracy from the stored answers: {right.mean():.4f}' in text
    measured, count = re.search(r'all images +([\d.]+) +(\d+)', text).groups()
    assert (float(measured), int(count)) == (pytest.approx(right.mean(), abs=1e-6), 12)
    images = pq.read_table(done.summary['paths']['manifest']).to_pylist()
    widths = [
      Image.open(experiment.data / 'images' / row['path']).width
      for row in images
      if row['split'] == 'train'
    ]
    assert f'{len(widths)} images in train' in text
    row = re.search(r'image/width +([\d.]+) +([\d.]+)', text).groups()
    assert [float(figure) for figure in row] == pytest.approx(
      [np.mean(widths), np.std(widths)], abs=6e-4
    )
    # Slices, confusion matrix and reliability; of the second floors and comparison, too.
    drawn = notebooks.pictures(cells)
    assert len(drawn) == (3 if done is first else 5)
    assert all(np.unique(picture).size > 20 for picture in drawn)

  assert 'There was no model in service yet.' in notebooks.printed(notebook.cells[:half])
  text = notebooks.printed(notebook.cells[half:])
  assert f'{refused.summary["comparison"]["verdict"]}: ' in text
  assert 'against SVM on colours: worse' in text


def test_a_figure_that_tfma_does_not_judge_blocks_the_blessing_alone(third, experiment):
  before = experiment.versions()
  # The untrained model of before, from the cache: TFMA's thresholds are met.
  done = experiment.run(
    *UNTRAINED,
    'evaluate.max_accuracy_drop=1',
    'evaluate.slice_floors=[]',
    'evaluate.min_macro_f1=0.99',
    'evaluate.overrides=[{gate: comparison, who: A. Person, reason: a test of it, '
    'when: 2026-01-31}]',
  )
  assert done.code == 3, done.output
  (override,) = done.summary['overrides']
  assert (override['gate'], override['who'], override['when']) == (
    'comparison', 'A. Person', '2026-01-31'
  )  # fmt: skip
  assert done.summary['outcome'] == 'not blessed'
  (reason,) = done.summary['reasons']
  assert reason.startswith('macro_f1 on all images is 0.') and 'evaluate.min_macro_f1' in reason
  assert experiment.versions() == before


def test_each_serving_gate_set_impossibly_low_stops_the_push_and_is_named(third, experiment):
  before = experiment.versions()
  done = experiment.run(
    'serving_validator.p95_ms=0.001', 'serving_validator.disk_mb=0.1', 'serving_validator.rss_mb=1'
  )
  assert done.code == 3, done.output
  assert done.summary['outcome'] == 'not servable'
  failed = {gate['gate'] for gate in done.summary['serving']['gates'] if not gate['ok']}
  assert failed == {'p95_ms', 'disk_mb', 'rss_mb'}
  for gate in failed:
    assert f'serving_validator.{gate}' in done.output
  assert experiment.versions() == before


@pytest.fixture(scope='module')
def later(third, experiment, first):
  """In bfloat16, from the backbone of an earlier run, with one pixel of one image changed."""
  row = list(csv.DictReader(open(experiment.data / 'labels.csv')))[1]
  path = experiment.data / 'images' / row['filename']
  original = path.read_bytes()
  with Image.open(path) as image:
    image.putpixel((0, 0), (255, 255, 255))
    image.save(path)
  try:
    done = experiment.run(
      f'model.weights={first.summary["run_id"]}',
      'train.precision=mixed_bfloat16',
      'train.frozen_epochs=1',
      'train.epochs=1',
      'evaluate.min_accuracy=0',
      'evaluate.max_accuracy_drop=1',
      'evaluate.slice_floors=[]',
    )
  finally:
    path.write_bytes(original)
  assert done.code == 0, done.output
  return done


@pytest.mark.long
def test_mixed_precision_trains_in_bfloat16_and_exports_float32_that_agrees(later):
  assert later.summary['model']['precision']['policy'] == 'mixed_bfloat16'
  assert later.summary['model']['compute_dtype'] == 'bfloat16'
  gates = {gate['gate']: gate for gate in later.summary['serving']['gates']}
  assert gates['max_difference']['ok']
  import tensorflow as tf

  loaded = tf.saved_model.load(later.summary['model']['export'])
  assert {variable.dtype for variable in loaded.signatures['serving_default'].variables} == {
    tf.float32
  }
  outputs = loaded.signatures['serving_default'].structured_outputs
  assert outputs['probabilities'].dtype == tf.float32


@pytest.mark.long
def test_the_backbone_of_an_earlier_run_is_frozen_then_unfrozen(later):
  stages = later.summary['model']['stages']
  assert [stage['name'] for stage in stages] == ['frozen', 'unfrozen']
  assert later.summary['model']['weights']['source'] == 'file'


@pytest.mark.long
def test_a_changed_image_under_an_unchanged_csv_is_noticed(later, third):
  assert later.outcomes()['ImageExampleGen'] == 'done', later.output
  assert later.summary['dataset']['dataset_sha256'] != third.summary['dataset']['dataset_sha256']


def test_a_published_version_leads_back_to_its_manifest(third, experiment, first):
  shown = sightline(
    'runs', 'show', experiment.config, first.summary['published']['version'], cwd=experiment.folder
  )
  assert shown.code == 0, shown.output
  assert first.summary['dataset']['manifest_sha256'] in ''.join(shown.output.split())


def test_the_split_lock_holds_every_image_and_the_summary_every_path(first, experiment):
  locked = {
    row['sha256']: row['split'] for row in csv.DictReader(open(experiment.data / 'splits.lock.csv'))
  }
  images = pq.read_table(first.summary['paths']['manifest']).to_pylist()
  assert len(images) == 120
  assert {image['image_id']: image['split'] for image in images}.items() <= locked.items()
  for key in ('log', 'metadata', 'serving', 'evaluation', 'curves'):
    assert pathlib.Path(first.summary['paths'][key]).exists(), key
  assert json.dumps(first.summary)


def test_the_baseline_is_the_model_in_service(second, first):
  assert second.summary['model']['id'] == first.summary['model']['id']
  assert second.summary['baseline_model_id'] == first.summary['model']['id']
  assert first.summary['baseline_model_id'] is None


def test_an_unknown_slice_in_a_floor_is_an_error(experiment):
  done = experiment.run('evaluate.slice_floors=[{slice: devise, min_accuracy: 0.1}]')
  assert done.code == 1
  assert 'evaluate.slice_floors: expected one of label' in done.output


@pytest.mark.long
def test_a_class_that_the_model_in_service_does_not_know_is_no_obstacle(third, experiment):
  rows = list(csv.DictReader(open(experiment.data / 'labels.csv')))
  more = [
    {'filename': row['filename'].replace(row['label'], 'white'), 'label': 'white', 'device': 'a'}
    for row in rows[:30]
  ]
  for number, row in enumerate(more):
    pixels = np.full((32 + number % 3, 40, 3), 200 + number, np.uint8)
    pixels[number % 30, :] = 90
    Image.fromarray(pixels).save(experiment.data / 'images' / row['filename'])
  write_csv(experiment.data, [*rows, *more])
  done = experiment.run('evaluate.min_accuracy=0', 'evaluate.slice_floors=[]')
  assert done.code in (0, 3), done.output
  assert 'white' in done.summary['metrics']['labels']
  # It answers something else for each of the new class's test images.
  baseline = done.summary['baseline']['accuracy']
  assert baseline['n'] == 15
  assert baseline['value'] <= 12 / 15

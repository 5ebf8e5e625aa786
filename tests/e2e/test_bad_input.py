"""What a person gets wrong, through the command line: where, what, and what to do next."""

import pathlib

import pytest

from tests.e2e.experiment import Experiment, sightline, write_csv, write_images

pytestmark = pytest.mark.slow


@pytest.fixture
def experiment(tmp_path) -> Experiment:
  made = Experiment(tmp_path)
  made.rows = write_images(made.data, count=30)
  write_csv(made.data, made.rows)
  return made


def stopped(experiment: Experiment, *overrides: str) -> str:
  """Runs, expects a stop without a traceback, and returns what was printed."""
  done = experiment.run(*overrides)
  assert done.code == 1, done.output
  assert 'Traceback' not in done.output
  return ' '.join(done.output.split())


def bad_row(experiment: Experiment, content: bytes | None, name: str = 'bad.jpg') -> str:
  """Adds a row with a file of this content (or none), and returns what a run says."""
  if content is not None:
    (experiment.data / 'images' / name).write_bytes(content)
  write_csv(experiment.data, [*experiment.rows, {'filename': name, 'label': 'red', 'device': 'a'}])
  return stopped(experiment, 'data.max_bad_fraction=0')


def test_missing_csv(experiment):
  (experiment.data / 'labels.csv').unlink()
  output = stopped(experiment)
  assert 'labels.csv' in output


def test_missing_data_folder(experiment):
  output = stopped(experiment, 'data.root=nowhere')
  assert 'nowhere, which does not exist' in output


def test_missing_column(experiment):
  text = (experiment.data / 'labels.csv').read_text().replace('label', 'klass', 1)
  (experiment.data / 'labels.csv').write_text(text)
  output = stopped(experiment)
  assert 'label' in output and 'klass' in output


def test_missing_file(experiment):
  output = bad_row(experiment, None)
  assert 'labels.csv row 32' in output and 'bad.jpg' in output
  assert '1 of 31 rows' in output and 'data.max_bad_fraction' in output


def test_zero_byte_file(experiment):
  output = bad_row(experiment, b'')
  assert 'bad.jpg' in output and 'empty' in output


def test_text_named_jpg(experiment):
  output = bad_row(experiment, b'this is no image at all')
  assert 'bad.jpg' in output and 'labels.csv row 32' in output


def test_truncated_jpeg(experiment):
  whole = next((experiment.data / 'images').glob('*.jpg')).read_bytes()
  output = bad_row(experiment, whole[: len(whole) // 2])
  assert 'bad.jpg' in output and 'labels.csv row 32' in output


@pytest.mark.long
def test_what_is_within_the_limits_is_told_and_the_run_goes_on(experiment):
  """A truncated JPEG is quarantined; a class of two images goes to train."""
  whole = next((experiment.data / 'images').glob('*.jpg')).read_bytes()
  (experiment.data / 'images' / 'bad.jpg').write_bytes(whole[: len(whole) // 2])
  rows = [
    {**row, 'label': 'rare' if number < 2 else row['label']}
    for number, row in enumerate(experiment.rows)
  ]
  write_csv(experiment.data, [*rows, {'filename': 'bad.jpg', 'label': 'red', 'device': 'a'}])
  done = experiment.run(
    'data.max_bad_fraction=0.1',
    'train.epochs=1',
    'evaluate.min_accuracy=0',
    'evaluate.slice_floors=[]',
  )
  assert done.code == 0, done.output
  quarantine = pathlib.Path(done.summary['paths']['quarantine'], 'quarantine.csv').read_text()
  assert 'bad.jpg' in quarantine and quarantine.count('\n') == 2  # a header and one row
  assert any('rare' in warning for warning in done.summary['dataset']['warnings'])
  assert 'rare' in done.output


def test_one_class_only(experiment):
  write_csv(experiment.data, [{**row, 'label': 'red'} for row in experiment.rows])
  output = stopped(experiment)
  assert 'class' in output and 'red' in output


def test_an_empty_split(experiment):
  write_csv(experiment.data, [{**row, 'split': 'train'} for row in experiment.rows])
  output = stopped(experiment)
  assert 'val' in output and 'test' in output


def test_unwritable_output_folder(experiment):
  # A file where a folder has to be: that stops root, too.
  (experiment.folder / 'taken').write_text('')
  output = stopped(experiment, f'run.root={experiment.folder}/taken/run')
  assert 'run.root: expected a folder that can be written' in output
  assert '--set run.root=FOLDER' in output


def test_unknown_config_key(experiment):
  text = experiment.config.read_text().replace('backbone:', 'bakbone:')
  experiment.config.write_text(text)
  output = stopped(experiment)
  assert 'colours.yaml: unknown key model.bakbone' in output
  assert 'Did you mean backbone?' in output


def test_impossible_value(experiment):
  output = stopped(experiment, 'train.batch_size=0')
  assert 'train.batch_size' in output and 'greater than or equal to 1' in output
  assert 'Received: 0' in output


def test_unknown_backbone(experiment):
  output = stopped(experiment, 'model.backbone=efficientnet_b9')
  assert 'efficientnet_b9' in output and 'Did you mean efficientnet_b' in output
  assert 'ImageExampleGen' not in output, 'no image is read for it'


def test_imagenet_weights_without_a_network_name_the_alternatives(experiment):
  output = stopped(experiment, 'model.backbone=efficientnet_v2_b0', 'model.weights=imagenet')
  assert 'could not be fetched' in output and 'model.weights: none' in output
  assert 'ImageExampleGen' not in output, 'no image is read for it'


def test_an_unknown_label_is_an_anomaly_that_names_file_and_value(experiment):
  schema = pathlib.Path(__file__).parents[2] / 'schemas/digits/schema.pbtxt'
  output = stopped(experiment, f'data.schema={schema}')
  assert 'label' in output and 'red' in output and '.jpg' in output


def test_neither_config_nor_data_root(tmp_path):
  done = sightline('run', cwd=tmp_path)
  assert done.code == 1
  assert 'expected either CONFIG or --data-root DIR' in ' '.join(done.output.split())

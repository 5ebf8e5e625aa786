import csv
import json
import math
import pathlib

import pytest

from pipeline import prediction_file
from schemas.errors import ConfigError
from serving.file_answers import FileAnswer
from serving.prediction import Prediction

FAILED = FileAnswer(pathlib.Path('x,"y".png'), None, 'not_an_image: no\nimage')
PLAIN = FileAnswer(
  pathlib.Path('a.png'), Prediction(pathlib.Path('a.png'), 'red', 1, 0.75, (0.25, 0.75))
)
FULL = FileAnswer(
  pathlib.Path('b.png'),
  Prediction(
    pathlib.Path('b.png'), 'grün', 0, 0.6, (0.6, 0.4), '7', 'ab', True, 1.5, False, 'previous'
  ),
)


def write(path, answers, probabilities=False):
  with prediction_file.opened(str(path), probabilities) as writer:
    for answer in answers:
      writer.add(answer)
  return path.read_text(encoding='utf-8')


def test_csv_is_a_header_and_a_line_a_file(tmp_path):
  text = write(tmp_path / 'a.csv', [FAILED, PLAIN, FULL])
  assert text == (
    'file,label,probability,class_id,low_confidence,ood_score,foreign,model_version,'
    'model_sha256,fallback,error\n'
    '"x,""y"".png",,,,,,,,,,"not_an_image: no\nimage"\n'
    'a.png,red,0.75,1,,,,,,,\n'
    'b.png,grün,0.6,0,true,1.5,false,7,ab,previous,\n'
  )


def test_csv_has_a_column_a_class_even_where_the_first_files_failed(tmp_path):
  write(tmp_path / 'a.csv', [FAILED, PLAIN, FAILED, FULL], probabilities=True)
  with open(tmp_path / 'a.csv', encoding='utf-8', newline='') as stream:
    rows = list(csv.DictReader(stream))
  assert [(row['probability_0'], row['probability_1']) for row in rows] == [
    ('', ''),
    ('0.25', '0.75'),
    ('', ''),
    ('0.6', '0.4'),
  ]
  assert [row['error'] for row in rows] == [FAILED.error, '', FAILED.error, '']
  assert list(rows[0])[3:7] == ['class_id', 'probability_0', 'probability_1', 'low_confidence']


def test_csv_of_nothing_but_failures_has_no_class(tmp_path):
  text = write(tmp_path / 'a.csv', [FAILED], probabilities=True)
  assert text.splitlines()[0] == ','.join(prediction_file.COLUMNS)
  assert len(list(csv.reader(text.splitlines(keepends=True)))) == 2


def test_json_is_a_list_of_objects(tmp_path):
  rows = json.loads(write(tmp_path / 'a.json', [FAILED, FULL], probabilities=True))
  assert rows[0] == dict.fromkeys(prediction_file.COLUMNS) | {
    'file': 'x,"y".png',
    'error': 'not_an_image: no\nimage',
    'probabilities': None,
  }
  assert rows[1] == {
    'file': 'b.png',
    'label': 'grün',
    'probability': 0.6,
    'class_id': 0,
    'low_confidence': True,
    'ood_score': 1.5,
    'foreign': False,
    'model_version': '7',
    'model_sha256': 'ab',
    'fallback': 'previous',
    'error': None,
    'probabilities': [0.6, 0.4],
  }
  assert json.loads(write(tmp_path / 'b.json', [])) == []
  assert 'probabilities' not in json.loads(write(tmp_path / 'c.json', [FULL]))[0]


def test_json_has_no_number_that_is_none(tmp_path):
  path = pathlib.Path('n.png')
  odd = FileAnswer(path, Prediction(path, 'red', 0, math.nan, (math.nan, math.inf)))
  text = write(tmp_path / 'a.json', [odd], probabilities=True)
  (row,) = json.loads(text, parse_constant=lambda name: pytest.fail(name))
  assert (row['probability'], row['probabilities']) == (None, [None, None])


@pytest.mark.parametrize('name', ['a.csv', 'a.json'])
def test_a_name_that_is_no_text_is_written_too(tmp_path, name):
  path = pathlib.Path('a\udcff.png')
  with prediction_file.opened(str(tmp_path / name), False) as writer:
    writer.add(FileAnswer(path, None, 'no'))
  data = (tmp_path / name).read_bytes()
  assert b'a\xff.png' in data if name == 'a.csv' else json.loads(data)[0]['file'] == str(path)


def test_what_is_cut_short_leaves_the_file_before_and_no_draft(tmp_path):
  path = tmp_path / 'a.csv'
  path.write_text('before')
  with pytest.raises(KeyboardInterrupt), prediction_file.opened(str(path), False) as writer:
    writer.add(PLAIN)
    raise KeyboardInterrupt
  assert path.read_text() == 'before'
  assert list(tmp_path.iterdir()) == [path]


def test_a_minus_is_csv_on_standard_output(capsys):
  with prediction_file.opened('-', False) as writer:
    writer.add(PLAIN)
  assert capsys.readouterr().out.splitlines()[1] == 'a.png,red,0.75,1,,,,,,,'


def test_a_name_of_another_ending_and_a_folder_that_is_not_there_are_told(tmp_path):
  with pytest.raises(ConfigError, match='.csv or .json.*Received: a.txt'):
    prediction_file.form_of('a.txt')
  with pytest.raises(ConfigError, match='absent/a.csv: expected a file that can be written'):
    write(tmp_path / 'absent/a.csv', [PLAIN])

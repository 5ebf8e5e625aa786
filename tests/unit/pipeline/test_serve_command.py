"""What `sightline predict` prints of an answer."""

import pathlib

import pytest

from pipeline import serve_command
from serving import client

ANSWER = client.Prediction(pathlib.Path('a [1].png'), 'red', 0, 0.75, (0.75, 0.25), '7', 'ab')


@pytest.mark.parametrize(
  ('said', 'note'),
  [
    ({}, ''),
    ({'low_confidence': False, 'foreign': False}, ''),
    ({'low_confidence': True, 'foreign': False}, 'low confidence'),
    ({'foreign': True}, 'unlike the images of train'),
    ({'low_confidence': True, 'foreign': True}, 'low confidence, unlike the images of train'),
  ],
)
def test_a_line_says_why_a_person_should_look(said, note, monkeypatch, capsys):
  import dataclasses

  monkeypatch.setenv('COLUMNS', '200')
  monkeypatch.setattr(client, 'predict', lambda *_: [dataclasses.replace(ANSWER, **said)])
  serve_command.predict([ANSWER.path], 'http://127.0.0.1:1', 'm')
  heading, line = capsys.readouterr().out.splitlines()
  assert heading.split() == ['file', 'label', 'probability', 'version', 'note']
  assert line.split(maxsplit=5) == ['a', '[1].png', 'red', '0.7500', '7', *([note] if note else [])]

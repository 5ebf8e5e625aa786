"""What the page says is what the artifacts say; what they do not say is no part of it."""

import html.parser
import re

import pytest

from pipeline.report import material, page
from tests.unit.pipeline.report import recorded

WHOLE = {
  'gates',
  'comparison',
  'latency',
  'vault',
  'decisions',
  'curves',
  'confusion',
  'confused',
  'classes',
  'slices',
  'groups',
  'calibration',
  'floors',
  'robustness',
  'directional',
  'errors',
  'lineage',
  'steps',
  'card',
}


class Reader(html.parser.HTMLParser):
  """Collects the text of each section, of the header, and every address."""

  def __init__(self, text):
    super().__init__()
    self.source = text
    self.sections, self.addresses, self.tags, self._in = {}, [], set(), 'header'
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.tags.add(tag)
    given = dict(attrs)
    self._in = given['id'] if tag == 'section' else 'contents' if tag == 'nav' else self._in
    self.addresses += [given[name] for name in ('src', 'href') if name in given]

  def handle_data(self, data):
    words = self.sections.setdefault(self._in, [])
    words += [data.strip()] if data.strip() else []

  def text(self, section):
    return ' '.join(self.sections[section])


@pytest.fixture
def shown(tmp_path):
  def show(**changes):
    root = recorded.write(tmp_path / 'plums', **changes)
    text = page.render(material.read(root, recorded.RUN))
    return Reader(text), text

  return show


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  root = tmp_path_factory.mktemp('whole') / 'plums'
  recorded.write(root, verdict=recorded.LATER, analysis=recorded.ANALYSIS)
  return Reader(page.render(material.read(root, recorded.RUN)))


def test_everything_that_was_recorded_has_its_part(whole):
  reader = whole
  assert set(reader.sections) - {'header', 'contents'} == WHOLE
  assert {link for link in reader.addresses if link.startswith('#')} == {
    '#main',
    *(f'#{name}' for name in WHOLE),
  }


@pytest.mark.parametrize(
  ('section', 'words'),
  [
    ('header', 'plums run 20260101-120000 started 2026-01-01 12:00:00 took 62 s version 17'),
    ('header', 'Goal: riper plums'),
    ('header', 'Accuracy 0.8250 meets the absolute bar.'),
    ('gates', 'accuracy on 40 test images 0.8250 at least 0.8000 0.6805 to 0.9125 met'),
    ('gates', 'mean F1 over the classes 0.8123 at least 0.8100 met'),
    (
      'gates',
      'column/site = south, n 10 0.5700 at least 0.6000 0.2900 to 0.8100 not met, overridden '
      'Give train more such images.',
    ),
    ('gates', 'column/site = north, n 30 0.9100 at least 0.6000 0.7500 to 0.9700 met'),
    (
      'gates',
      'against the model in service -0.0500 better or same or undecided; a drop of at most 0.0100 '
      '-0.1612 to +0.0623 undecided',
    ),
    ('gates', 'SVM on colours +0.0517 none -0.1612 to +0.0623 better, only shown'),
    ('gates', 'serving: p95 ms 12.34 ms at most 100 met'),
    ('gates', 'infra blessing 1 of 1 serving gates all of them met'),
    ('gates', 'rows that cannot be used 0.25% (1) at most 2.00% met'),
    ('gates', 'of column/site 0.3411 at most 0.2000 0.0612 to 0.5823 not met Give train more'),
    ('groups', 'south: 0.5700, n 10 north: 0.9100, n 30 0.2000 over its limit'),
    ('comparison', 'undecided difference in accuracy -0.0500 (95 % interval -0.1612 to +0.0623)'),
    ('comparison', "p 0.62, McNemar's exact test detectable a difference of 0.1375"),
    ('comparison', 'only this one is right 1 of 40 images only the one in service is 3 of 40'),
    ('comparison', 'accuracy of the one in service 0.8750 on 40 test images'),
    ('vault', 'feed5eed looks at it so far 3 candidates judged on it 2 correction Holm over 2'),
    ('decisions', 'override of the gate slices south is closed Grace, 2026-01-02'),
    ('decisions', 'the best simple model is only shown colours suffice so far'),
    ('decisions', 'augmentation: shift a plum is a plum anywhere'),
    ('decisions', 'drop: 2 files'),
    ('curves', 'train, at the end 0.5'),
    ('curves', 'val, at the end 0.8125'),
    ('curves', 'The curves look fine.'),
    # Rows by name: green before ripe, though ids run the other way.
    ('confusion', 'label green ripe n green 15 5 20 ripe 2 18 20'),
    ('confused', 'green ripe 5 20'),
    ('classes', 'green 20 0.8824 0.7500 0.8108 0.9112 0.9000'),
    ('classes', 'ripe 20 0.7826 0.9000 0.8372 0.9111 none'),
    ('slices', 'column/site = south 10 0.5700 0.2900 to 0.8100 0.6000 not met'),
    ('calibration', 'calibration error 0.0456 before 0.1234 temperature 1.250 Brier score 0.2109'),
    ('calibration', 'flagged for review 15.0 % accuracy of the rest 0.9118, n 34'),
    ('floors', 'SVM on colours (best) 0.7750 0.6255 to 0.8768 0.4 better +0.0517'),
    ('floors', '0.021 0.1375'),
    ('floors', 'costs more: 1.5 minutes of training, 12 ms an image'),
    ('robustness', 'blur, sigma 2 pixels 2 0.4321 0.3321 to 0.4821 0.2000'),
    ('robustness', 'shifted by one pixel, which should change nothing: 0.0250'),
    ('directional', 'darker is less ripe does not hold in 12 of 40'),
    ('errors', 'ripe taken for green probability 0.987 suspect label plum_0001.png green, 0.31'),
    ('lineage', f'Dataset {"d00d" * 16} manifest {"f00d" * 4} '),
    ('lineage', 'Split lock splits.lock.csv beside the manifest train 320, val 40, test 40 seed 7'),
    ('lineage', 'Code beefbeef dirty: 2 files differ version 0.1.0'),
    ('lineage', '10c4 numpy 2.0 instead of 2.1'),
    ('lineage', 'Seeds train.seed 7 Hardware A CPU, 2 cores 8.0 GiB of memory no GPU'),
    ('lineage', 'Energy 0.18 Wh 166 CPU-seconds estimate Model abadcafe 676,433 parameters'),
    ('lineage', 'Pushed version 17 /serving/plums/17 2 packages keras not installed numpy 2.0'),
    ('steps', 'Trainer done 90.0 100.0'),
    ('card', 'Task ripe or not Input DRAFT fill in problem.input'),
    ('card', 'Data: source an orchard Data: owner DRAFT fill in data.card.owner'),
    ('card', 'Worst slice: column/site = south, accuracy 0.5700 on 10 test images'),
    ('card', 'Most frequent confusion: green taken for ripe, 5 of 20 test images of green.'),
    ('card', 'Weakest under blur (sigma 2 pixels): accuracy 0.4321'),
    (
      'card',
      'weights of ImageNet; licence of those weights: Apache-2.0 fitted to images under CC0',
    ),
  ],
)
def test_a_figure_is_the_one_of_the_artifacts(whole, section, words):
  assert words in whole.text(section)


def test_it_asks_for_nothing_and_runs_nothing(whole):
  reader, text = whole, whole.source
  assert not {'script', 'link', 'iframe', 'object'} & reader.tags
  assert {link.partition(',')[0] for link in reader.addresses if link[0] != '#'} == {
    'data:image/png;base64'
  }
  assert 'http://' not in text and 'https://' not in text and '@import' not in text
  assert not re.search(r'url\(', text)


@pytest.mark.parametrize(
  ('stopped', 'left'),
  [
    ({'components': {}, 'dataset': None, 'energy': None}, set()),
    ({}, {'gates', 'decisions', 'lineage', 'steps', 'card'}),
  ],
)
def test_a_run_that_stopped_is_told_as_far_as_it_came(shown, stopped, left):
  summary = {
    'outcome': 'stopped',
    'error': 'labels.csv row 37: no such image',
    'verdict': None,
    'reasons': [],
    'metrics': None,
    'slices': [],
    'leaks': None,
    'looks': None,
    'calibration': None,
    'serving': None,
    'published': None,
    'model': None,
    'components': {'ImageExampleGen': {'outcome': 'failed', 'seconds': 1, 'cpu_seconds': 1}},
    **stopped,
  }
  reader, text = shown(summary=summary, provenance=recorded.PROVENANCE if left else None)
  # Without a word from anybody, the card is open fields alone.
  assert set(reader.sections) - {'header', 'contents'} == (left or {'card'})
  assert 'Stopped before a verdict. labels.csv row 37: no such image' in reader.text('header')
  assert 'verdict bad' in text
  if left:
    assert 'ingest stopped not met Mend the data as the error says.' in reader.text('gates')
  for name in reader.sections:
    assert reader.sections[name], name


def test_a_refused_model_has_its_reasons_and_next_steps(shown):
  reasons = ['accuracy on all images is 0.8250; at least 0.9900 is asked for.']
  config = {**recorded.CONFIG, 'evaluate': {**recorded.CONFIG['evaluate'], 'min_accuracy': 0.99}}
  reader, text = shown(
    summary={'outcome': 'not blessed', 'verdict': 'not blessed', 'published': None},
    verdict={'blessed': False, 'reasons': reasons},
    provenance={**recorded.PROVENANCE, 'config': config},
  )
  head = reader.text('header')
  assert 'Not blessed: the evaluation refused this model.' in head and reasons[0] in head
  assert 'verdict bad' in text and 'Published' not in text
  assert re.search(
    r'0\.8250 at least 0\.9900 0\.6805 to 0\.9125 not met Look at', reader.text('gates')
  )
  assert 'Pushed version' not in reader.text('lineage')


def test_a_model_that_cannot_be_served_names_the_gate(shown):
  gate = {**recorded.GATE, 'ok': False, 'value': 250.0}
  reader, _ = shown(
    summary={
      'outcome': 'not servable',
      'published': None,
      'serving': {'blessed': False, 'gates': [gate]},
    }
  )
  assert 'p95_ms failed: 250 ms; at most 100 ms is allowed' in reader.text('header')
  gates = reader.text('gates')
  assert 'serving: p95 ms 250 ms at most 100 not met Take a smaller backbone.' in gates
  assert 'infra blessing 0 of 1 serving gates' in gates


def test_text_of_people_is_text(shown):
  nasty = '<script>alert("1")</script>'
  verdict = {
    'slices': [{**recorded.VERDICT['slices'][0], 'value': nasty}],
    'candidate': {**recorded.VERDICT['candidate'], 'labels': [nasty, '"><b onclick=x>']},
    'overrides': [
      {'gate': nasty, 'who': nasty, 'reason': nasty, 'when': nasty, 'overruled': [nasty]}
    ],
  }
  config = {**recorded.CONFIG, 'problem': {'task': nasty}}
  reader, text = shown(
    summary={'goal': nasty, 'name': nasty},
    verdict=verdict,
    provenance={**recorded.PROVENANCE, 'config': config},
    analysis={**recorded.ANALYSIS, 'confused': [], 'robustness': []},
  )
  assert 'script' not in reader.tags and '<script' not in text and 'onclick=x&gt;' in text
  assert '<b onclick' not in text
  assert nasty in reader.text('header') and nasty in reader.text('card')


def test_a_page_is_whole_or_not_there(tmp_path, shown):
  root = recorded.write(tmp_path / 'x')
  found = material.read(root, recorded.RUN)
  page.write(found, tmp_path / 'new/report.html')
  assert [path.name for path in (tmp_path / 'new').iterdir()] == ['report.html']
  assert (tmp_path / 'new/report.html').read_text() == page.render(found)

"""What the page says of time, memory and size."""

from pipeline.report import latency, material, page
from tests.unit.pipeline.report import recorded
from tests.unit.pipeline.test_serving_difference import MACHINE, serving

ROW = {'name': 'p50', 'unit': 'ms', 'value': 10.0, 'baseline': 5.0, 'ratio': 2.0}
COMPARED = {
  'how': 'side by side',
  'rounds': 200,
  'limit': 1.5,
  'rows': [
    {**ROW, 'interval': [1.9, 2.1], 'outcome': 'over the limit'},
    {**ROW, 'name': 'memory', 'unit': 'MB', 'baseline': None, 'ratio': None, 'interval': None}
    | {'outcome': 'not judged'},
  ],
  'remarks': ['Memory is not compared like for like: cores 2 then, 8 now.'],
  'baseline': {},
}


def test_a_first_version_has_its_own_figures_alone():
  rows = latency.rows(serving())
  assert [(row.name, row.value) for row in rows] == [
    ('p50', '5.00 ms'),
    ('p95', '8.00 ms'),
    ('p99', '9.00 ms'),
    ('network', '4.00 ms'),
    ('decision', '0.01 ms'),
    ('disk', '10.0 MB'),
  ]
  assert latency.remarks(serving()) == [] and {row.outcome for row in rows} == {''}
  assert latency.rows({}) == [] and latency.lead({}) == ''


def test_a_comparison_has_both_sides_the_interval_and_a_colour():
  slower, unknown = latency.rows({**serving(), 'comparison': COMPARED})
  assert slower == ('p50', '10.00 ms', '5.00 ms', '2.00', '1.90 to 2.10', 'over the limit', 'bad')
  assert (unknown.value, unknown.baseline, unknown.ratio) == ('10.0 MB', '', '')
  lead = latency.lead({'machine': MACHINE, 'comparison': COMPARED})
  assert '2 cores' in lead and 'by turns, 200 times' in lead
  assert 'above 1.5' in latency.remarks({'comparison': COMPARED})[-1]
  shown = latency.remarks({'comparison': {**COMPARED, 'limit': None}})
  assert shown == [COMPARED['remarks'][0], shown[1]] and 'is not set' in shown[1]


def test_the_page_shows_the_table(tmp_path):
  serves = {**recorded.SUMMARY['serving'], 'machine': MACHINE, 'comparison': COMPARED}
  root = recorded.write(tmp_path / 'plums', summary={'serving': serves})
  text = page.render(material.read(root, recorded.RUN))
  part = text.split('id="latency"')[1].split('</section>')[0]
  assert 'over the limit' in part and '1.90 to 2.10' in part and 'cores 2 then, 8 now' in part

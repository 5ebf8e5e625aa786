"""What is told of the times of two runs, and what is noise."""

from pipeline import lineage, serving_difference

MACHINE = {'cpu': 'x', 'cores': 2, 'tensorflow': '2.21'}


def serving(p50=5.0, network=4.0, disk=10.0, machine=MACHINE):
  return {
    'gates': [{'gate': 'p95_ms', 'value': 8.0}, {'gate': 'disk_mb', 'value': disk}],
    'figures': {'p50_ms': p50, 'p99_ms': 9.0},
    'stages': {'median_ms': {'network': network, 'decision': 0.01}},
    'machine': machine,
  }


def moved(old, new):
  return list(serving_difference.moved(old, new))


def test_noise_is_not_told_and_twice_the_time_is():
  # 5 to 6 is 20 %, no more.
  assert moved(serving(), serving(p50=6.0)) == []
  assert moved(serving(), serving(p50=6.1, network=2.0)) == [
    ('p50, ms', 5.0, 6.1),
    ('network, ms', 4.0, 2.0),
  ]
  assert moved(serving(disk=10), serving(disk=12.1)) == [('disk, MB', 10, 12.1)]


def test_a_stage_that_takes_next_to_nothing_is_not_told():
  other = serving()
  other['stages'] = {'median_ms': {'network': 4.0, 'decision': 0.1}}
  assert moved(serving(), other) == []


def test_what_only_one_run_measured_is_not_compared():
  old = {**serving(), 'stages': None}
  assert moved(old, serving()) == []


def test_it_says_whether_the_machines_were_alike():
  assert 'like for like' not in serving_difference.remark(serving(), serving())
  other = serving(machine={**MACHINE, 'cores': 8})
  assert serving_difference.remark(serving(), other).endswith('not like for like: cores 2 and 8')
  said = serving_difference.remark({**serving(), 'machine': None}, serving())
  assert said.endswith('a machine was not recorded')


def test_a_line_for_the_facts_of_a_run():
  found = lineage.figures({'serving': serving()})
  assert found == {
    'time of one image': 'p50 5.00, p95 8.00, p99 9.00 ms; of it network 4.00, decision 0.01'
  }
  assert lineage.figures({}) == {} == lineage.figures({'serving': {'gates': [], 'figures': {}}})

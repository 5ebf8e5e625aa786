"""Alert rules and dashboard: well formed, about what is exported, and awake."""

import json
import re
import shutil
import subprocess

import grpc
import pytest

from tests.unit.deploy import prometheus_metrics
from tests.unit.deploy.manifests import DEPLOY, documents

FOLDER = DEPLOY / 'monitoring/prometheus'
DASHBOARD = DEPLOY / 'monitoring/grafana/dashboards/serving.json'
PROMTOOL = shutil.which('promtool')
needs_promtool = pytest.mark.skipif(
  PROMTOOL is None, reason="needs promtool on PATH; it is in Debian's package prometheus"
)
ALERTS = {
  'SightlineLatencyHigh',
  'SightlineErrorsHigh',
  'SightlineLowConfidenceHigh',
  'SightlineFallback',
  'SightlineNothingAnswered',
  'SightlineDown',
}


def rules() -> list[dict]:
  (group,) = documents(FOLDER / 'rules.yml')[0]['groups']
  return group['rules']


def dashboard() -> dict:
  return json.loads(DASHBOARD.read_text())


def expressions() -> dict[str, str]:
  """Returns {where: PromQL} of every rule and panel."""
  found = {rule.get('alert') or rule['record']: rule['expr'] for rule in rules()}
  for panel in dashboard()['panels']:
    for target in panel['targets']:
      found[f'{panel["title"]} {target["refId"]}'] = target['expr']
  for annotation in dashboard()['annotations']['list']:
    found[annotation['name']] = annotation['expr']
  return found


def unknown(expression: str, known: dict[str, set[str]]) -> list[str]:
  """Returns the series and labels of an expression that nobody exports."""
  found = []
  labels = set(prometheus_metrics.TARGET_LABELS)
  for selector in prometheus_metrics.selectors(expression):
    if selector.name not in known:
      found.append(selector.name)
      continue
    labels |= known[selector.name]
    asked = {matcher.name for matcher in selector.matchers.matchers}
    found += sorted(asked - known[selector.name] - prometheus_metrics.TARGET_LABELS)
  return found + sorted(prometheus_metrics.grouped_by(expression) - labels)


@pytest.fixture(scope='module')
def known():
  recorded = {rule['record']: {'model_name'} for rule in rules() if 'record' in rule}
  # What Prometheus makes itself.
  own = {'up': set(), 'ALERTS': {'alertname', 'alertstate', 'severity', 'model_name'}}
  return prometheus_metrics.exported() | recorded | own


@pytest.mark.parametrize('where', expressions())
def test_it_asks_for_what_the_server_exports(where, known):
  assert unknown(expressions()[where], known) == []


@pytest.mark.parametrize(
  'expression, found',
  [
    ('rate(:tensorflow:serving:request_latency_seconds_bucket[5m])', 1),
    ('rate(:tensorflow:serving:request_count_total[5m])', 1),
    ('sum by (model) (rate(:tensorflow:serving:request_count[5m]))', 1),
    ('rate(:tensorflow:serving:request_count{code="OK"}[5m])', 1),
    ('rate(:tensorflow:serving:request_count{status="OK"}[5m])', 0),
  ],
)
def test_a_planted_name_is_seen(expression, found, known):
  assert len(unknown(expression, known)) == found


def test_every_brief_of_the_alerts_is_there():
  named = {rule['alert']: rule for rule in rules() if 'alert' in rule}
  assert set(named) == ALERTS
  for rule in named.values():
    assert set(rule) == {'alert', 'expr', 'for', 'labels', 'annotations'}
    assert rule['labels']['severity'] in ('warning', 'critical')
    assert set(rule['annotations']) == {'summary', 'description'}


def test_status_names_are_those_of_the_server():
  known = {code.name for code in grpc.StatusCode}
  for where, expression in expressions().items():
    for names in re.findall(r'status=~"([A-Z_|]+)"', expression):
      named = set(names.split('|'))
      # A client's own mistakes wake nobody.
      assert named < known - {'OK', 'INVALID_ARGUMENT', 'NOT_FOUND', 'CANCELLED'}, where


@needs_promtool
@pytest.mark.parametrize('kind, name', [('config', 'prometheus.yml'), ('rules', 'rules.yml')])
def test_promtool_reads_it(kind, name):
  done = subprocess.run(
    [PROMTOOL, 'check', kind, str(FOLDER / name)], capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr


def run_rule_tests(folder) -> subprocess.CompletedProcess:
  return subprocess.run(
    [PROMTOOL, 'test', 'rules', str(folder / 'rules_test.yml')], capture_output=True, text=True
  )


@needs_promtool
def test_each_alert_fires_when_it_should_and_not_otherwise():
  done = run_rule_tests(FOLDER)
  assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
  'line, planted, alert',
  [
    # Microseconds taken for milliseconds.
    ('/ 1e6', '/ 1e3', 'SightlineLatencyHigh'),
    ('> 0.05', '> 5', 'SightlineErrorsHigh'),
    ('>= 100', '>= 10', 'SightlineLowConfidenceHigh'),
    ('status="OK"', 'status!="OK"', 'SightlineNothingAnswered'),
    ('sum(up{', 'min(up{', 'SightlineDown'),
  ],
)
def test_a_planted_mistake_in_a_rule_is_seen(tmp_path, line, planted, alert):
  shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
  text = (FOLDER / 'rules.yml').read_text()
  assert line in text
  (tmp_path / 'rules.yml').write_text(text.replace(line, planted))
  done = run_rule_tests(tmp_path)
  assert done.returncode and alert in done.stdout + done.stderr


def test_each_alert_has_a_series_on_which_it_fires():
  cases = documents(FOLDER / 'rules_test.yml')[0]['tests']
  checks = [check for case in cases for check in case['alert_rule_test']]
  for fires in (True, False):
    assert {one['alertname'] for one in checks if bool(one['exp_alerts']) == fires} == ALERTS


def test_the_dashboard_fits_grafana():
  made = dashboard()
  (source,) = documents(DEPLOY / 'monitoring/grafana/provisioning/datasources/prometheus.yaml')[0][
    'datasources'
  ]
  panels = made['panels']
  assert len({panel['id'] for panel in panels}) == len(panels)
  named = [panel['datasource'] for panel in panels]
  named += [target['datasource'] for panel in panels for target in panel['targets']]
  assert all(one == {'type': source['type'], 'uid': source['uid']} for one in named)
  for panel in panels:
    place = panel['gridPos']
    assert place['x'] + place['w'] <= 24
  corners = {(panel['gridPos']['x'], panel['gridPos']['y']) for panel in panels}
  assert len(corners) == len(panels)


def test_latencies_are_shown_in_seconds():
  for panel in dashboard()['panels']:
    for target in panel['targets']:
      if 'latency_bucket' in target['expr']:
        assert panel['fieldConfig']['defaults']['unit'] == 's' and '/ 1e6' in target['expr']

"""docs/production.md names files, alerts and times that are there."""

import json
import re

from tests.unit.deploy.manifests import ROOT, documents

PAGE = (ROOT / 'docs/production.md').read_text()


def test_every_file_that_it_names_is_there():
  named = set(re.findall(r'\b(?:deploy|tools|benchmarks|tests)/[\w./-]+\w', PAGE))
  assert len(named) > 10
  assert [name for name in named if not (ROOT / name).exists()] == []


def test_its_table_of_alerts_is_that_of_the_rules():
  (group,) = documents(ROOT / 'deploy/monitoring/prometheus/rules.yml')[0]['groups']
  alerts = [rule['alert'] for rule in group['rules'] if 'alert' in rule]
  assert re.findall(r'^\| (Sightline\w+) \|', PAGE, re.M) == alerts


def test_its_dashboard_panels_exist():
  board = json.loads((ROOT / 'deploy/monitoring/grafana/dashboards/serving.json').read_text())
  assert f'"{board["title"]}"' in PAGE
  panels = {panel['title'] for panel in board['panels']}
  assert {'Latency p99 by version', 'Unsure answers', 'Requests', 'Time in the model'} <= panels

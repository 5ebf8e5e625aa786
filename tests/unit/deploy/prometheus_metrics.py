"""The metrics that a PromQL expression asks for, and those that the server exports."""

import re
from collections.abc import Iterator
from typing import Any

import promql_parser
from prometheus_client import parser

from serving import metrics

# What Prometheus itself adds to what it reads.
TARGET_LABELS = {'job', 'instance'}


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
  """Yields every series that an expression asks for; the variables of Grafana are filled in."""
  text = expression.replace('$__rate_interval', '1m').replace('$model', '.*')
  yield from _walk(promql_parser.parse(text))


def _walk(node: Any) -> Iterator[promql_parser.VectorSelector]:
  if isinstance(node, promql_parser.VectorSelector):
    yield node
  for name in ('lhs', 'rhs', 'expr', 'args', 'vector_selector', 'param'):
    inner = getattr(node, name, None)
    for one in inner if isinstance(inner, list) else [inner]:
      if one is not None:
        yield from _walk(one)


def grouped_by(expression: str) -> set[str]:
  """Returns the labels that an expression groups or matches by."""
  found = re.findall(r'\b(?:by|on|ignoring|without) \(([^)]*)\)', expression)
  return {label.strip() for labels in found for label in labels.split(',')}


def exported() -> dict[str, set[str]]:
  """Returns {series: its labels} of a server that has counted each thing once."""
  counted = metrics.Metrics()
  counted.add(metrics.REQUEST_COUNT, 'digits', 'OK', '7', 'serving_default')
  for name in (metrics.ANSWER_COUNT, metrics.LOW_CONFIDENCE_COUNT, metrics.FOREIGN_COUNT):
    counted.add(name, 'digits', '7', 'serving_default')
  counted.add(metrics.REFUSED_COUNT, 'digits', 'pixels')
  counted.add(metrics.FALLBACK_COUNT, 'digits', 'previous')
  latency = ('digits', 'Predict', metrics.REST, '7', 'serving_default')
  counted.observe(metrics.REQUEST_LATENCY, 10.0, *latency)
  counted.observe(metrics.RUNTIME_LATENCY, 10.0, 'digits', 'Predict', 'TF1', '7', 'serving_default')
  counted.observe(metrics.BATCH_SIZE, 2)
  counted.gauge(metrics.QUEUE_DEPTH, lambda: 0, 'waiting')
  return {
    sample.name: set(sample.labels)
    for family in parser.text_string_to_metric_families(counted.text().decode())
    for sample in family.samples
  }

"""What the server counts: TensorFlow Serving's Prometheus metrics, and some of its own.

Names, units and buckets are TensorFlow Serving's (servables/tensorflow/util.cc and
monitoring of http_rest_api_handler.cc), so that a dashboard serves both; the labels
`version` and `signature_name` are added. Latencies are in microseconds.
"""

import bisect
import collections
import threading
from collections.abc import Iterator, Sequence

import numpy as np
from prometheus_client import core, exposition, registry

PATH = '/monitoring/prometheus/metrics'
CONTENT_TYPE = exposition.CONTENT_TYPE_LATEST

REQUEST_COUNT = ':tensorflow:serving:request_count'
REQUEST_LATENCY = ':tensorflow:serving:request_latency'
RUNTIME_LATENCY = ':tensorflow:serving:runtime_latency'
ANSWER_COUNT = ':sightline:serving:answer_count'
LOW_CONFIDENCE_COUNT = ':sightline:serving:low_confidence_count'
FOREIGN_COUNT = ':sightline:serving:foreign_count'
FALLBACK_COUNT = ':sightline:serving:fallback_count'
REFUSED_COUNT = ':sightline:serving:refused_count'
QUEUE_DEPTH = ':sightline:serving:queue_depth'
BATCH_SIZE = ':sightline:serving:batch_size'
LOG_WRITTEN_COUNT = ':sightline:serving:request_log_written_count'
LOG_DROPPED_COUNT = ':sightline:serving:request_log_dropped_count'

REST, GRPC = 'REST', 'GRPC'

# 10 * 1.8^k microseconds, as upstream.
_LATENCY_BOUNDS = tuple(10 * 1.8**k for k in range(33))
_ROW_BOUNDS = tuple(float(2**k) for k in range(11))
# Latest latencies that the percentiles are of.
_KEPT = 4096

_COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
  REQUEST_COUNT: (
    'The total number of requests.',
    ('model_name', 'status', 'version', 'signature_name'),
  ),
  ANSWER_COUNT: ('Images answered.', ('model_name', 'version', 'signature_name')),
  LOW_CONFIDENCE_COUNT: (
    'Answers that a person should look at.',
    ('model_name', 'version', 'signature_name'),
  ),
  FOREIGN_COUNT: (
    'Answers about images unlike those of train.',
    ('model_name', 'version', 'signature_name'),
  ),
  FALLBACK_COUNT: ('Requests answered in place of the model.', ('model_name', 'kind')),
  REFUSED_COUNT: ('Requests refused at the door.', ('model_name', 'reason')),
}
_HISTOGRAMS: dict[str, tuple[str, tuple[str, ...], tuple[float, ...]]] = {
  REQUEST_LATENCY: (
    'Distribution of wall time (in microseconds) for answered requests.',
    ('model_name', 'API', 'entrypoint', 'version', 'signature_name'),
    _LATENCY_BOUNDS,
  ),
  RUNTIME_LATENCY: (
    'Distribution of wall time (in microseconds) for calls of a model, with the wait for a batch.',
    ('model_name', 'API', 'runtime', 'version', 'signature_name'),
    _LATENCY_BOUNDS,
  ),
  BATCH_SIZE: ('Rows in one call of a model.', (), _ROW_BOUNDS),
}


class _Histogram:
  def __init__(self, bounds: Sequence[float]):
    self._bounds = bounds
    self._counts = [0] * (len(bounds) + 1)
    self._sum = 0.0

  def add(self, value: float) -> None:
    self._counts[bisect.bisect_left(self._bounds, value)] += 1
    self._sum += value

  def buckets(self) -> tuple[list[tuple[str, float]], float]:
    names = [*(str(float(bound)) for bound in self._bounds), '+Inf']
    running = [float(count) for count in np.cumsum(self._counts)]
    return list(zip(names, running, strict=True)), self._sum


class Metrics:
  """Counts and times; any thread may tell it something."""

  def __init__(self):
    self._lock = threading.Lock()
    self._counts: dict[str, collections.Counter] = {
      name: collections.Counter() for name in _COUNTERS
    }
    self._histograms: dict[str, dict[tuple[str, ...], _Histogram]] = {
      name: {} for name in _HISTOGRAMS
    }
    self._latest: dict[tuple[str, ...], collections.deque[float]] = {}
    self._gauges: dict = {}
    self._registry = registry.CollectorRegistry()
    self._registry.register(self)

  def add(self, name: str, *labels: str, by: int = 1) -> None:
    """Adds to a counter; labels in the order that it declares."""
    with self._lock:
      self._counts[name][labels] += by

  def observe(self, name: str, value: float, *labels: str) -> None:
    """Adds a value to a histogram: microseconds, or rows."""
    with self._lock:
      of_name = self._histograms[name]
      if labels not in of_name:
        of_name[labels] = _Histogram(_HISTOGRAMS[name][2])
      of_name[labels].add(value)
      if name == REQUEST_LATENCY:
        self._latest.setdefault(labels, collections.deque(maxlen=_KEPT)).append(value)

  def gauge(self, name: str, read, documentation: str) -> None:
    """Has a number read whenever somebody looks."""
    self._gauges[name] = (read, documentation)

  def text(self) -> bytes:
    """Returns everything in Prometheus' text format."""
    return exposition.generate_latest(self._registry)

  def percentiles(self) -> list[dict]:
    """Returns p50, p95 and p99 in milliseconds of the latest 4,096 requests of each kind."""
    with self._lock:
      latest = {labels: list(values) for labels, values in self._latest.items()}
      counts = self._counts[REQUEST_COUNT].copy()
    rows = []
    for labels, values in sorted(latest.items()):
      row: dict = dict(zip(_HISTOGRAMS[REQUEST_LATENCY][1], labels, strict=True))
      for percent in (50, 95, 99):
        row[f'p{percent}_ms'] = round(float(np.percentile(values, percent)) / 1000, 3)
      rows.append(row | {'requests': len(values)})
    refused: dict[str, int] = {}
    for (_, status, _, _), count in counts.items():
      if status != 'OK':
        refused[status] = refused.get(status, 0) + count
    return rows + [{'status': status, 'requests': count} for status, count in refused.items()]

  def describe(self):
    return []  # Asked at registration: what there will be shows later.

  def collect(self) -> Iterator[core.Metric]:
    """What prometheus_client asks of a collector."""
    with self._lock:
      counts = {name: dict(counter) for name, counter in self._counts.items()}
      histograms = {
        name: {labels: one.buckets() for labels, one in of_name.items()}
        for name, of_name in self._histograms.items()
      }
    for name, (documentation, label_names) in _COUNTERS.items():
      # Of type counter its name would end in _total, unlike upstream's.
      metric = core.Metric(name, documentation, 'unknown')
      for labels, count in sorted(counts[name].items()):
        metric.add_sample(name, dict(zip(label_names, labels, strict=True)), count)
      yield metric
    for name, (documentation, label_names, _) in _HISTOGRAMS.items():
      family = core.HistogramMetricFamily(name, documentation, labels=label_names)
      for labels, (buckets, total) in sorted(histograms[name].items()):
        family.add_metric(labels, buckets=buckets, sum_value=total)
      yield family
    for name, (read, documentation) in self._gauges.items():
      yield core.GaugeMetricFamily(name, documentation, value=read())

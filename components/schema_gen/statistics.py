"""How StatisticsGen is to look at the records."""

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from schemas import features

# A label beyond this many would be missing from the inferred domain. Hashes and
# paths are listed up to as many, so more would swell the statistics.
MOST_LABELS = 10_000


def statistics_options() -> tfdv.StatsOptions:
  """Returns options under which the images' bytes are not counted as text.

  The measurements of the images (size, brightness and so on) are columns of
  their own, so nothing is inferred from the bytes.
  """
  schema = schema_pb2.Schema()
  image = schema.feature.add(name=features.IMAGE, type=schema_pb2.BYTES)
  image.image_domain.SetInParent()
  return tfdv.StatsOptions(schema=schema, num_rank_histogram_buckets=MOST_LABELS)


def label_values(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> list[str]:
  """Returns the labels that occur in the statistics of one split."""
  return sorted(
    bucket.label
    for dataset in statistics.datasets
    for feature in dataset.features
    if list(feature.path.step) == [features.LABEL] or feature.name == features.LABEL
    for bucket in feature.string_stats.rank_histogram.buckets
  )

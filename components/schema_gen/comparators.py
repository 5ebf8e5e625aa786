"""How far a span may move from the one before, and train from production.

The schema says which change matters. Chance adds to it, the more the smaller the
samples are, and DataGate allows for that by the same two formulas; see
components/data_gate/allowance.py.
"""

from tensorflow_metadata.proto.v0 import schema_pb2

from schemas import features

# Of a class's share: five points, or half of an average class where that is less, so
# that a class that all but vanishes is noticed among many.
LARGEST_SHARE_CHANGE = 0.05
SHARE_OF_A_CLASS = 0.5
# Jensen-Shannon divergence, base 2, between 0 and 1. A normal distribution that moves by
# half a standard deviation comes to 0.045 by the integral and to 0.08 by TFDV's ten
# quantiles; of samples of one and the same set (digits, grocery photos), 0.065 was the
# most at 1,400 images and more.
LARGEST_DIVERGENCE = 0.1
MEASURED = (
  features.BRIGHTNESS,
  features.CONTRAST,
  features.SHARPNESS,
  features.WIDTH,
  features.HEIGHT,
  features.ASPECT,
  features.BYTES,
)


def add(feature: schema_pb2.Feature) -> None:
  """Sets drift and skew comparators of a measured column or of `label`; of others none."""
  for comparator in ('drift_comparator', 'skew_comparator'):
    if feature.name == features.LABEL:
      norm = getattr(feature, comparator).infinity_norm
      norm.threshold = share_change(len(feature.string_domain.value))
    elif feature.name in MEASURED:
      divergence = getattr(feature, comparator).jensen_shannon_divergence
      divergence.threshold = LARGEST_DIVERGENCE
      # Equal widths, TFDV's default, hang on the extremes: one image of another size
      # among hundreds of one size gives a divergence of 1.
      divergence.source.type = schema_pb2.HistogramSelection.QUANTILES


def share_change(classes: int) -> float:
  """Returns by how much the share of any of so many classes may change."""
  return round(min(LARGEST_SHARE_CHANGE, SHARE_OF_A_CLASS / max(classes, 1)), 4)

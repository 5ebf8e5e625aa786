"""Keys of the raw tf.Example, of the transformed example, and of a dataset's splits."""

# Splits, in the order in which they are written everywhere.
TRAIN = 'train'
VAL = 'val'
TEST = 'test'
SPLITS = (TRAIN, VAL, TEST)
# A set drawn from serving traffic, where data.production says that there is one: it is
# scored beside test, and nothing is fitted to it.
PRODUCTION = 'production'

# Raw tf.Example. One row is one image.
IMAGE = 'image/encoded'  # string, what models.image_file.prepare makes of the file
IMAGE_ID = 'image/id'  # string, sha256 of the file's bytes in hex
IMAGE_PATH = 'image/path'  # string, as written in the manifest
IMAGE_FORMAT = 'image/format'  # string, one of models.image_formats.file_magic.FORMATS, of the file
WIDTH = 'image/width'  # int64, pixels
HEIGHT = 'image/height'  # int64, pixels
ASPECT = 'image/aspect'  # float, width / height
BRIGHTNESS = 'image/brightness'  # float, mean luma, 0..1
CONTRAST = 'image/contrast'  # float, standard deviation of luma, 0..0.5
SHARPNESS = 'image/sharpness'  # float, variance of the luma's Laplacian
BYTES = 'image/bytes'  # int64, size of the encoded file
LABEL = 'label'  # string
LEAK = 'image/leak'  # string, one of LEAK_VALUES
BRIGHTNESS_BUCKET = 'bucket/brightness'  # string, one of BRIGHTNESS_BUCKETS
SIZE_BUCKET = 'bucket/size'  # string, one of SIZE_BUCKETS
# In no record: cut from manifest.parquet where a split is judged.
CONTRAST_BUCKET = 'bucket/contrast'  # low, middle or high: thirds of train
SHARPNESS_BUCKET = 'bucket/sharpness'  # likewise
ASPECT_BUCKET = 'bucket/aspect'  # one of ASPECT_BUCKETS
CLUSTER_BUCKET = 'bucket/cluster'  # whether near-copies, or rows of its group, stand beside it
COLUMN_PREFIX = 'column/'  # string, any further column of the manifest

# Whether a copy of the image, or a row of its group, stands in another split.
LEAK_VALUES = ('yes', 'no')

# TFMA makes one slice of each distinct value, so measurements are sliced by
# buckets at fixed limits: (name, upper limit, exclusive).
BRIGHTNESS_BUCKETS = (('dark', 0.25), ('medium', 0.6), ('bright', float('inf')))
# By the longer side, in pixels.
SIZE_BUCKETS = (('tiny', 64), ('small', 256), ('medium', 1024), ('large', float('inf')))
# Width by height.
ASPECT_BUCKETS = (('tall', 0.9), ('square', 1.1), ('wide', float('inf')))
BUCKETS = (
  BRIGHTNESS_BUCKET,
  CONTRAST_BUCKET,
  SHARPNESS_BUCKET,
  SIZE_BUCKET,
  ASPECT_BUCKET,
  CLUSTER_BUCKET,
)

# Transformed example.
LABEL_ID = 'label_id'  # int64 []
PIXEL_MEAN = 'pixel_mean'  # float32 [3], RGB on the 0..1 scale, over train
PIXEL_VARIANCE = 'pixel_variance'  # float32 [3]
LABEL_VOCABULARY = 'label'  # name of the vocabulary file in the transform graph


def column(name: str) -> str:
  """Returns the feature key of the manifest's column `name`."""
  return f'{COLUMN_PREFIX}{name}'


def bucket(value: float, limits: tuple[tuple[str, float], ...]) -> str:
  """Returns the name of the first bucket whose upper limit lies above `value`."""
  return next(name for name, limit in limits if value < limit)

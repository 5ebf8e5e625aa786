"""The config tree: one frozen, typed value for one experiment.

Each field's description is its documentation; `sightline init` writes it as a
comment. Reading, overriding and error texts are in schemas/loader.py.
"""

import pathlib
from typing import Annotated, Literal

import pydantic
from pydantic import Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$')]


class Node(pydantic.BaseModel):
  """Base of every section: frozen, and an unknown key is an error."""

  model_config = pydantic.ConfigDict(
    extra='forbid', frozen=True, populate_by_name=True, protected_namespaces=()
  )


class SplitConfig(Node):
  train: Fraction = Field(0.8, description='share of each class that fits the weights')
  val: Fraction = Field(0.1, description='share for early stopping')
  test: Fraction = Field(0.1, description='share for the verdict, never seen in training')
  seed: int = Field(0, description='another seed gives another split (a lock is kept)')
  time_column: str | None = Field(
    None,
    description='a further column, dates or numbers: the earliest go to train, the latest to test',
  )

  @pydantic.model_validator(mode='after')
  def _shares_sum_to_one(self) -> 'SplitConfig':
    total = self.train + self.val + self.test
    if abs(total - 1) > 1e-6:
      raise ValueError(f'train + val + test must be 1, and is {total:g}')
    if min(self.train, self.val, self.test) == 0:
      raise ValueError('train, val and test must each be above 0')
    return self


class CardConfig(Node):
  """The dataset card. A missing field is named in the summary."""

  source: str = Field('', description='where the images come from')
  owner: str = Field('', description='who answers for them')
  licence: str = Field('', description='what they may be used for')
  access: str = Field('', description='who may see them')
  freshness: str = Field('', description='when they were taken, and how often they are renewed')
  required: bool = Field(False, description='true: a missing field stops the run')

  def missing(self) -> list[str]:
    """Returns the names of the fields that are empty."""
    return [
      name
      for name in ('source', 'owner', 'licence', 'access', 'freshness')
      if not getattr(self, name).strip()
    ]


class DataConfig(Node):
  root: pathlib.Path | None = Field(
    None, description='the folder with labels.csv, or with one subfolder a class'
  )
  bundled: Literal['digits'] | None = Field(
    None, description='write this bundled data set to root before the run'
  )
  labels: str = Field('labels.csv', description='the manifest, relative to root')
  span: Annotated[int, Field(ge=0)] | None = Field(
    None, description='which folder span-N of root is read; by default the latest'
  )
  schema_path: pathlib.Path | None = Field(
    None, alias='schema', description='a curated schema.pbtxt; without one it is inferred'
  )
  lock: pathlib.Path | None = Field(
    None, description='the split lock; by default splits.lock.csv beside the manifest'
  )
  max_bad_fraction: Fraction = Field(
    0.02, description='the run stops when more than this share of the rows is quarantined'
  )
  slice_columns: tuple[str, ...] = Field(
    (), description='further columns of the manifest whose values the Evaluator slices by'
  )
  production: bool = Field(
    False,
    description="true: rows whose split is 'production' are scored beside test, never trained on",
  )
  on_drift: Literal['stop', 'warn'] = Field(
    'stop', description='what a span does that drifted from the one before'
  )
  group_columns: tuple[str, ...] = Field(
    (),
    description='further columns (patient, session, device): images of equal value share a split',
  )
  near_copies: bool = Field(
    True, description='images that show one picture share a split, also re-encoded or mirrored'
  )
  on_leak: Literal['stop', 'warn', 'drop'] = Field(
    'stop',
    description='copies that column or lock put into several splits: drop takes them out of train',
  )
  decisions: str = Field(
    'decisions.csv', description='what reviewers decided about single files, relative to root'
  )
  split: SplitConfig = SplitConfig()
  card: CardConfig = CardConfig()


class AuditConfig(Node):
  """The page that shows the data before anything is trained on them."""

  samples_per_class: Annotated[int, Field(ge=1)] = Field(
    10, description='pictures of each class on the page'
  )
  seed: int = Field(0, description='another seed draws other samples')
  suspects: bool = Field(True, description='false: no search for labels that look wrong')


class ImageConfig(Node):
  height: Annotated[int, Field(ge=8, le=2048)] = Field(
    96, description='pixels; every image is resized to height x width'
  )
  width: Annotated[int, Field(ge=8, le=2048)] = Field(96, description='pixels')


class ModelConfig(Node):
  backbone: str = Field('efficientnet_b0', description='a row of models/backbones.py')
  weights: str = Field(
    'auto', description='auto | imagenet | none | the id of an earlier run | a .weights.h5 file'
  )
  dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description='before the last layer')
  drop_connect: Annotated[float, Field(ge=0, lt=1)] = Field(
    0.0, description='stochastic depth inside the backbone'
  )


class AugmentConfig(Node):
  """Random changes to training images, drawn anew for each image and epoch."""

  shift: Fraction = Field(0.08, description='largest shift, as a share of the side')
  rotation: Annotated[float, Field(ge=0, le=3.1416)] = Field(
    0.17, description='largest rotation, in radians'
  )
  zoom: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description='largest change of scale')
  horizontal_flip: bool = Field(
    False, description='mirror half of the images; wrong for digits, signs and text'
  )
  brightness: Fraction = Field(0.0, description='largest change, as a share of 255')
  contrast: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description='largest change')


class StageConfig(Node):
  name: Name
  epochs: Annotated[int, Field(ge=1)]
  learning_rate: Positive = Field(description='the peak, after the warm-up')
  trainable: Literal['head', 'all'] = 'all'
  batch_norm: Literal['inference', 'train'] = Field(
    'inference', description="'train' updates BatchNorm's statistics and weights"
  )


class TrainConfig(Node):
  batch_size: Annotated[int, Field(ge=1)] = Field(32, description='images a step')
  epochs: Annotated[int, Field(ge=1)] = Field(15, description='at most; of the last stage')
  frozen_epochs: Annotated[int, Field(ge=1)] = Field(
    5, description='at most; of the frozen first stage, where there are weights'
  )
  learning_rate: Positive = Field(
    2e-3, description='peak of the first stage; unfrozen, a tenth of it'
  )
  optimizer: Literal['adamw', 'sgd'] = Field(
    'adamw', description='sgd has Nesterov momentum of 0.9 and wants a higher rate'
  )
  weight_decay: Annotated[float, Field(ge=0)] = Field(
    0.05, description='not on biases and BatchNorm'
  )
  clip_norm: Positive = Field(1.0, description='limit of the global gradient norm')
  warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
    0.1, description='share of the steps in which the rate rises'
  )
  label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
  early_stopping_patience: Annotated[int, Field(ge=1)] = Field(
    8, description='epochs without a better val loss before a stage ends'
  )
  precision: Literal['auto', 'float32', 'mixed_bfloat16'] = 'auto'
  seed: int = Field(0, description='weights, order of images, augmentation and dropout')
  stages: tuple[StageConfig, ...] | None = Field(
    None, description='written out, this replaces epochs, frozen_epochs and learning_rate'
  )


class SliceFloorConfig(Node):
  slice: str = Field(description='label, a slice column, bucket/brightness or bucket/size')
  min_accuracy: Fraction


class EvaluateConfig(Node):
  """What the Evaluator asks before it blesses a model."""

  min_accuracy: Fraction = Field(
    0.9, description='absolute bar on test, for the first model and every later one'
  )
  max_accuracy_drop: Fraction = Field(
    0.01, description='how much worse than the model in service is still accepted'
  )
  bucket: Literal['bucket/brightness', 'bucket/size'] = Field(
    'bucket/brightness', description='the measured bucket that is sliced by'
  )
  slice_floors: tuple[SliceFloorConfig, ...] = Field(
    (), description='bars that each value of a slice must reach'
  )


class ServingValidatorConfig(Node):
  """What the export must meet before it is published."""

  p95_ms: Positive = Field(100.0, description='95th percentile of a warm call with one image')
  disk_mb: Positive = Field(100.0, description='size of the export')
  rss_mb: Positive = Field(2000.0, description='peak memory of the process that serves it')
  calls: Annotated[int, Field(ge=200)] = Field(200, description='warm calls that are measured')
  max_difference: Positive = Field(
    1e-5, description='largest difference of a probability from what was evaluated'
  )


class PublishConfig(Node):
  directory: pathlib.Path | None = Field(
    None, description='base folder of TensorFlow Serving; by default <run root>/serving'
  )
  model_name: Name | None = Field(None, description='by default the name of the experiment')


class RunConfig(Node):
  root: pathlib.Path | None = Field(None, description='by default runs/<name>')
  cache: bool = Field(True, description='reuse what an earlier run computed from the same input')
  draft: bool = Field(False, description='open questions are marked DRAFT')
  engine: Literal['local', 'kubeflow'] = 'local'


class Config(Node):
  """One experiment."""

  name: Name = Field(description='of the experiment and, by default, of the model')
  data: DataConfig = DataConfig()
  audit: AuditConfig = AuditConfig()
  image: ImageConfig = ImageConfig()
  augment: AugmentConfig = AugmentConfig()
  model: ModelConfig = ModelConfig()
  train: TrainConfig = TrainConfig()
  evaluate: EvaluateConfig = EvaluateConfig()
  serving_validator: ServingValidatorConfig = ServingValidatorConfig()
  publish: PublishConfig = PublishConfig()
  run: RunConfig = RunConfig()

  @property
  def model_name(self) -> str:
    return self.publish.model_name or self.name

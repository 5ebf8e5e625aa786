"""The config tree: one frozen, typed value for one experiment.

Each field's description is its documentation; `sightline init` writes it as a
comment. Reading, overriding and error texts are in schemas/loader.py.
"""

import datetime
import difflib
import pathlib
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from schemas import metadata_url
from schemas.beam import BeamConfig, Bucket
from schemas.node import Node

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
DottedPath = Annotated[str, Field(pattern=r'^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$')]
Name = Annotated[str, Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$')]


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


class ProblemConfig(Node):
  """What the model is for, in words: the part of the model card that people know."""

  task: str = Field('', description='what question does it answer, and what is it not asked?')
  input: str = Field('', description='what does it look at: which pictures, taken how?')
  output: str = Field('', description='what does it say, and what is done with the answer?')
  users: str = Field('', description='who uses it, and for whom?')
  out_of_scope: str = Field('', description='what must it not be used for?')
  success: str = Field('', description='when is it good enough, and who says so?')
  harms: str = Field('', description='whom can a wrong answer, or a misuse, hurt?')
  privacy: str = Field('', description='can people be recognised, and what was done about it?')
  required: bool = Field(False, description='true: an empty field stops the run')

  def missing(self) -> list[str]:
    """Returns the names of the fields that are empty."""
    names = [name for name in type(self).model_fields if name != 'required']
    return [name for name in names if not getattr(self, name).strip()]


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
  directional: bool | None = Field(
    None,
    description='true: a mirrored or turned image is of another class, or of none (digits, signs, '
    'text), and flips are refused; false: they are fine; not declared: a flip is warned about',
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
  fit: Literal['squash', 'crop', 'pad'] = Field(
    'squash',
    description='how an image of another shape fits: squash ignores its aspect ratio, crop takes '
    'the centre, pad keeps all of it between black bars',
  )
  crop_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
    1.0, description='with fit: crop, the share of the shorter side that is kept'
  )


class ModelConfig(Node):
  backbone: str = Field('efficientnet_b0', description='a row of models/backbone_table.py')
  weights: str = Field(
    'auto',
    description='auto | imagenet | bundled | none | the id of an earlier run | a .weights.h5 file',
  )
  dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description='before the last layer')
  drop_connect: Annotated[float, Field(ge=0, lt=1)] = Field(
    0.0, description='stochastic depth inside the backbone'
  )
  hidden_units: Annotated[int, Field(ge=0)] = Field(
    0, description='of one more layer before the last; 0: none'
  )
  build_fn: DottedPath | None = Field(
    None, description='a function of your own that builds the backbone: package.module.function'
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
  vertical_flip: bool = Field(
    False, description='turn half of the images upside down; wrong for most photos'
  )
  brightness: Fraction = Field(0.0, description='largest change, as a share of 255')
  contrast: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description='largest change')
  saturation: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description='largest change')
  crop_area: Annotated[float, Field(gt=0, le=1)] = Field(
    1.0, description='random resized crop: smallest share of the area that is kept; 1: no crop'
  )
  crop_ratio: Annotated[float, Field(ge=1, le=4)] = Field(
    1.333, description='largest change of the aspect ratio by that crop'
  )
  rand_augment: Annotated[int, Field(ge=0, le=10)] = Field(
    0, description="operations of Keras' RandAugment an image; 0: none"
  )
  rand_magnitude: Fraction = Field(
    0.3, description='their strength, as a share of the largest: 0.3 turns by up to 108 degrees'
  )
  mixup: Annotated[float, Field(ge=0)] = Field(
    0.0, description='alpha of MixUp, 0.2 is usual; 0: none'
  )
  cutmix: Annotated[float, Field(ge=0)] = Field(
    0.0, description='alpha of CutMix, 1.0 is usual; 0: none'
  )
  mix_probability: Fraction = Field(
    1.0, description='share of the batches that are mixed; the others are left as they are'
  )
  fn: DottedPath | None = Field(
    None, description='a function of your own, called last: package.module.function'
  )
  reasons: dict[str, str] = Field(
    {}, description='why each change keeps the class: shift, rotation, ...'
  )

  @pydantic.field_validator('reasons')
  @classmethod
  def _reasons_are_of_changes(cls, reasons: dict[str, str]) -> dict[str, str]:
    known = sorted(set(cls.model_fields) - {'reasons'})
    for name in reasons:
      if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f' Did you mean {near[0]}?' if near else ''
        raise ValueError(f'unknown key {name}.{hint} Known: {", ".join(known)}')
    return reasons


class StageConfig(Node):
  name: Name
  epochs: Annotated[int, Field(ge=1)]
  learning_rate: Positive = Field(description='the peak, after the warm-up')
  trainable: Literal['head', 'blocks', 'all'] = 'all'
  blocks: Annotated[int, Field(ge=1)] | None = Field(
    None, description='with trainable: blocks, how many of the last blocks of the backbone'
  )
  layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
    1.0, description='factor of the rate from each block to the one before it'
  )
  batch_norm: Literal['inference', 'train'] = Field(
    'inference', description="'train' updates BatchNorm's statistics and weights"
  )

  @pydantic.model_validator(mode='after')
  def _blocks_where_they_count(self) -> 'StageConfig':
    if (self.blocks is None) == (self.trainable == 'blocks'):
      raise ValueError(
        f'expected blocks exactly where trainable is blocks. Received: trainable '
        f'{self.trainable}, blocks {self.blocks}'
      )
    return self


class TrainConfig(Node):
  batch_size: Annotated[int, Field(ge=1)] = Field(32, description='images a batch')
  accumulate: Annotated[int, Field(ge=1)] = Field(
    1, description='batches a step of the optimizer: their gradients are averaged'
  )
  epochs: Annotated[int, Field(ge=1)] = Field(15, description='at most; of the last stage')
  frozen_epochs: Annotated[int, Field(ge=1)] = Field(
    5, description='at most; of the frozen first stage, where there are weights'
  )
  learning_rate: Positive = Field(
    2e-3, description='peak of the first stage; unfrozen, a tenth of it'
  )
  find_rate: Literal['off', 'show', 'use'] = Field(
    'off', description='look for the rate before training: show draws the curve, use takes it'
  )
  optimizer: Literal['adamw', 'sgd'] = Field(
    'adamw', description='sgd has Nesterov momentum and wants a higher rate'
  )
  momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description='of sgd')
  weight_decay: Annotated[float, Field(ge=0)] = Field(
    0.05, description='not on biases and BatchNorm'
  )
  clip_norm: Positive = Field(1.0, description='limit of the global gradient norm')
  schedule: Literal['cosine', 'one_cycle', 'step', 'plateau', 'constant'] = Field(
    'cosine', description='of the learning rate within a stage'
  )
  warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
    0.1, description='share of the steps in which the rate rises; one_cycle wants about 0.3'
  )
  decay_epochs: Annotated[int, Field(ge=1)] = Field(
    5, description='of schedule step: epochs between two falls; of plateau: epochs without gain'
  )
  decay_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
    0.1, description='of schedules step and plateau: what the rate is multiplied by'
  )
  loss: Literal['cross_entropy', 'focal'] = 'cross_entropy'
  focal_gamma: Annotated[float, Field(ge=0)] = Field(
    2.0, description='of the focal loss; 0 is cross-entropy'
  )
  label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
  class_weights: bool = Field(
    False, description='weigh each image by N / (K n_k), n_k the images of its class in train'
  )
  sampling: Literal['none', 'oversample', 'undersample'] = Field(
    'none', description='give every class an equal share of each training epoch'
  )
  ema: Annotated[float, Field(ge=0, lt=1)] = Field(
    0.0, description='momentum of a moving average of the weights, such as 0.99; 0: none'
  )
  early_stopping_patience: Annotated[int, Field(ge=1)] = Field(
    8, description='epochs without a better val loss before a stage ends'
  )
  feature_copies: Annotated[int, Field(ge=0)] = Field(
    0,
    description='augmented copies of each image whose features a frozen stage computes once and '
    'reuses; 0: only where nothing is augmented',
  )
  precision: Literal['auto', 'float32', 'mixed_bfloat16', 'mixed_float16'] = 'auto'
  seed: int = Field(0, description='weights, order of images, augmentation and dropout')
  deterministic: bool = Field(
    True, description='the same seed gives the same weights, bit for bit, on the same machine'
  )
  checkpoint_seconds: Annotated[float, Field(ge=0)] = Field(
    30.0, description='at most so much work is lost by a kill; 0: a checkpoint after every batch'
  )
  keep_decoded: bool = Field(
    True, description='decode each image once, where all of them fit in a quarter of free memory'
  )
  checks: bool = Field(
    True,
    description='before the first epoch: shapes, memory, loss, gradients, a tiny batch; at the '
    'end: the export against the trained network',
  )
  budget_minutes: Positive | None = Field(
    None, description='for the training; a plan that does not fit proposes one that does'
  )
  strategy: Literal['none', 'mirrored', 'multi_worker'] = Field(
    'none',
    description='mirrored: all GPUs of this machine; multi_worker: several machines. batch_size is '
    'that of all of them together',
  )
  stages: tuple[StageConfig, ...] | None = Field(
    None, description='written out, this replaces epochs, frozen_epochs and learning_rate'
  )

  @pydantic.model_validator(mode='after')
  def _plateau_before_the_end(self) -> 'TrainConfig':
    if self.schedule == 'plateau' and self.decay_epochs >= self.early_stopping_patience:
      raise ValueError(
        f'schedule plateau expects decay_epochs below early_stopping_patience, '
        f'{self.early_stopping_patience}: the stage would end before its rate falls. '
        f'Received: {self.decay_epochs}'
      )
    return self

  @pydantic.model_validator(mode='after')
  def _what_a_strategy_allows(self) -> 'TrainConfig':
    if self.strategy == 'none':
      return self
    if self.feature_copies:
      raise ValueError(
        f'strategy {self.strategy} expects feature_copies: 0, since each replica computes the '
        f'features of its own images anew. Received: {self.feature_copies}'
      )
    if self.precision == 'mixed_float16':
      raise ValueError(
        f'strategy {self.strategy} expects precision auto, float32 or mixed_bfloat16: the scale of '
        'the loss is kept by one device alone. Received: mixed_float16'
      )
    return self


class SliceFloorConfig(Node):
  slice: str = Field(
    description='label, a slice column, or bucket/ and one of brightness, contrast, sharpness, '
    'size, aspect, cluster'
  )
  min_accuracy: Fraction


class OverrideConfig(Node):
  """A gate that a person sets aside, and answers for."""

  gate: Literal['accuracy', 'slices', 'figures', 'comparison', 'floor', 'groups']
  who: Annotated[str, Field(min_length=2)] = Field(description='the name of that person')
  reason: Annotated[str, Field(min_length=10)] = Field(description='why; a sentence')
  when: datetime.date = Field(description='day of the decision: 2026-01-31')


class EvaluateConfig(Node):
  """What the Evaluator asks before it blesses a model."""

  min_accuracy: Fraction = Field(
    0.9, description='absolute bar on test, for the first model and every later one'
  )
  max_accuracy_drop: Fraction = Field(
    0.01, description='how much worse than the model in service is still accepted'
  )
  bless: tuple[Literal['better', 'same', 'undecided'], ...] = Field(
    ('better', 'same'),
    description='verdicts on test, against the model in service, that are published: better is '
    'beyond chance; same needs every slice to hold; undecided looks worse, maybe by chance',
  )
  min_macro_f1: Fraction = Field(
    0.0, description='mean F1 over the classes; sees what accuracy hides where one class is rare'
  )
  min_pr_auc: Fraction = Field(
    0.0, description='mean over the classes of the area under precision and recall'
  )
  slice_floors: tuple[SliceFloorConfig, ...] = Field(
    (), description='bars that each value of a slice must reach'
  )
  groups: tuple[str, ...] = Field(
    (), description='slice columns whose values are groups that should be served equally well'
  )
  max_group_gap: Fraction | None = Field(
    None, description='largest gap in accuracy between two of them; by default only shown'
  )
  overrides: tuple[OverrideConfig, ...] = Field(
    (), description='gates that a named person sets aside, for a reason'
  )


class FloorsConfig(Node):
  """Simple models on the same images: whether a network is worth what it costs."""

  fit: bool = Field(True, description='fit them, in seconds, in every run with new data')
  gates: bool = Field(
    True, description='the network must beat the best of them on test, beyond chance'
  )
  reason: str = Field('', description='with gates: false, why the best of them is only shown')

  @pydantic.model_validator(mode='after')
  def _shown_for_a_reason(self) -> 'FloorsConfig':
    if self.fit and not self.gates and not self.reason.strip():
      raise ValueError(
        'gates: false lets a network be published that is no better than a simple model. '
        'Expected: a reason beside it. Received: none'
      )
    return self


class DecisionConfig(Node):
  """What the export says beside its probabilities: tuned on val, never on test."""

  calibrate: bool = Field(
    True, description='divide the logits by a temperature, so that 0.9 means right 9 times of 10'
  )
  accepted_accuracy: Fraction = Field(
    0.98, description='answers that are not flagged low_confidence are to be right so often'
  )
  least_threshold: Fraction = Field(
    0.5, description='an answer less probable than this is flagged in any case'
  )
  class_images: Annotated[int, Field(ge=1)] = Field(
    20, description='answers of a class on val from which on it has a threshold of its own'
  )
  review_threshold: Fraction | None = Field(
    None, description='one threshold of your own for all classes; by default tuned on val'
  )
  foreign_share: Fraction = Field(
    0.02, description='of images such as those of val, so many may be called foreign'
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
  max_slowdown: Annotated[float, Field(gt=1)] | None = Field(
    None,
    description='most times as slow or as large as the version in service, beyond chance; none: '
    'the comparison is only shown',
  )


class FormatsConfig(Node):
  """What `sightline model export` asks of a model in another format."""

  max_difference: Positive = Field(
    1e-4, description='largest difference of a probability from the export; other kernels round'
  )
  calibration_images: Annotated[int, Field(ge=1)] = Field(
    300, description='of train, at most, that 8-bit numbers are scaled by'
  )
  max_int8_loss: Fraction = Field(
    0.01, description='of accuracy on test, by 8-bit numbers, that is still accepted'
  )


class AnalysisConfig(Node):
  """What is found out about a model after its evaluation; it gates nothing."""

  run: bool = Field(
    True, description='ask about test images again, changed, and show errors with what was seen'
  )
  images: Annotated[int, Field(ge=1)] = Field(
    200, description='test images that are changed, at most; each is asked about some 40 times'
  )
  errors: Annotated[int, Field(ge=0)] = Field(24, description='of the surest errors, at most')
  seed: int = Field(0, description='of the images that are drawn, of noise and directions')


class TunerConfig(Node):
  """A search over train and val before the training; test is not within its reach."""

  trials: Annotated[int, Field(ge=0)] = Field(
    0, description='combinations to try by random search; 0: no search'
  )
  epochs: Annotated[int, Field(ge=1)] = Field(5, description='of each trial, at most')
  space: dict[str, list[Any]] = Field(
    {'train.learning_rate': [5e-4, 1e-3, 2e-3, 4e-3], 'train.weight_decay': [0.0, 0.01, 0.05]},
    description='fields of augment, model and train, and the values to try for each',
  )


class PublishConfig(Node):
  directory: pathlib.Path | None = Field(
    None, description='base folder of TensorFlow Serving; by default <run root>/serving'
  )
  bucket: Bucket | None = Field(
    None,
    description='gs://bucket/folder that gets each published version, too; servers read '
    '<bucket>/<model name>.config there. One run at a time',
  )
  model_name: Name | None = Field(None, description='by default the name of the experiment')


class RequestLogConfig(Node):
  """What is kept of served requests, for monitoring and for the replay of a candidate."""

  rate: Fraction = Field(
    0.0, description='share of the requests that is logged, drawn by their ids; 0: none'
  )
  images: bool = Field(
    False,
    description='true: the images are kept as well, and can be replayed; ask who is shown in them; '
    'false: their hashes and measurements alone',
  )
  directory: pathlib.Path | None = Field(None, description='by default <run root>/requests')
  file_mb: Positive = Field(64.0, description='a file is complete at this size')
  minutes: Positive = Field(5.0, description='or after this time')
  total_mb: Positive = Field(1024.0, description='of all files; the oldest are deleted first')
  days: Positive = Field(30.0, description='a file is deleted after this time')
  queue: Annotated[int, Field(ge=1)] = Field(
    64, description='requests that wait to be written; beyond it they are dropped and counted'
  )

  @pydantic.model_validator(mode='after')
  def _room_for_two_files(self) -> 'RequestLogConfig':
    if 2 * self.file_mb > self.total_mb:
      raise ValueError(
        f'total_mb: expected room for two files of file_mb, {2 * self.file_mb:g}. '
        f'Received: {self.total_mb:g}'
      )
    return self


class ServeConfig(Node):
  """How `sightline serve CONFIG` serves."""

  request_log: RequestLogConfig = RequestLogConfig()


class RunConfig(Node):
  root: pathlib.Path | None = Field(None, description='by default runs/<name>')
  state: pathlib.Path | None = Field(
    None,
    description='what later runs build on: hashes, checkpoints, answers to test images; by default '
    '<run root>/state. On Kubeflow a folder that all pods mount',
  )
  cache: bool = Field(True, description='reuse what an earlier run computed from the same input')
  draft: bool = Field(False, description='open questions are marked DRAFT')
  engine: Literal['local', 'vertex', 'kfp'] = Field(
    'local', description='for `sightline compile`, which sets it: Vertex AI, or Kubeflow Pipelines'
  )
  metadata: str | None = Field(
    None,
    description='database of a PostgreSQL server, postgresql://USER@HOST:PORT/DATABASE, one for '
    'each experiment; by default a file of the run root. The password is not written here: '
    'PGPASSWORD or PGPASSFILE of the environment',
  )

  @pydantic.field_validator('metadata')
  @classmethod
  def _metadata_has_an_address(cls, metadata: str | None) -> str | None:
    if metadata is not None:
      metadata_url.parse(metadata)
    return metadata

  @pydantic.model_validator(mode='after')
  def _kubeflow_keeps_the_metadata(self) -> 'RunConfig':
    if self.engine != 'local' and self.metadata:
      raise ValueError(
        'engine: Kubeflow keeps the metadata itself. Expected: no metadata beside it'
      )
    return self


class ResourcesConfig(Node):
  """What the container of one component asks for, and is limited to."""

  cpu: Positive | None = Field(None, description='cores, such as 4 or 0.5')
  memory: Annotated[str, Field(pattern=r'^[1-9]\d*(M|G|T|Mi|Gi|Ti)$')] | None = Field(
    None, description='such as 16G or 512Mi'
  )
  accelerator: str | None = Field(
    None, description='Vertex AI: its name, NVIDIA_TESLA_T4; Kubernetes: nvidia.com/gpu'
  )
  count: Annotated[int, Field(ge=1)] | None = Field(None, description='of accelerators')

  @pydantic.model_validator(mode='after')
  def _accelerator_with_its_count(self) -> 'ResourcesConfig':
    if (self.accelerator is None) != (self.count is None):
      raise ValueError(
        'expected accelerator and count together, or neither. Received: accelerator '
        f'{self.accelerator}, count {self.count}'
      )
    return self


class KubeflowConfig(Node):
  """Read by `sightline compile` alone."""

  resources: dict[str, ResourcesConfig] = Field(
    {}, description='by component, such as Trainer; what is left out is up to the cluster'
  )


class Config(Node):
  """One experiment."""

  name: Name = Field(description='of the experiment and, by default, of the model')
  problem: ProblemConfig = ProblemConfig()
  data: DataConfig = DataConfig()
  audit: AuditConfig = AuditConfig()
  image: ImageConfig = ImageConfig()
  augment: AugmentConfig = AugmentConfig()
  model: ModelConfig = ModelConfig()
  train: TrainConfig = TrainConfig()
  tuner: TunerConfig = TunerConfig()
  decision: DecisionConfig = DecisionConfig()
  floors: FloorsConfig = FloorsConfig()
  evaluate: EvaluateConfig = EvaluateConfig()
  serving_validator: ServingValidatorConfig = ServingValidatorConfig()
  formats: FormatsConfig = FormatsConfig()
  analysis: AnalysisConfig = AnalysisConfig()
  publish: PublishConfig = PublishConfig()
  serve: ServeConfig = ServeConfig()
  run: RunConfig = RunConfig()
  beam: BeamConfig = BeamConfig()
  kubeflow: KubeflowConfig = KubeflowConfig()

  @pydantic.model_validator(mode='after')
  def _no_flip_of_directional_classes(self) -> 'Config':
    flips = [
      f'augment.{name}'
      for name in ('horizontal_flip', 'vertical_flip')
      if getattr(self.augment, name)
    ]
    if flips and self.data.directional:
      raise ValueError(
        f'{flips[0]} is true, and data.directional says that a mirrored image is of another class '
        'or of none. Expected: no flip, or data.directional: false'
      )
    return self

  @property
  def model_name(self) -> str:
    return self.publish.model_name or self.name

  @property
  def state(self) -> pathlib.Path:
    """What outlives a run and is no artifact."""
    assert self.run.root is not None  # the loader fills it in
    return self.run.state or self.run.root / 'state'

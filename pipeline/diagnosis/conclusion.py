"""What the steps come to, in one sentence."""

import dataclasses
from collections.abc import Sequence

from pipeline.diagnosis import step as steps_of
from pipeline.diagnosis.step import GAP, OK, Step

NO_GAP = 'no gap'
SERVING_BUG = 'serving bug'
DATA_SHIFT = 'data shift'
CONCEPT = 'concept or labels'

_NOT_EQUAL = {
  steps_of.REPLAY: 'test images are not answered as they were evaluated',
  steps_of.ANSWERS: 'the server does not answer about these images as the export does',
  steps_of.LOGGED: 'what production logged is not what the export answers',
}
_NEXT_SERVING = {
  steps_of.REPLAY: 'Publish the evaluated version again, or restart the server on it.',
  steps_of.ANSWERS: 'Mend the server before anything is said about the data.',
  steps_of.LOGGED: 'Let the client send the bytes of the file as they are, and log the label '
  'that it got.',
}


@dataclasses.dataclass(frozen=True)
class Conclusion:
  """The kind of gap, and a sentence with the next step."""

  kind: str
  sentence: str


def conclude(steps: Sequence[Step]) -> Conclusion:
  """Returns the first cause that the steps show: serving before data before labels."""
  gaps = {step.name: step for step in steps if step.outcome == GAP}
  for name in steps_of.SERVING:
    if name in gaps:
      cause = gaps[name].cause or 'no usual fault explains it'
      return Conclusion(
        SERVING_BUG, f'serving bug: {_NOT_EQUAL[name]}: {cause}. {_NEXT_SERVING[name]}'
      )
  worse = steps_of.ACCURACY in gaps
  so_far = (
    'the model is right less often'
    if worse
    else 'accuracy does not differ from that on test beyond chance'
  )
  shifted = [
    f'{kind} shift ({gaps[name].cause})'
    for kind, name in (('covariate', steps_of.PROPERTIES), ('label', steps_of.LABELS))
    if name in gaps
  ]
  if shifted:
    return Conclusion(
      DATA_SHIFT,
      f'data shift: {" and ".join(shifted)}, and {so_far}. Add such images, with their labels, '
      'to the data and train again; --json FILE names such files.',
    )
  if steps_of.CONFIDENCE in gaps:
    return Conclusion(
      DATA_SHIFT,
      f'data shift: in nothing that is measured, but the model is otherwise sure, and {so_far}. '
      'Look at the images of the lowest probability, and add such ones to the data.',
    )
  if worse:
    return Conclusion(
      CONCEPT,
      'concept or labels: the images look alike, and the model is right less often. Have the '
      'labels of the wrong answers read by a second person; where they hold, the classes mean '
      'something else than in train.',
    )
  not_done = [step.name for step in steps if step.outcome not in (GAP, OK)]
  missing = f' Not compared: {", ".join(not_done)}.' if not_done else ''
  return Conclusion(
    NO_GAP, f'no gap: nothing differs beyond chance.{missing} The model does what was evaluated.'
  )

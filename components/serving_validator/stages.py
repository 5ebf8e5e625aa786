"""Where the time of one answer goes, from times that were measured apart.

Four graphs are timed beside the whole call, on the same image and in the same round:
nothing (the bytes go in), `decode`, `fit` (decode and resize, as a batch of one), and
`decision` (made-up logits go in, all outputs come out). The stages follow:

- call: nothing, which is what any call costs;
- decode: decode - nothing;
- resize: fit - decode, with the loop over the batch;
- decision: decision - nothing;
- network: the whole call - fit - (decision - nothing), so whatever else the export does.

In each round they add up to the whole call. A stage is a difference of measurements: one
that takes next to nothing may come out below 0.
"""

import numpy as np

# Columns of what is measured, each in ms.
WHOLE, NOTHING, DECODE, FIT, DECISION = range(5)
MEASURED = 5

NAMES = ('decode', 'resize', 'network', 'decision', 'call')


def split(rounds: np.ndarray) -> np.ndarray:
  """Returns the stages of each round.

  Args:
    rounds: float64 [R, MEASURED] in ms.

  Returns:
    float64 [R, len(NAMES)] in ms; each row adds up to that round's whole call.
  """
  whole, nothing, decode, fit, decision = rounds.T
  decided = decision - nothing
  return np.stack([decode - nothing, fit - decode, whole - fit - decided, decided, nothing], axis=1)


def medians(rounds: np.ndarray) -> dict[str, float]:
  """Returns the median of each stage over the rounds, in ms, by its name."""
  return dict(zip(NAMES, np.median(split(rounds), axis=0).tolist(), strict=True))

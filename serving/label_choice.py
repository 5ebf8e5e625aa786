"""Which label a request asks for: a fixed share of the requests goes to the canary.

A server does not divide traffic; who sends a request does, a client or a gateway.
"""

import hashlib

STABLE = 'stable'
CANARY = 'canary'


def choose_label(request_id: str, share: float) -> str:
  """Returns `canary` for a share of the requests, `stable` for the others.

  The id decides: a retry asks the same version. As an id, that of a user or a session
  keeps all of its requests on one version. A larger share keeps what a smaller one sent
  to the canary. The draw is independent of the one of the request log.

  Args:
    request_id: any text.
    share: that asks for the canary, 0..1.
  """
  digest = hashlib.sha256(b'canary\0' + request_id.encode(errors='replace')).digest()
  return CANARY if int.from_bytes(digest[:8]) < share * 2**64 else STABLE

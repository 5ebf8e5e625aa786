"""Clients that ask a server again and again, and what they saw.

    python benchmarks/load_generator.py rest HOST:PORT PATH BODY_FILE --clients 16 --seconds 5
    python benchmarks/load_generator.py rest HOST:PORT PATH photo.jpg --rate 50 --seconds 20
    python benchmarks/load_generator.py grpc HOST:PORT - BODY_FILE --clients 16 --seconds 5

Prints one line of JSON: requests, failures, seconds, latencies in milliseconds. Its own
work is as small as it can be, since it shares the processors with the server: bodies are
ready, and of an answer the status alone is read. With --rate the requests are sent at that
rate, whether or not earlier ones were answered, and a latency counts from when it was due:
where all connections are busy, a request waits for one, and that counts, too. An image in
the place of BODY_FILE is made into the body of a prediction.
"""

import argparse
import asyncio
import base64
import json
import pathlib
import time
from collections.abc import Awaitable, Callable

Ask = Callable[[], Awaitable[bool]]
IMAGES = ('.jpg', '.jpeg', '.png', '.gif', '.bmp', '.webp')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('protocol', choices=['rest', 'grpc'])
  parser.add_argument('address')
  parser.add_argument('path')
  parser.add_argument('body', type=pathlib.Path)
  parser.add_argument('--clients', type=int, default=16)
  parser.add_argument('--seconds', type=float, default=5.0)
  parser.add_argument('--rate', type=float, default=0.0, help='requests a second; 0: as fast as')
  parser.add_argument('--timeline', type=pathlib.Path, help='file of [time, ms, ok] a request')
  parser.add_argument('--while-ready', metavar='URL', help='end when it says 503, as a balancer')
  args = parser.parse_args()
  print(json.dumps(asyncio.run(load(args))))


async def load(args: argparse.Namespace) -> dict:
  """Runs the clients; returns what they saw."""
  seen: list[tuple[float, bool]] = []
  timeline: list[tuple[float, float, bool]] = []
  begin = time.perf_counter()
  end = begin + args.seconds
  turn = iter(range(1 << 60))
  draining = asyncio.Event()

  async def client() -> None:
    async with Connection(args) as connection:
      while True:
        due = begin + next(turn) / args.rate if args.rate else time.perf_counter()
        if due >= end or draining.is_set():
          return
        if (wait := due - time.perf_counter()) > 0:
          await asyncio.sleep(wait)
        ok = await connection.ask()
        seen.append(((time.perf_counter() - due) * 1000, ok))
        timeline.append((time.time(), *seen[-1]))

  looking = asyncio.create_task(look(args.while_ready, draining)) if args.while_ready else None
  await asyncio.gather(*(client() for _ in range(args.clients)))
  if looking:
    looking.cancel()
  took = time.perf_counter() - begin
  if args.timeline:
    args.timeline.write_text(json.dumps(timeline))
  good = sorted(latency for latency, ok in seen if ok)
  cuts = {
    f'p{percent}': good[min(len(good) - 1, int(len(good) * percent / 100))] if good else None
    for percent in (50, 95, 99)
  }
  return {
    'requests': len(good),
    'failures': len(seen) - len(good),
    'seconds': took,
    'rate': len(good) / took,
    'longest': good[-1] if good else None,
    **cuts,
  }


async def look(url: str, draining: asyncio.Event) -> None:
  """Sets the event when the server says that it is about to stop."""
  import httpx

  async with httpx.AsyncClient() as client:
    while (await client.get(url)).status_code == 200:
      await asyncio.sleep(0.05)
  draining.set()


def body(path: pathlib.Path) -> bytes:
  """Returns the bytes of a file, or of an image the JSON that asks about it."""
  content = path.read_bytes()
  if path.suffix.lower() not in IMAGES:
    return content
  encoded = {'b64': base64.b64encode(content).decode('ascii')}
  return json.dumps({'instances': [encoded]}).encode()


class Connection:
  """One connection that is kept open."""

  def __init__(self, args: argparse.Namespace):
    self._args = args
    self._host, _, self._port = args.address.rpartition(':')
    self._body = body(args.body)
    head = (
      f'POST {args.path} HTTP/1.1\r\nHost: {args.address}\r\nContent-Type: application/json\r\n'
      f'Content-Length: {len(self._body)}\r\n\r\n'
    )
    self._request = head.encode() + self._body

  async def __aenter__(self) -> 'Connection':
    if self._args.protocol == 'grpc':
      import grpc

      # A channel each: connections are shared otherwise.
      self._channel = grpc.aio.insecure_channel(
        self._args.address, options=[('grpc.use_local_subchannel_pool', 1)]
      )
      self._predict = self._channel.unary_unary('/tensorflow.serving.PredictionService/Predict')
    else:
      self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))
    return self

  async def __aexit__(self, *_) -> None:
    if self._args.protocol == 'grpc':
      await self._channel.close()
    else:
      self._writer.close()

  async def ask(self) -> bool:
    """Sends the request once; returns whether it was answered well."""
    if self._args.protocol == 'grpc':
      import grpc

      try:
        await self._predict(self._body)
      except grpc.RpcError:
        return False
      return True
    self._writer.write(self._request)
    try:
      head = await self._reader.readuntil(b'\r\n\r\n')
    except (asyncio.IncompleteReadError, ConnectionError):
      return False
    length = next(
      int(line.split(b':')[1])
      for line in head.lower().split(b'\r\n')
      if line.startswith(b'content-length')
    )
    await self._reader.readexactly(length)
    return head.startswith(b'HTTP/1.1 200')


if __name__ == '__main__':
  main()

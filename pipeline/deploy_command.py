"""`sightline deploy`: which version answers, and how that is changed.

The heavy imports wait inside the functions: the command line imports this module when
it starts.
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from pipeline import library_output
from schemas.loader import load_config

if TYPE_CHECKING:
  from pipeline.rollout import actions, log_comparison, move, shadow, versions
  from pipeline.rollout.deployments import Deployment

EXIT_CHANGED = 3
_HASH_DIGITS = 12
_MOVES = 5
_CLASSES = 10

app = typer.Typer(
  help='Which version answers: labels, canary, rollback, replay.', no_args_is_help=True
)

Config = Annotated[
  pathlib.Path, typer.Argument(metavar='CONFIG', help='The experiment, a YAML file.')
]
Set = Annotated[
  list[str], typer.Option('--set', metavar='KEY=VALUE', help='Override, e.g. publish.directory=X.')
]
Servers = Annotated[
  list[str],
  typer.Option(
    '--server',
    metavar='ADDRESS',
    help='HOST:PORT of gRPC, told at once; or http://HOST:PORT, which polls the file. Repeatable.',
  ),
]
Offline = Annotated[
  bool, typer.Option('--offline', help='No server runs: write the file without asking any.')
]
Who = Annotated[str, typer.Option(help='Who moves it; by default user and machine.')]
Why = Annotated[str, typer.Option(metavar='TEXT', help='Why; kept with the record.')]
Seconds = Annotated[float, typer.Option(help='To wait for each step.')]
BasePath = Annotated[
  str | None,
  typer.Option(help='The folder of the versions as the server sees it, if that is another one.'),
]


@app.command()
def status(config: Config, server: Servers = [], overrides: Set = []):  # noqa: B006
  """Show every published version: labels, state on the servers, origin; and the last moves."""
  from pipeline import lineage

  with library_output.held_back():
    from pipeline.rollout import deployments, model_file, servers, versions

    loaded = load_config(config, overrides)
    found = versions.overview(loaded, [servers.connect(address) for address in server])
    file = model_file.path(loaded)
    root = lineage.run_root(loaded)
    moves = (
      deployments.history(root, loaded.model_name) if (root / lineage.DATABASE).exists() else []
    )
  out = Console(soft_wrap=True, highlight=False)
  there = '' if file.exists() else ' (not there yet: the newest version is served)'
  out.print(Text(f'{loaded.model_name}, {file}{there}'))
  for version in found:
    _print_version(out, version)
  if not found:
    out.print('no version is published; publish one with: sightline run CONFIG')
  if moves:
    out.print(Text('\nlast moves', 'bold'))
  for one in reversed(moves[-_MOVES:]):
    out.print(Text(_move_words(one)))


@app.command()
def promote(
  config: Config,
  version: Annotated[str, typer.Argument(metavar='VERSION', help='A published version.')],
  server: Servers = [],  # noqa: B006
  offline: Offline = False,
  why: Why = '',
  who: Who = '',
  seconds: Seconds = 60.0,
  base_path: BasePath = None,
  overrides: Set = [],  # noqa: B006
):
  """Make a version the stable one: loaded first, labelled then, the old one let go last."""
  place = _place(config, server, offline, seconds, base_path, overrides)
  _do('promote', place, who, why, version)


@app.command()
def rollback(
  config: Config,
  server: Servers = [],  # noqa: B006
  offline: Offline = False,
  why: Why = '',
  who: Who = '',
  seconds: Seconds = 60.0,
  overrides: Set = [],  # noqa: B006
):
  """Make the version stable again that was it before, and ask the servers who answers."""
  _do('rollback', _place(config, server, offline, seconds, None, overrides), who, why)


@app.command()
def canary(
  config: Config,
  version: Annotated[
    str | None, typer.Argument(metavar='[VERSION]', help='A published version.')
  ] = None,
  remove: Annotated[bool, typer.Option('--remove', help='Take the canary away.')] = False,
  server: Servers = [],  # noqa: B006
  offline: Offline = False,
  why: Why = '',
  who: Who = '',
  seconds: Seconds = 60.0,
  overrides: Set = [],  # noqa: B006
):
  """Put the label canary on a version, beside the stable one.

  Which requests ask for it is for the client or the gateway to decide.
  """
  if remove == (version is not None):
    raise typer.BadParameter('expected either VERSION or --remove')
  place = _place(config, server, offline, seconds, None, overrides)
  _do('remove_canary' if remove else 'canary', place, who, why, *([version] if version else []))


@app.command('shadow')
def shadow_(
  config: Config,
  version: Annotated[str, typer.Argument(metavar='VERSION', help='The candidate.')],
  log: Annotated[
    pathlib.Path | None,
    typer.Option(help='A request log with images; by default the config says.'),
  ] = None,
  labels: Annotated[
    pathlib.Path | None,
    typer.Option(help='A CSV: image_id (sha256 of the file) and label, where people know it.'),
  ] = None,
  output: Annotated[
    pathlib.Path | None, typer.Option(help='The page; by default in the run root.')
  ] = None,
  overrides: Set = [],  # noqa: B006
):
  """Ask a version about logged requests, and show which answers it would change.

  Exit code 0: it is not worse as far as labels are known. 3: it is. 1: nothing to replay.
  """
  from pipeline import lineage

  with library_output.held_back():
    from pipeline.rollout import flips_page, model_file, shadow

    loaded = load_config(config, overrides)
    _, export = model_file.version_of(loaded, version)
    folder = log or loaded.serve.request_log.directory
    assert folder is not None  # the loader fills it in
    found = shadow.replay(
      export,
      folder,
      shadow.read_labels(labels) if labels else {},
      loaded.evaluate.max_accuracy_drop,
    )
    page = (output or lineage.run_root(loaded) / f'shadow-{version}.html').expanduser().resolve()
    flips_page.write(found, loaded.model_name, folder, page)
  out = Console(soft_wrap=True, highlight=False)
  for line in _replay_lines(found):
    out.print(Text(line))
  out.print(Text(f'page       {page}'))
  worse = found.labelled is not None and found.labelled.verdict == 'worse'
  raise typer.Exit(EXIT_CHANGED if worse else 0)


@app.command()
def drift(
  first: Annotated[pathlib.Path, typer.Argument(metavar='LOG', help='A request log: before.')],
  second: Annotated[pathlib.Path, typer.Argument(metavar='LOG', help='A request log: after.')],
):
  """Compare two request logs: shares of the classes, and how sure the answers are.

  Each LOG is a folder or one of its files. Exit code 0: no change beyond chance. 3: one.
  """
  with library_output.held_back():
    from pipeline.rollout import log_comparison
    from serving import logged_requests

    found = log_comparison.compare(*map(logged_requests.frame, (first, second)))
  out = Console(soft_wrap=True, highlight=False)
  for line in _comparison_lines(found):
    out.print(Text(line))
  raise typer.Exit(EXIT_CHANGED if found.changed else 0)


def _place(
  config: pathlib.Path,
  addresses: Sequence[str],
  offline: bool,
  seconds: float,
  base_path: str | None,
  overrides: Sequence[str],
) -> 'move.Place':
  if offline == bool(addresses):
    raise typer.BadParameter(
      'expected --server ADDRESS, so that a label only moves to a version that is loaded, '
      'or --offline where no server runs'
    )
  from pipeline.rollout import move, servers

  loaded = load_config(config, overrides)
  return move.Place(loaded, [servers.connect(one) for one in addresses], seconds, base_path)


def _do(action: str, place: 'move.Place', who: str, why: str, *version: str) -> None:
  out = Console(file=library_output.terminal(), soft_wrap=True, highlight=False)
  with library_output.held_back():
    from pipeline.rollout import actions

    done: actions.Moved = getattr(actions, action)(
      place, *version, actions.Person(who, why), lambda line: out.print(Text(line))
    )
  for line in _moved_lines(done, place):
    out.print(Text(line))


def _moved_lines(done: 'actions.Moved', place: 'move.Place') -> list[str]:
  before = done.from_version or 'none'
  lines = [f'{done.label}: {before} -> {done.version or "none"}']
  for where, answer in done.answers.items():
    weights = answer.weights_sha256 or 'which the server does not name'
    lines.append(
      f'asked {where}: version {answer.version}, weights {weights[:_HASH_DIGITS]} ({answer.asked})'
      if answer.weights_sha256
      else f'asked {where}: version {answer.version} ({answer.asked})'
    )
  if not place.servers:
    lines.append(f'{place.file} is written; no server was asked')
  return lines


def _print_version(out: Console, version: 'versions.Version') -> None:
  states = ', '.join(
    f'{one.state} at {where}{": " + one.error if one.error else ""}'
    for where, one in version.states.items()
  )
  head = [str(version.number), *(f'[{label}]' for label in version.labels), states]
  out.print(Text('  '.join(part for part in head if part), 'bold' if version.labels else ''))
  when = f'{version.published:%Y-%m-%d %H:%M} UTC' if version.published else 'not in the record'
  out.print(Text(f'  published {when}{", run " + version.run_id if version.run_id else ""}'))
  out.print(Text(f'  weights {version.weights_sha256[:_HASH_DIGITS] or "cannot be read"}'))
  if version.accuracy:
    out.print(Text(f'  accuracy {version.accuracy}'))


def _move_words(one: 'Deployment') -> str:
  state = '' if one.state == 'COMPLETE' else f' ({one.state.lower()})'
  why = f': {one.why}' if one.why else ''
  return (
    f'  {one.when[:16].replace("T", " ")}  {one.action}{state}  {one.label} '
    f'{one.from_version or "none"} -> {one.version or "none"}, by {one.who}{why}'
  )


def _replay_lines(found: 'shadow.Replay') -> list[str]:
  rate = found.rate
  low, high = rate['interval']
  lines = [
    f'version {found.version} against what {", ".join(found.against)} answered: '
    f'{len(found.flips)} of {rate["n"]} pictures flip, {rate["value"]:.1%} '
    f'(95 % interval {low:.1%} to {high:.1%})'
  ]
  for name, (count, flipped) in found.classes.items():
    if flipped:
      lines.append(f'  {name}: {flipped} of {count}')
  if found.labelled is not None:
    lines.append(f'{found.labelled.verdict} where labels are known: {found.labelled.in_words()}')
  lines += [f'not replayed: {count} {reason}' for reason, count in found.skipped.items()]
  return lines


def _comparison_lines(found: 'log_comparison.Comparison') -> list[str]:
  lines = [f'{found.first} images before, {found.second} after']
  if found.versions[0] != found.versions[1]:
    lines.append(
      f'answered by other versions: {", ".join(found.versions[0])} and '
      f'{", ".join(found.versions[1])}; a change may come from the model'
    )
  for one in found.classes[:_CLASSES]:
    lines.append(
      f'{"changed" if one.changed else "ok":8} {one.label}: {one.first / found.first:.1%} -> '
      f'{one.second / found.second:.1%} (p {one.p:.2g})'
    )
  hidden = len(found.classes) - _CLASSES
  if hidden > 0:
    lines.append(f'         and {hidden} classes that changed less')
  lines.append(
    f'{"changed" if found.confidence_changed else "ok":8} probability: median '
    f'{found.medians[0]:.3f} -> {found.medians[1]:.3f}, distance {found.distance:.2f} '
    f'(p {found.p:.2g})'
  )
  return lines

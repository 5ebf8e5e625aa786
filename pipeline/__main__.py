"""The `sightline` command.

Heavy imports wait inside the commands: `sightline --help` has to answer at once.
"""

import os
import pathlib
import sys
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from pipeline import deploy_command, schema_command
from pipeline import doctor as doctor_module
from schemas.errors import SightlineError

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

app = typer.Typer(
  name='sightline',
  help='From a folder of labelled images to a model that has earned its place in production.',
  no_args_is_help=True,
  add_completion=False,
  pretty_exceptions_enable=False,
  rich_markup_mode='rich',
)
data_app = typer.Typer(help='Before training: data sets.', no_args_is_help=True)
runs_app = typer.Typer(help='The record of runs.', no_args_is_help=True)
model_app = typer.Typer(help='About one model.', no_args_is_help=True)
app.add_typer(data_app, name='data')
app.add_typer(runs_app, name='runs')
app.add_typer(model_app, name='model')
app.add_typer(deploy_command.app, name='deploy')
data_app.add_typer(schema_command.app, name='schema')

ConfigArgument = Annotated[
  pathlib.Path, typer.Argument(metavar='CONFIG', help='The experiment, a YAML file.')
]
RunArgument = Annotated[
  str, typer.Argument(metavar='RUN|VERSION', help='The id of a run, or a published version.')
]
_LISTENING = 'Where it listens'
_FALLBACK = 'When the model fails'
_TLS = 'TLS on both ports (files in PEM form)'
_CLIENT_TLS = 'TLS (files in PEM form)'
SetOption = Annotated[
  list[str], typer.Option('--set', metavar='KEY=VALUE', help='Override, e.g. train.epochs=5.')
]


@app.command()
def init(
  name: Annotated[str, typer.Argument(metavar='NAME', help='Of the experiment.')],
  data_root: Annotated[
    pathlib.Path, typer.Option(help='The folder with labels.csv, or with one subfolder a class.')
  ],
  directory: Annotated[
    pathlib.Path | None,
    typer.Option(help='Where the folder NAME is written; by default the working directory.'),
  ] = None,
):
  """Look at a folder of images and write an experiment for it."""
  from pipeline import draft, library_output

  with library_output.held_back():
    experiment = draft.write_experiment(name, data_root, directory)
  out = Console(highlight=False)
  for line in draft.describe(experiment):
    out.print(escape(line), soft_wrap=True)


@app.command()
def run(
  config: Annotated[
    pathlib.Path | None, typer.Argument(metavar='[CONFIG]', help='The experiment, a YAML file.')
  ] = None,
  data_root: Annotated[
    pathlib.Path | None, typer.Option(help='Instead of CONFIG: a folder of images, for a draft.')
  ] = None,
  overrides: SetOption = [],
  ask: Annotated[
    bool,
    typer.Option(help='Serve the published model for a moment and ask it about one test image.'),
  ] = True,
  goal: Annotated[
    str, typer.Option(metavar='TEXT', help='What this run is for; kept with its record.')
  ] = '',
):
  """Run the whole pipeline: check the data, train, judge, validate, publish.

  Exit code 0: a model is in service. 3: the run ended well and a gate refused the
  model. 1: the run stopped, or the published model did not answer.
  """
  from pipeline import run_command

  raise typer.Exit(run_command.run(config, data_root, overrides, ask, goal))


@data_app.command('get')
def data_get(
  dataset: Annotated[str, typer.Argument(metavar='DATASET', help='digits or flowers')],
  output: Annotated[
    pathlib.Path | None, typer.Option(help='The folder to write; by default data/DATASET.')
  ] = None,
):
  """Write a data set: digits come with the package, flowers are fetched (229 MB)."""
  from pipeline import datasets

  folder = output or pathlib.Path('data') / dataset
  out = Console(highlight=False)
  with out.status(f'writing {escape(str(folder))} ...'):
    datasets.write(dataset, folder)
  out.print(f'{escape(str(folder))} is complete', soft_wrap=True)


@data_app.command('audit')
def data_audit(
  output: Annotated[pathlib.Path, typer.Option(help='The folder to write the page to.')],
  config: Annotated[
    pathlib.Path | None, typer.Argument(metavar='[CONFIG]', help='The experiment, a YAML file.')
  ] = None,
  data_root: Annotated[
    pathlib.Path | None, typer.Option(help='Instead of CONFIG: the folder of images.')
  ] = None,
  overrides: SetOption = [],
):
  """Look at the data and write a page about it; nothing is trained or locked.

  Exit code 0: the page was written. 3: it was written, and says what would stop a
  run. 1: the data cannot be read.
  """
  from pipeline import audit_command

  raise typer.Exit(audit_command.run(config, data_root, output, overrides))


@runs_app.command('list')
def runs_list(config: ConfigArgument, overrides: SetOption = []):
  """List the runs of an experiment, newest first."""
  from pipeline import runs_command

  runs_command.list_(config, overrides)


@runs_app.command('show')
def runs_show(
  config: ConfigArgument,
  wanted: RunArgument,
  overrides: SetOption = [],
):
  """Show what a run, or a published version, was made from."""
  from pipeline import runs_command

  runs_command.show(config, wanted, overrides)


@runs_app.command('diff')
def runs_diff(
  config: ConfigArgument,
  first: Annotated[str, typer.Argument(metavar='A', help='A run id or a published version.')],
  second: Annotated[str, typer.Argument(metavar='B', help='The one that it is compared with.')],
  overrides: SetOption = [],
  as_json: Annotated[
    bool, typer.Option('--json', help='All of it as JSON, instead of tables.')
  ] = False,
):
  """Show what changed from run A to run B: config, data, code, machine, figures, time."""
  from pipeline import runs_command

  runs_command.diff(config, first, second, overrides, as_json)


@runs_app.command('report')
def runs_report(
  wanted: Annotated[
    str | None,
    typer.Argument(
      metavar='[RUN|VERSION]',
      help='The id of a run, or a published version; by default the latest.',
    ),
  ] = None,
  output: Annotated[
    pathlib.Path | None,
    typer.Option(help='The file to write; by default report.html in the folder of the run.'),
  ] = None,
  show: Annotated[bool, typer.Option('--open', help='Open it in the browser.')] = False,
  runs: Annotated[
    pathlib.Path, typer.Option(help='Where the runs are: of all experiments, or of one.')
  ] = pathlib.Path('runs'),
):
  """Write one page about a run: verdict, gates, curves, figures, lineage, model card."""
  from pipeline import runs_command

  runs_command.report(runs, wanted, output, show)


@runs_app.command('conclude')
def runs_conclude(
  config: ConfigArgument,
  wanted: RunArgument,
  text: Annotated[str, typer.Argument(metavar='TEXT', help='What came of it, in quotes.')],
  overrides: SetOption = [],
):
  """Write down what came of a run; earlier conclusions are kept."""
  from pipeline import runs_command

  runs_command.conclude(config, wanted, text, overrides)


@model_app.command('plan')
def model_plan(config: ConfigArgument, overrides: SetOption = []):
  """Time a few steps of the training here, say how long it will take, and what fits a budget.

  Nothing is trained or written. Exit code 0: it fits train.budget_minutes, or there is
  none. 3: it does not.
  """
  from pipeline import plan_command

  raise typer.Exit(plan_command.run(config, overrides))


@model_app.command('ablate')
def model_ablate(
  config: ConfigArgument,
  off: Annotated[
    str, typer.Option(help='Components to leave out, one at a time: augmentation,warmup,...')
  ],
  seeds: Annotated[int, typer.Option(help='Trainings of each variant.')] = 3,
  overrides: SetOption = [],
):
  """Train with and without each component, on the data of a run, and compare them on val."""
  from pipeline import ablate_command

  wanted = [name.strip() for name in off.split(',') if name.strip()]
  raise typer.Exit(ablate_command.run(config, wanted, seeds, overrides))


@model_app.command('baselines')
def model_baselines(config: ConfigArgument, overrides: SetOption = []):
  """Train a small network and frozen features on the same split, each in a run of its own."""
  from pipeline import baselines_command

  raise typer.Exit(baselines_command.run(config, overrides))


@model_app.command('diagnose')
def model_diagnose(
  wanted: Annotated[
    str,
    typer.Argument(metavar='RUN|VERSION', help='The id of a run, a version, or its folder.'),
  ],
  images: Annotated[pathlib.Path, typer.Option(help='The folder of images from production.')],
  labels: Annotated[
    pathlib.Path,
    typer.Option(help='A CSV: filename,label and, where production logged it, predicted.'),
  ],
  server: Annotated[
    str | None, typer.Option(metavar='URL', help='Of the live server; without, one of our own.')
  ] = None,
  config: Annotated[
    pathlib.Path | None, typer.Option(help='The experiment, where runs/ does not hold it.')
  ] = None,
  model: Annotated[
    str | None, typer.Option(help='Name that the server serves; by default that of the run.')
  ] = None,
  json_file: Annotated[
    pathlib.Path | None, typer.Option('--json', metavar='FILE', help='Writes all of it there.')
  ] = None,
):
  """Tell a fault of the serving from other data, by labelled images from production.

  Exit code 0: no gap. 3: one was found. 1: it could not be told.
  """
  from pipeline import diagnose_command

  raise typer.Exit(diagnose_command.run(wanted, images, labels, server, config, model, json_file))


@model_app.command('verify')
def model_verify(
  address: Annotated[
    str,
    typer.Argument(
      metavar='ADDRESS', help='Of the live server: http://HOST:PORT for REST, HOST:PORT for gRPC.'
    ),
  ],
  model: Annotated[
    str | None, typer.Option(help='Name that the server serves; by default that of the export.')
  ] = None,
  export: Annotated[
    pathlib.Path | None,
    typer.Option(help='The folder of a version, or of several, of which the newest counts.'),
  ] = None,
  config: Annotated[
    pathlib.Path | None,
    typer.Option(help='Instead: the experiment whose newest published version it is.'),
  ] = None,
  limit: Annotated[
    float | None,
    typer.Option(min=0.0, help='Largest difference of a probability; by default 1e-5.'),
  ] = None,
  ca: Annotated[
    pathlib.Path | None,
    typer.Option(help="Who vouches for the server's certificate, where nobody known does."),
  ] = None,
  overrides: SetOption = [],
):
  """Replay the proof that an export carries against a live server.

  Exit code 0: answers, version and weights are those of the export. 1: they are not, or
  it could not be told.
  """
  from pipeline import verify_command

  raise typer.Exit(verify_command.run(address, model, export, config, limit, ca, overrides))


@model_app.command('export')
def model_export(
  wanted: Annotated[
    str,
    typer.Argument(metavar='RUN|VERSION', help='The id of a run, a version, or its folder.'),
  ],
  format_name: Annotated[
    str, typer.Option('--format', metavar='FORMAT', help='onnx, litert or openvino.')
  ],
  output: Annotated[
    pathlib.Path | None,
    typer.Option(help='The folder to write; by default NAME-VERSION-FORMAT.'),
  ] = None,
  quantized: Annotated[
    bool, typer.Option('--int8', help='8-bit numbers (openvino); the loss on test is measured.')
  ] = False,
  into_version: Annotated[
    bool,
    typer.Option(
      '--into-version', help='Into the published version, for: serve --backend openvino.'
    ),
  ] = False,
  config: Annotated[
    pathlib.Path | None,
    typer.Option(help='The experiment, where runs/ does not hold it; its limits count.'),
  ] = None,
  overrides: SetOption = [],
):
  """Write a model for another runtime, and prove on test that it answers alike.

  Exit code 0: it does, and was written. 1: it does not, or could not be written.
  """
  from pipeline import export_command

  export_command.run(wanted, format_name, output, quantized, into_version, config, overrides)


@model_app.command('selftest')
def model_selftest(
  json_file: Annotated[
    pathlib.Path | None, typer.Option('--json', metavar='FILE', help='Writes all of it there.')
  ] = None,
):
  """Plant one fault at a time and show which gate caught it; some minutes, no data needed.

  Exit code 0: all were caught, and what is clean was let pass. 3: the gap is named.
  """
  from pipeline import selftest_command

  raise typer.Exit(selftest_command.run(json_file))


@app.command()
def serve(
  config: Annotated[
    pathlib.Path | None,
    typer.Argument(metavar='[CONFIG]', help='The experiment whose model is served.'),
  ] = None,
  directory: Annotated[
    pathlib.Path | None,
    typer.Option(
      metavar='DIR', help='Instead of CONFIG: the folder of one model, with a folder a version.'
    ),
  ] = None,
  model_config_file: Annotated[
    pathlib.Path | None,
    typer.Option(
      metavar='FILE', help="Instead of CONFIG: several models, in TensorFlow Serving's text form."
    ),
  ] = None,
  name: Annotated[
    str | None,
    typer.Option(metavar='NAME', help='That clients ask for; by default the name of the folder.'),
  ] = None,
  host: Annotated[
    str,
    typer.Option(
      metavar='ADDRESS',
      help='To listen on; 0.0.0.0 lets other machines in.',
      rich_help_panel=_LISTENING,
    ),
  ] = '127.0.0.1',
  port: Annotated[
    int, typer.Option(help='Of REST; 0 for a free one.', rich_help_panel=_LISTENING)
  ] = 8501,
  grpc_port: Annotated[
    int, typer.Option(help='Of gRPC; 0 for a free one.', rich_help_panel=_LISTENING)
  ] = 8500,
  grpc_socket_path: Annotated[
    str,
    typer.Option(
      metavar='PATH', help='Of a Unix socket, for gRPC as well.', rich_help_panel=_LISTENING
    ),
  ] = '',
  poll_seconds: Annotated[
    float,
    typer.Option(
      metavar='SECONDS', min=0.01, help='Between two looks for a newer version or another file.'
    ),
  ] = 1.0,
  drain_seconds: Annotated[
    float,
    typer.Option(
      metavar='SECONDS',
      min=0,
      help='After SIGTERM: for so long /readyz says no while requests are still taken.',
    ),
  ] = 0.0,
  batching: Annotated[
    bool, typer.Option(help='Answer requests that meet by one call of the model.')
  ] = True,
  batching_parameters_file: Annotated[
    pathlib.Path | None,
    typer.Option(metavar='FILE', help="TensorFlow Serving's BatchingParameters, in text form."),
  ] = None,
  fallback_previous: Annotated[
    bool,
    typer.Option(
      '--fallback-previous',
      help='Keep the version before the newest loaded; it answers when the newest fails.',
      rich_help_panel=_FALLBACK,
    ),
  ] = False,
  fallback_label: Annotated[
    str,
    typer.Option(
      metavar='LABEL',
      help='Answered with probability 0 when no version can; by default an error.',
      rich_help_panel=_FALLBACK,
    ),
  ] = '',
  request_log: Annotated[
    pathlib.Path | None,
    typer.Option(
      metavar='DIR',
      help='Log requests here: those that serve.request_log of CONFIG draws, or all without one.',
    ),
  ] = None,
  ssl_key: Annotated[
    pathlib.Path | None,
    typer.Option(metavar='FILE', help="The server's private key.", rich_help_panel=_TLS),
  ] = None,
  ssl_certificate: Annotated[
    pathlib.Path | None,
    typer.Option(metavar='FILE', help='Its certificate, with the chain.', rich_help_panel=_TLS),
  ] = None,
  ssl_client_ca: Annotated[
    pathlib.Path | None,
    typer.Option(
      metavar='FILE',
      help='Of whom clients must bring a certificate; without, any client is let in.',
      rich_help_panel=_TLS,
    ),
  ] = None,
  backend: Annotated[
    str,
    typer.Option(
      metavar='BACKEND',
      help='What runs the network: tensorflow, openvino, or the binary tensorflow_model_server.',
    ),
  ] = 'tensorflow',
  overrides: SetOption = [],
):
  """Serve models by TensorFlow Serving's REST and gRPC APIs, until Ctrl-C or SIGTERM.

  What is served is said by CONFIG, --directory or --model-config-file, one of them.
  A version that appears later is loaded and takes over without a request lost.

  Ask it with: sightline predict --model NAME FILE
  """
  from pipeline import serve_command

  models = serve_command.Models(config, directory, model_config_file, name, tuple(overrides))
  serve_command.serve(
    models,
    serve_command.Listening(
      host,
      port,
      grpc_port,
      grpc_socket_path,
      serve_command.tls_files(ssl_key, ssl_certificate, ssl_client_ca),
    ),
    poll_seconds=poll_seconds,
    drain_seconds=drain_seconds,
    batching=batching,
    batching_parameters_file=batching_parameters_file,
    fallback_previous=fallback_previous,
    fallback_label=fallback_label,
    log_folder=request_log,
    backend=backend,
  )


@app.command()
def predict(
  paths: Annotated[
    list[pathlib.Path],
    typer.Argument(metavar='FILE|FOLDER', help='Images, and folders that are searched for them.'),
  ],
  model: Annotated[
    str, typer.Option(metavar='NAME', help='Of the model, as `sightline serve` printed it.')
  ],
  url: Annotated[
    str,
    typer.Option(
      metavar='URL',
      help='Of the server: http(s)://HOST:PORT for REST, grpc(s)://HOST:PORT for gRPC.',
    ),
  ] = 'http://127.0.0.1:8501',
  version: Annotated[
    int | None, typer.Option(min=0, help='That has to answer; by default the newest.')
  ] = None,
  label: Annotated[
    str | None,
    typer.Option(metavar='LABEL', help='Of the version that has to answer: stable, canary.'),
  ] = None,
  output: Annotated[
    str | None,
    typer.Option(
      metavar='FILE', help='A .csv or .json file, or - for CSV on standard output; else a table.'
    ),
  ] = None,
  probabilities: Annotated[
    bool, typer.Option('--probabilities', help='Of every class too, by number, in the output.')
  ] = False,
  concurrency: Annotated[int, typer.Option(min=1, help='Requests under way at once.')] = 4,
  together: Annotated[
    int, typer.Option('--images-per-request', min=1, max=128, help='At most so many.')
  ] = 8,
  timeout: Annotated[
    float, typer.Option(min=0.001, metavar='SECONDS', help='Longest wait for one answer.')
  ] = 30.0,
  retries: Annotated[
    int,
    typer.Option(min=0, help='Further tries, with growing waits, where the server is busy.'),
  ] = 4,
  ca: Annotated[
    pathlib.Path | None,
    typer.Option(
      metavar='FILE',
      help="Who vouches for the server's certificate, where nobody known does.",
      rich_help_panel=_CLIENT_TLS,
    ),
  ] = None,
  certificate: Annotated[
    pathlib.Path | None,
    typer.Option(
      metavar='FILE',
      help='Our own, for a server that asks for one.',
      rich_help_panel=_CLIENT_TLS,
    ),
  ] = None,
  key: Annotated[
    pathlib.Path | None,
    typer.Option(metavar='FILE', help='Of that certificate.', rich_help_panel=_CLIENT_TLS),
  ] = None,
):
  """Ask a running server about images.

  Exit code 0: every file was answered. 1: a file was not, and its row says why,
  or the server cannot be asked at all.
  """
  from pipeline import predict_command
  from serving.target import Target

  target = Target(
    url,
    model,
    version,
    label,
    timeout,
    retries,
    ca,
    predict_command.tls_files(certificate, key),
  )
  raise typer.Exit(
    predict_command.run(
      paths, target, predict_command.Output(output, probabilities), together, concurrency
    )
  )


@app.command('compile')
def compile_(
  config: ConfigArgument,
  output: Annotated[
    pathlib.Path,
    typer.Option(help='.yaml for Kubeflow Pipelines and Vertex AI, .json for Vertex AI.'),
  ],
  target: Annotated[
    Literal['vertex', 'kfp'],
    typer.Option(help='Vertex AI Pipelines, or the open-source Kubeflow Pipelines.'),
  ] = 'vertex',
  pipeline_root: Annotated[
    str | None, typer.Option(help='Where the run writes, such as gs://bucket/path.')
  ] = None,
  image: Annotated[str | None, typer.Option(help='The container image.')] = None,
  submit: Annotated[bool, typer.Option('--submit', help='Create a run of it, too.')] = False,
  params: Annotated[
    list[str], typer.Option('--param', metavar='NAME=VALUE', help='A run parameter, for --submit.')
  ] = [],
  project: Annotated[str | None, typer.Option(help='Of Google Cloud, for --submit.')] = None,
  region: Annotated[str | None, typer.Option(help='Of Vertex AI, for --submit.')] = None,
  service_account: Annotated[
    str | None, typer.Option(help='That the run has, for --submit.')
  ] = None,
  endpoint: Annotated[
    str | None, typer.Option(metavar='URL', help='Of Kubeflow Pipelines, for --submit.')
  ] = None,
  namespace: Annotated[
    str | None, typer.Option(help='Of a Kubeflow with several users, for --submit.')
  ] = None,
  overrides: SetOption = [],
):
  """Compile the pipeline for Kubeflow Pipelines v2, check the file, and submit it if asked."""
  from pipeline import compile_command
  from pipeline.kubeflow import submission

  to = submission.Destination(project, region, service_account, endpoint, namespace)
  asked = compile_command.Submission(to, tuple(params)) if submit else None
  compile_command.run(config, output, target, pipeline_root, image, overrides, asked)


@app.command()
def doctor(
  config: Annotated[
    pathlib.Path | None,
    typer.Argument(metavar='[CONFIG]', help='An experiment: its Beam engine is asked as well.'),
  ] = None,
  overrides: SetOption = [],
):
  """Say whether this machine can run Sightline, and what to do about each red line."""
  checks = doctor_module.examine()
  if config is not None:
    checks.append(doctor_module.check_beam(config, overrides))
  Console().print(doctor_module.render(checks))
  raise typer.Exit(EXIT_ERROR if doctor_module.failed(checks) else 0)


def main() -> None:
  """Entry point: prints what a person can mend, and nothing else, for a known error."""
  # TensorFlow's C++ code reads it once, when it is loaded.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  try:
    doctor_module.check_shadowing()
    app()
  except SightlineError as error:
    Console(stderr=True, highlight=False).print(
      f'[bold red]error[/] {escape(str(error))}', soft_wrap=True
    )
    sys.exit(EXIT_ERROR)
  except KeyboardInterrupt:
    sys.exit(EXIT_INTERRUPTED)


if __name__ == '__main__':
  main()

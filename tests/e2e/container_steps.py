"""Runs the steps of a compiled pipeline as subprocesses, as a backend runs its containers."""

import json
import os
import pathlib
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).parents[2]
BIN = pathlib.Path(sys.executable).parent
PLACEHOLDER = '{{$}}'


class Steps:
  """One run of a compiled file, on this machine.

  What a backend does is done here: parameters and artifacts are resolved, each step is given
  an ExecutorInput in place of the placeholder, and its report is read for those after it.
  """

  def __init__(self, compiled: pathlib.Path, folder: pathlib.Path, parameters: dict):
    """Takes the file, the folder that artifacts go to, and the run parameters."""
    self.spec = yaml.safe_load(compiled.read_text())
    self.folder = folder
    inputs = self.spec['root']['inputDefinitions']['parameters']
    assert set(parameters) <= set(inputs)
    self.parameters = {
      name: parameters.get(name, declared.get('defaultValue')) for name, declared in inputs.items()
    }
    self.made: dict[str, dict[str, dict]] = {}

  def order(self) -> list[str]:
    """Returns the tasks, each after those that it depends on."""
    tasks = self.spec['root']['dag']['tasks']
    found: list[str] = []
    while len(found) < len(tasks):
      ready = [
        name
        for name, task in sorted(tasks.items())
        if name not in found and set(task.get('dependentTasks', ())) <= set(found)
      ]
      assert ready, 'a circle'
      found += ready
    return found

  def executor_input(self, task: str, parameters: dict | None = None) -> dict:
    """Returns what a backend would hand to the step."""
    spec = self.spec['root']['dag']['tasks'][task]
    component = self.spec['components'][spec['componentRef']['name']]
    folder = self.folder / task
    inputs = spec.get('inputs', {})
    return {
      'inputs': {
        'artifacts': {
          name: {
            'artifacts': [
              self.made[source['taskOutputArtifact']['producerTask']][
                source['taskOutputArtifact']['outputArtifactKey']
              ]
            ]
          }
          for name, source in inputs.get('artifacts', {}).items()
        },
        'parameterValues': {
          name: self._value(source) for name, source in inputs.get('parameters', {}).items()
        }
        | (parameters or {}),
      },
      'outputs': {
        'artifacts': {
          name: {
            'artifacts': [
              {
                'name': f'{task}/{name}',
                'type': declared['artifactType'],
                'uri': str(folder / name),
              }
            ]
          }
          for name, declared in component.get('outputDefinitions', {}).get('artifacts', {}).items()
        },
        'outputFile': str(folder / 'executor_output.json'),
      },
    }

  def _value(self, source: dict):
    if 'componentInputParameter' in source:
      return self.parameters[source['componentInputParameter']]
    return source['runtimeValue']['constant']

  def command(self, task: str, given: dict) -> list[str]:
    """Returns command and arguments of the step's container."""
    label = self.spec['components'][task]['executorLabel']
    container = self.spec['deploymentSpec']['executors'][label]['container']
    words = [*container['command'], *container['args']]
    return [json.dumps(given) if word == PLACEHOLDER else word for word in words]

  def run(self, task: str, parameters: dict | None = None, **environment: str):
    """Runs one step; what it reports is there for those after it.

    Args:
      task: its name.
      parameters: instead of those of the run.
      **environment: further variables.
    """
    given = self.executor_input(task, parameters)
    for row in given['outputs']['artifacts'].values():
      # As the launcher of Kubeflow Pipelines does: the folder above is there.
      pathlib.Path(row['artifacts'][0]['uri']).parent.mkdir(parents=True, exist_ok=True)
    done = run_command(self.command(task, given), self.folder, **environment)
    report = self.folder / task / 'executor_output.json'
    if done.returncode == 0:
      reported = json.loads(report.read_text())['artifacts']
      self.made[task] = {
        name: given['outputs']['artifacts'][name]['artifacts'][0] | row['artifacts'][0]
        for name, row in reported.items()
      }
    return done


def run_command(words: list[str], folder: pathlib.Path, **environment: str):
  """Runs a container's command as its image would: a bare `python`, no file of this checkout."""
  path = f'{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin'
  return subprocess.run(
    words,
    cwd=folder,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    check=False,
    env={'PATH': path, 'HOME': str(folder), 'PYTHONPATH': str(ROOT)} | environment,
  )

"""What the backend of a target refuses, found before it is asked."""

from schemas.errors import RunError

# The open-source backend reads this version alone; Vertex AI reads it too.
SCHEMA_VERSION = '2.1.0'


def check(spec: dict, source: str, target: str) -> None:
  """Refuses what the message types allow and the backend does not.

  Args:
    spec: a PipelineSpec as plain values, of the right types.
    source: stands at the head of the error.
    target: vertex or kfp.

  Raises:
    RunError: names the first thing that would be refused.
  """
  version = spec.get('schemaVersion')
  if version != SCHEMA_VERSION:
    raise RunError(f'{source}: schemaVersion: expected {SCHEMA_VERSION}. Received: {version}.')
  found = resolvers(spec)
  if found and target == 'kfp':
    raise RunError(
      f'{source}: expected no resolver: the backend of Kubeflow Pipelines answers "resolver not '
      f'implemented yet". Received: {", ".join(found)}. Compile with --target kfp.'
    )
  _references(spec, source)


def resolvers(spec: dict) -> tuple[str, ...]:
  """Returns the components that are resolvers, sorted."""
  executors = spec['deploymentSpec']['executors']
  return tuple(
    sorted(
      name
      for name, component in spec['components'].items()
      if 'resolver' in executors.get(component.get('executorLabel'), {})
    )
  )


def _references(spec: dict, source: str) -> None:
  """Refuses a name that leads nowhere: no message type knows which names there are."""
  executors = spec['deploymentSpec']['executors']
  components, tasks = spec['components'], spec['root']['dag']['tasks']
  parameters = spec['root'].get('inputDefinitions', {}).get('parameters', {})
  for name, component in components.items():
    if component.get('executorLabel') not in executors:
      raise _nowhere(source, f'components.{name}', component.get('executorLabel'), executors)
  for name, task in tasks.items():
    where = f'tasks.{name}'
    component = task.get('componentRef', {}).get('name')
    if component not in components:
      raise _nowhere(source, where, component, components)
    for upstream in task.get('dependentTasks', ()):
      if upstream not in tasks:
        raise _nowhere(source, where, upstream, tasks)
    inputs = task.get('inputs', {})
    for artifact in inputs.get('artifacts', {}).values():
      made = artifact['taskOutputArtifact']
      if made['producerTask'] not in tasks:
        raise _nowhere(source, where, made['producerTask'], tasks)
      producer = components[tasks[made['producerTask']]['componentRef']['name']]
      outputs = producer.get('outputDefinitions', {}).get('artifacts', {})
      if made['outputArtifactKey'] not in outputs:
        raise _nowhere(source, where, made['outputArtifactKey'], outputs)
    for parameter in inputs.get('parameters', {}).values():
      asked = parameter.get('componentInputParameter')
      if asked is not None and asked not in parameters:
        raise _nowhere(source, where, asked, parameters)


def _nowhere(source: str, where: str, received, known) -> RunError:
  return RunError(
    f'{source}: {where}: expected one of {", ".join(sorted(known)) or "none"}. '
    f'Received: {received}.'
  )

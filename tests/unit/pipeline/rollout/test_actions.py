"""Labels move in steps that no request can fall between, and each move is on record."""

import contextlib

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline import lineage
from pipeline.rollout import actions, deployments, model_file, move, servers
from schemas.errors import RunError, ServingError
from serving import model_config
from tests.unit.pipeline.rollout.slow_server import SlowServer

ME = actions.Person('Ada', 'a [good]  reason')


@pytest.fixture
def server():
  with SlowServer() as running:
    yield running


def place(config, *running, seconds=10.0):
  return move.Place(config, [servers.connect(one.address) for one in running], seconds)


def silent(_):
  pass


def entry(config):
  return model_file.entry(model_config.read(model_file.path(config)), config)


def steps(server):
  """Returns (versions, labels) of each config that the server was told."""
  return [
    (
      list(told.model_config_list.config[0].model_version_policy.specific.versions),
      dict(told.model_config_list.config[0].version_labels),
    )
    for told in server.configs
  ]


def test_a_label_moves_only_when_its_version_is_loaded_and_the_old_one_goes_last(config, server):
  actions.promote(place(config, server), '100', ME, silent)
  said = []
  done = actions.promote(place(config, server), '200', ME, said.append)
  assert steps(server) == [
    ([100], {}),
    ([100], {'stable': 100}),
    ([100, 200], {'stable': 100}),
    ([100, 200], {'stable': 200}),
    ([200], {'stable': 200}),
  ]
  assert server.refused == []
  assert said == ['version 200 is AVAILABLE']
  assert (done.version, done.from_version) == ('200', '100')
  assert {answer.version for answer in done.answers.values()} == {200}
  assert entry(config).labels == {'stable': 200} and entry(config).versions == (200,)


def test_the_file_is_what_the_server_was_told_last(config, server):
  actions.promote(place(config, server), '300', ME, silent)
  assert model_config.read(model_file.path(config)) == server.configs[-1]
  (model,) = server.configs[-1].model_config_list.config
  assert model.base_path == str(config.publish.directory / 'fruit')


def test_a_canary_stands_beside_stable_and_is_gone_when_it_is_promoted(config, server):
  here = place(config, server)
  actions.promote(here, '100', ME, silent)
  actions.canary(here, '200', ME, silent)
  assert entry(config).labels == {'stable': 100, 'canary': 200}
  assert entry(config).versions == (100, 200)
  actions.promote(here, '200', ME, silent)
  assert entry(config).labels == {'stable': 200} and entry(config).versions == (200,)


def test_a_canary_of_another_version_outlives_a_promotion_and_can_be_taken_away(config, server):
  here = place(config, server)
  actions.promote(here, '100', ME, silent)
  actions.canary(here, '300', ME, silent)
  actions.promote(here, '200', ME, silent)
  assert entry(config).labels == {'stable': 200, 'canary': 300}
  actions.remove_canary(here, ME, silent)
  assert entry(config).labels == {'stable': 200} and entry(config).versions == (200,)
  with pytest.raises(ServingError, match='expected a canary to take away'):
    actions.remove_canary(here, ME, silent)


def test_a_rollback_goes_back_and_the_next_one_further(config, server):
  here = place(config, server)
  for version in ('100', '200', '300'):
    actions.promote(here, version, ME, silent)
  assert actions.rollback(here, ME, silent).version == '200'
  assert actions.rollback(here, ME, silent).version == '100'
  assert server.labels == {'stable': 100}
  with pytest.raises(ServingError, match='expected a stable version before 100'):
    actions.rollback(here, ME, silent)
  # And forward again: what was gone back over can be named.
  actions.promote(here, '300', ME, silent)
  assert actions.rollback(here, ME, silent).version == '100'


def test_a_version_that_cannot_be_loaded_changes_nothing(config):
  with SlowServer(broken=[200]) as server:
    actions.promote(place(config, server), '100', ME, silent)
    before = model_file.path(config).read_bytes()
    with pytest.raises(ServingError, match=r'version 200 is END no such variable'):
      actions.promote(place(config, server, seconds=0.5), '200', ME, silent)
    assert model_file.path(config).read_bytes() == before
    assert server.labels == {'stable': 100} and steps(server)[-1] == ([100], {'stable': 100})
  states = [(one.version, one.state) for one in deployments.history(config.run.root, 'fruit')]
  assert states == [('100', 'COMPLETE'), ('200', 'FAILED')]


def test_a_first_promotion_that_fails_leaves_no_file(config):
  with SlowServer(broken=[200]) as server:
    with pytest.raises(ServingError):
      actions.promote(place(config, server, seconds=0.5), '200', ME, silent)
    assert not model_file.path(config).exists()
    assert steps(server)[-1] == ([], {})  # The newest, as before.


def test_every_server_has_to_follow(config):
  with SlowServer() as one, SlowServer(asks=20) as slow:
    done = actions.promote(place(config, one, slow), '100', ME, silent)
    assert len(done.answers) == 2
    assert one.labels == slow.labels == {'stable': 100}
    assert one.refused == slow.refused == []


def test_a_server_that_is_not_there_moves_nothing(config):
  here = move.Place(config, [servers.connect('127.0.0.1:1')], 1.0)
  with pytest.raises(ServingError, match='127.0.0.1:1: expected a model server'):
    actions.promote(here, '100', ME, silent)
  assert not model_file.path(config).exists()


def test_offline_only_the_file_is_written(config):
  done = actions.promote(place(config), '100', ME, silent)
  assert done.answers == {}
  assert entry(config).labels == {'stable': 100} and entry(config).versions == (100,)


def test_another_model_of_the_file_stays_as_it_is(config, server):
  other = model_config.single('other', '/models/other')
  other.model_config_list.config[0].version_labels['stable'] = 7
  model_config.write(model_file.path(config), other)
  actions.promote(place(config), '100', ME, silent)
  models = model_config.read(model_file.path(config)).model_config_list.config
  assert [model.name for model in models] == ['other', 'fruit']
  assert models[0] == other.model_config_list.config[0]


def test_the_folder_of_the_server_is_kept_once_it_was_named(config):
  here = move.Place(config, [], base_path='/models/fruit')
  actions.promote(here, '100', ME, silent)
  actions.promote(place(config), '200', ME, silent)
  assert entry(config).base_path == '/models/fruit'


def test_what_is_no_version_or_stable_already_is_refused(config):
  here = place(config)
  with pytest.raises(ServingError, match=r'one of the versions 100, 200, 300\. Received: 400'):
    actions.promote(here, '400', ME, silent)
  with pytest.raises(ServingError, match='expected a stable version beside the canary'):
    actions.canary(here, '100', ME, silent)
  actions.promote(here, '100', ME, silent)
  with pytest.raises(ServingError, match='version 100 is stable already'):
    actions.promote(here, '100', ME, silent)
  with pytest.raises(ServingError, match='version 100 is stable already'):
    actions.canary(here, '100', ME, silent)
  assert len(deployments.history(config.run.root, 'fruit')) == 1


def test_weights_that_are_not_those_that_were_published_are_refused(config):
  weights = config.publish.directory / 'fruit/200/variables/variables.index'
  weights.write_bytes(b'other')
  with pytest.raises(ServingError, match='fruit/200: expected the weights that were published'):
    actions.promote(place(config), '200', ME, silent)


def test_a_rollback_wants_the_weights_that_were_stable(config):
  here = place(config)
  folder = config.publish.directory / 'fruit/400'
  (folder / 'variables').mkdir(parents=True)
  (folder / 'saved_model.pb').write_bytes(b'graph')
  (folder / 'variables/a').write_bytes(b'by hand')
  actions.promote(here, '400', ME, silent)
  actions.promote(here, '100', ME, silent)
  (folder / 'variables/a').write_bytes(b'changed')
  with pytest.raises(ServingError, match='expected the weights that were stable'):
    actions.rollback(here, ME, silent)


def test_a_rollback_does_not_guess_when_the_file_was_changed_by_hand(config):
  here = place(config)
  for version in ('100', '200'):
    actions.promote(here, version, ME, silent)
  tree = model_config.read(model_file.path(config))
  tree.model_config_list.config[0].version_labels['stable'] = 300
  model_config.write(model_file.path(config), tree)
  with pytest.raises(ServingError, match=r'the record, 200\. Received: .* says 300'):
    actions.rollback(here, ME, silent)
  # Promoted as well, it is on record, and can be gone back from.
  actions.promote(here, '300', ME, silent)
  assert actions.rollback(here, ME, silent).version == '200'


def test_two_commands_do_not_move_at_once(config):
  with model_file.alone(model_file.path(config)):
    with pytest.raises(ServingError, match='another deploy command is at work'):
      actions.promote(place(config), '100', ME, silent)


def test_a_move_is_on_record_with_who_when_why_and_the_version_it_is_about(config, server):
  actions.promote(place(config, server), '100', ME, silent)
  actions.promote(place(config, server), '200', ME, silent)
  _, found = deployments.history(config.run.root, 'fruit')
  assert (found.action, found.label, found.version, found.from_version) == (
    'promote',
    'stable',
    '200',
    '100',
  )
  assert (found.who, found.why, found.servers) == ('Ada', 'a [good] reason', server.address)
  assert found.when.startswith('20') and found.when.endswith('+00:00')
  connection = mlmd.ConnectionConfig()
  connection.sqlite.filename_uri = str(config.run.root / lineage.DATABASE)
  store = metadata_store.MetadataStore(connection)
  last = store.get_executions_by_type('sightline.Deployment')[-1]
  (event,) = store.get_events_by_execution_ids([last.id])
  (pushed,) = store.get_artifacts_by_id([event.artifact_id])
  assert pushed.custom_properties['pushed_version'].string_value == '200'


def test_moves_are_no_runs_and_change_none(config):
  before = lineage.record(config).runs()
  actions.promote(place(config), '100', ME, silent)
  assert lineage.record(config).runs() == before
  assert [step.component for step in lineage.record(config).lineage('100').steps] == ['Publisher']


def test_without_a_record_nothing_moves(config):
  (config.run.root / lineage.DATABASE).unlink()
  with pytest.raises(RunError, match='expected the record of the runs'):
    actions.promote(place(config), '100', ME, silent)
  assert not model_file.path(config).exists()


def test_a_move_that_was_killed_is_not_gone_back_to(config):
  actions.promote(place(config), '100', ME, silent)
  plan = deployments.planned('promote', 'stable', '300', '100', 'ab', 'Eve', '', [])
  with contextlib.suppress(KeyboardInterrupt):
    with deployments.recorded(config.run.root, 'fruit', plan):
      raise KeyboardInterrupt
  actions.promote(place(config), '200', ME, silent)
  assert actions.rollback(place(config), ME, silent).version == '100'

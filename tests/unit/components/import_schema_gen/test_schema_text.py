"""A schema's text after a change: what stays, what goes, and what is said of it."""

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.import_schema_gen import schema_text

TEXT = """# Of the whole file.

# Three animals { and no more.
feature {
  name: "label"  # the truth
  type: BYTES
  string_domain { name: "label" value: "cat" value: "#dog}" }
}
# Width, as shown.
feature {
  name: "image/width"
  type: INT
}
feature { name: "gone" type: INT }
string_domain { name: "free" value: "x" }
# The end.
"""


def _schema(text):
  return text_format.Parse(text, schema_pb2.Schema())


def _changed():
  new = _schema(TEXT)
  label, _, gone = new.feature
  label.string_domain.value.append('eel')
  new.feature.remove(gone)
  new.feature.add(name='new', type=schema_pb2.FLOAT)
  return new


def test_comments_stay_with_what_they_stand_above():
  found = schema_text.rewrite(TEXT, _schema(TEXT), _changed())
  assert _schema(found.text) == _changed()
  assert found.text.startswith('# Of the whole file.\n\n# Three animals { and no more.\nfeature {')
  assert '# Width, as shown.\nfeature {\n  name: "image/width"\n  type: INT\n}' in found.text
  assert '# The end.' in found.text
  assert found.lost == ['# the truth']


def test_nothing_changed_is_the_same_text():
  assert schema_text.rewrite(TEXT, _schema(TEXT), _schema(TEXT)) == (TEXT, [])


def test_text_that_cannot_be_taken_apart_is_written_anew_and_its_comments_are_named():
  # Protocol buffers allow angle brackets for a block as well.
  text = '# Odd.\nfeature < name: "label" type: BYTES >\n'
  new = _schema(text)
  new.feature[0].type = schema_pb2.INT
  found = schema_text.rewrite(text, _schema(text), new)
  assert _schema(found.text) == new
  assert found.lost == ['# Odd.']

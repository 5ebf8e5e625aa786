"""SchemaGen that infers only what is true of every later batch of images as well."""

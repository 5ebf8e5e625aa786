"""ImportSchemaGen that notices when the schema file was edited."""

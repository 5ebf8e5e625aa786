"""DataGate: stops the run on data that breaks the schema."""

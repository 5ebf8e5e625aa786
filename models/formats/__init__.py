"""Other runtimes for the network of an export: cut out, written, proved equal."""

"""The pipeline on Kubeflow: what a compiled file asks for, and what runs in its containers."""

"""Pipelines of other tools for the row `sync`, each as its documentation advises. They are run by
the interpreters of environments of their own and import nothing of ours."""

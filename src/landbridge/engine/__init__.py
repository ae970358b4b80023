"""Use cases, one file for each verb."""

"""Datasets in, a resumable folder of records out: a row for every sample and method."""

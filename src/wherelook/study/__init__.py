"""Studies: data sets in, resumable runs, a row for every sample and method."""

"""One file per benchmark: its published files in, samples out. `wherelook.data.samples.DATASETS` lists them."""

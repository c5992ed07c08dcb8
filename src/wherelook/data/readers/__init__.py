"""One file per benchmark: its published files in, samples out. `wherelook.data.datasets.DATASETS` lists them."""

"""Images and data sets in, plain records out."""

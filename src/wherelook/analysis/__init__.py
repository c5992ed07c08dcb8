"""What many records say together: methods against methods, models against models, answers against regions."""

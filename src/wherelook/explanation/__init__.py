"""The result of one explanation: its data, its files, its pictures and its page."""

from wherelook.explanation.files import RECORD_FILE, check_folder
from wherelook.explanation.record import SCHEMA_VERSION, Explanation, Focus, ImagePart, TokenMap

__all__ = ["RECORD_FILE", "SCHEMA_VERSION", "Explanation", "Focus", "ImagePart", "TokenMap", "check_folder"]

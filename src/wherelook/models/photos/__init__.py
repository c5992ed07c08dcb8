"""`photos`: a small vision-language model for photographs, made of parts that were trained by others.

EfficientNet-lite0 sees, SmolLM2-135M-Instruct answers; a connector and low-rank updates, which come with wherelook,
join them. The parts are two packages of the Python Package Index (see `assemble`).
"""


def register() -> None:
    """Makes Transformers' Auto classes know the model and its tower; calling it again changes nothing."""
    from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor

    from wherelook.models.photos.modeling import PhotosConfig, PhotosForConditionalGeneration, PhotosProcessor
    from wherelook.models.photos.tower import LiteTower, LiteTowerConfig

    AutoConfig.register(LiteTowerConfig.model_type, LiteTowerConfig, exist_ok=True)
    AutoModel.register(LiteTowerConfig, LiteTower, exist_ok=True)
    AutoConfig.register(PhotosConfig.model_type, PhotosConfig, exist_ok=True)
    AutoProcessor.register(PhotosConfig, PhotosProcessor, exist_ok=True)
    AutoModelForImageTextToText.register(PhotosConfig, PhotosForConditionalGeneration, exist_ok=True)

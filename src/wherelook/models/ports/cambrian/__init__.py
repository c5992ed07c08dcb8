"""Cambrian-1 (arXiv 2406.16860), which Transformers does not have: four encoders and a spatial vision aggregator."""


def register() -> None:
    """Makes Transformers' Auto classes know Cambrian; calling it again changes nothing."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
    from transformers.models.auto.image_processing_auto import AutoImageProcessor  # some versions hide it at the top

    from wherelook.models.ports.cambrian.configuration import CambrianConfig
    from wherelook.models.ports.cambrian.modeling import CambrianForConditionalGeneration
    from wherelook.models.ports.cambrian.processing import CambrianImageProcessor, CambrianProcessor

    AutoConfig.register(CambrianConfig.model_type, CambrianConfig, exist_ok=True)
    # The same with and without torchvision.
    backends: dict[str, type] = {"pil": CambrianImageProcessor, "torchvision": CambrianImageProcessor}
    AutoImageProcessor.register(CambrianConfig, image_processor_classes=backends, exist_ok=True)
    AutoProcessor.register(CambrianConfig, CambrianProcessor, exist_ok=True)
    AutoModelForImageTextToText.register(CambrianConfig, CambrianForConditionalGeneration, exist_ok=True)


def renamed_weights(model_type: str) -> dict[str, str] | None:
    """What to replace in the names of a checkpoint's weights (regular expressions); None for other models' types."""
    from wherelook.models.ports.cambrian.configuration import CambrianConfig
    from wherelook.models.ports.cambrian.towers import renamed_weights as renamed

    return renamed() if model_type == CambrianConfig.model_type else None

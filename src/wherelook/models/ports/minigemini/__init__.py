"""Mini-Gemini (arXiv 2403.18814), which Transformers does not have: two encoders and patch info mining."""


def register() -> None:
    """Makes Transformers' Auto classes know Mini-Gemini; calling it again changes nothing."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
    from transformers.models.auto.image_processing_auto import AutoImageProcessor  # some versions hide it at the top

    from wherelook.models.ports.minigemini.configuration import MiniGeminiConfig
    from wherelook.models.ports.minigemini.modeling import MiniGeminiForConditionalGeneration
    from wherelook.models.ports.minigemini.processing import MiniGeminiImageProcessor, MiniGeminiProcessor

    AutoConfig.register(MiniGeminiConfig.model_type, MiniGeminiConfig, exist_ok=True)
    # The same class with torchvision and without: it runs on Pillow.
    backends: dict[str, type] = {"pil": MiniGeminiImageProcessor, "torchvision": MiniGeminiImageProcessor}
    AutoImageProcessor.register(MiniGeminiConfig, image_processor_classes=backends, exist_ok=True)
    AutoProcessor.register(MiniGeminiConfig, MiniGeminiProcessor, exist_ok=True)
    AutoModelForImageTextToText.register(MiniGeminiConfig, MiniGeminiForConditionalGeneration, exist_ok=True)

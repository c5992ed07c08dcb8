"""How far a map through an endpoint is from the one made in this process: the table of docs/endpoints.md.

    python benchmarks/endpoint_agreement.py

Both ask the embedded model about the same answers. The server is examples/serve_endpoint.py, on this machine.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wherelook.attribution import METHODS, make_settings
from wherelook.baselines import make_baseline
from wherelook.data.scenes import TUNING_SEEDS, make_scene
from wherelook.models import EndpointModel, VisionLanguageModel
from wherelook.models.endpoint import EndpointScore
from wherelook.models.endpoint.protocols import ScoredToken

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from serve_endpoint import Endpoint, make_server

SCENES = 4
CASES = (
    # side in pixels, method, cells, window, stride
    (128, "strips", 128, 32, 16),
    (128, "occlusion", 128, 32, 32),
    (128, "strips", 28, 8, 4),
    (128, "occlusion", 28, 8, 4),
    (448, "strips", 28, 8, 4),
    (448, "occlusion", 28, 8, 4),
)


def read_here(model: VisionLanguageModel, question: str, ids: tuple[int, ...], pictures: list) -> list:
    """What the server is asked, without a server: the tokens' scores with each of these images."""
    found = []
    for picture in pictures:
        image = Image.fromarray(picture[0].permute(1, 2, 0).numpy())
        values = model.score(model.encode(image, question), image, ids).original.tolist()
        found.append(tuple(ScoredToken(token, "", value, True) for token, value in zip(ids, values, strict=True)))
    return found


def trace(score: Any, method: str, settings: Any) -> tuple[Tensor, Tensor]:
    """The map of a method, and the summed log-probabilities that it was made of."""
    asked = []

    class Asked:
        def __getattr__(self, name: str) -> Any:
            return getattr(score, name)

        def __call__(self, masks: Tensor) -> Tensor:
            asked.append(score(masks))
            return asked[-1]

    image = torch.zeros(3, *score.canvas.size)
    saliency = METHODS[method].run(Asked(), image, settings).saliency
    return saliency, torch.cat(asked).sum(dim=1)


def main() -> None:
    model = VisionLanguageModel.from_pretrained("embedded", device="cpu")
    server = make_server(Endpoint(model, "embedded"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    remote = EndpointModel(f"http://127.0.0.1:{server.server_port}/v1")
    print("largest difference of a map (0 to 1), and of a log-probability (nats), from the one through the endpoint")
    print("side  method     cells  baseline  same pixels, map   nats    blend in the model's input, map   nats")
    for side, method, cells, window, stride in CASES:
        settings = make_settings(method, "fast", {"cells": cells, "window": window, "stride": stride})
        for baseline in ("blur", "mean"):
            here, blended = np.zeros(2), np.zeros(2)
            for seed in TUNING_SEEDS[:SCENES]:
                scene = make_scene(seed, size=(side, side))
                question = scene.questions[0].text
                base = Image.fromarray(make_baseline(baseline, np.asarray(scene.image)))
                prompt, sent = model.encode(scene.image, question), remote.encode(scene.image, question)
                ids = remote.generate(sent)
                through = remote.score(sent, base, ids)
                pixels = EndpointScore(
                    partial(read_here, model, question, ids),
                    through.image_pixels,
                    through.baseline_pixels,
                    selected=through.selected,
                    cost=model.cost,
                )
                result = trace(through, method, settings)
                for other, worst in ((pixels, here), (model.score(prompt, base, ids), blended)):
                    for index, (found, true) in enumerate(zip(trace(other, method, settings), result, strict=True)):
                        worst[index] = max(worst[index], float((found - true).abs().max()))
            print(f"{side:4}  {method:9}  {cells:5}  {baseline:8}", *(f"{v:14.1e}" for v in (*here, *blended)))
    server.shutdown()


if __name__ == "__main__":
    main()

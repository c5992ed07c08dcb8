"""Explain a model that you have loaded yourself: python examples/own_model.py PHOTO "QUESTION" [MODEL]"""

import sys

from transformers import AutoModelForImageTextToText, AutoProcessor

import wherelook

photo, question, name = (*sys.argv[1:], "llava-hf/llava-1.5-7b-hf")[:3]
model = AutoModelForImageTextToText.from_pretrained(name, dtype="auto", device_map="auto")
processor = AutoProcessor.from_pretrained(name)

explainer = wherelook.Explainer(model, processor)
relevance = explainer.relevance(photo, question)  # cheap: which words rest on the image?
print(relevance.answer, "|", relevance.status, "|", relevance.reason)
if relevance.status == "ok":
    explainer.explain(photo, question, answer=relevance.answer).save("wherelook-out")

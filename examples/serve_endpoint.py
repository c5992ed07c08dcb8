"""Serve a model as an endpoint that tells the log-probabilities of a given answer, in the manner of vLLM.

    python examples/serve_endpoint.py [MODEL] [PORT]
    wherelook explain PHOTO "QUESTION" --model http://127.0.0.1:8000/v1 --method strips

For models that vLLM does not serve, and to try wherelook's way of asking. One request at a time, on this machine only.
"""

import base64
import io
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from PIL import Image

from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.teacher_forcing import Conversation, teacher_forced_inputs

BODY_LIMIT = 2**27


class Endpoint:
    """Answers the bodies of /v1/chat/completions."""

    def __init__(self, model, name):
        self.model, self.name = model, name
        self.lock = threading.Lock()
        self.tokens = {}  # of an answer to a question: a template cuts it alike whatever the image

    def reply(self, body):
        user, *rest = body["messages"]
        parts = {part["type"]: part for part in user["content"]}
        header, data = parts["image_url"]["image_url"]["url"].split(",", 1)
        if not header.startswith("data:image/"):
            raise ValueError("images come as data: addresses")
        image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
        question = parts["text"]["text"]
        with self.lock:
            prompt = self.model.encode(image, question)
            if body.get("continue_final_message"):
                return self.score(prompt, question, rest[0]["content"])
            ids = self.model.generate_ids(prompt, max_new_tokens=body.get("max_tokens", 64))
        return self.completion(self.model.decode(ids), len(ids))

    def score(self, prompt, question, answer):
        """Log-probabilities of every token of the prompt, at whose end the answer stands."""
        if (question, answer) not in self.tokens:
            self.tokens[question, answer] = self.model.tokenize_answer(prompt, answer)
        ids = self.tokens[question, answer]
        inputs = teacher_forced_inputs(Conversation(prompt.inputs, ids), [len(ids)])
        with torch.no_grad(), self.model.evaluation():
            values = torch.log_softmax(self.model.model(**inputs).logits[0].float(), dim=-1)
        places = [None]
        for token, row in zip(inputs["input_ids"][0, 1:].tolist(), values[:-1], strict=True):
            best = int(row.argmax())
            places.append({str(one): self.entry(one, row) for one in dict.fromkeys((token, best))})
        return self.completion("", 1) | {"prompt_logprobs": places}

    def entry(self, token, row):
        rank = int((row > row[token]).sum()) + 1
        return {"logprob": float(row[token]), "rank": rank, "decoded_token": self.model.tokenizer.decode([token])}

    def completion(self, text, tokens):
        message = {"role": "assistant", "content": text}
        return {
            "object": "chat.completion",
            "model": self.name,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"completion_tokens": tokens},
        }


def make_server(endpoint, port=0):
    """A server on 127.0.0.1; port 0 takes a free one. Start it with `serve_forever`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            models = [{"id": endpoint.name, "object": "model"}]
            self.send(200, {"object": "list", "data": models} if self.path == "/v1/models" else {"error": "not found"})

        def do_POST(self):
            length = int(self.headers.get("Content-Length", 0))
            if self.path != "/v1/chat/completions" or length > BODY_LIMIT:
                return self.send(404, {"error": {"message": "only /v1/chat/completions, and no endless bodies"}})
            try:
                reply = endpoint.reply(json.loads(self.rfile.read(length)))
            except Exception as error:
                return self.send(400, {"error": {"message": f"{type(error).__name__}: {error}"}})
            return self.send(200, reply)

        def send(self, status, reply):
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    name, port = (*sys.argv[1:], *("embedded", "8000")[len(sys.argv) - 1 :])[:2]
    server = make_server(Endpoint(VisionLanguageModel.from_pretrained(name), name), int(port))
    print(f"serving {name} on http://127.0.0.1:{server.server_port}/v1")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("interrupted")

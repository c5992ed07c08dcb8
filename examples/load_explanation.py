"""Load an explanation that was saved, list its words, plot it: wherelook demo; then
python examples/load_explanation.py wherelook-demo/relation plot.png"""

import sys
from itertools import groupby

import wherelook

folder, target = sys.argv[1:]
explanation = wherelook.Explanation.load(folder)
print(explanation)
for word, group in groupby(explanation.tokens, key=lambda token: token.word):
    tokens = list(group)
    if word is not None:
        text = "".join(token.text for token in tokens).strip()
        print(f"{text:16} loses {sum(token.llr for token in tokens):6.2f} nats without the image")
explanation.plot().figure.savefig(target)
print("plot in", target)

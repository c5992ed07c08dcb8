"""Ordinary model folders of real parts, with random weights: the tokenizers of published models, their processors'
settings and chat templates of the published form. Run `python -m tools.real_parts` (see `docs/real-parts.md`).
"""

"""The generic adapter: any `AutoModelForImageTextToText` model of Transformers, with no code per model family.

It renders the prompt, generates or tokenizes the answer, and builds the score function of an answer. Which tensors
are pixels, and where their elements lie in the image, is measured (wherelook.geometry), not known.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin, StoppingCriteriaList

from wherelook.canvas import Size
from wherelook.chat_options import ChatOptions
from wherelook.errors import EmptyAnswerError, InputError, UnfinishedThoughtError
from wherelook.geometry import WARN_ERROR, BlendError, Geometry, Pictures, blend_error, probe
from wherelook.load_options import FOR_ENDPOINTS, FOR_LOADING, LoadOptions, model_name
from wherelook.models.huggingface.batching import BatchPlan
from wherelook.models.huggingface.fingerprint import weights_fingerprint
from wherelook.models.huggingface.generation import (
    WINDOW,
    Until,
    as_ids,
    before_stop,
    generating_with,
    neutral_settings,
    stop_at,
    stop_strings,
)
from wherelook.models.huggingface.given import check_processor, check_vocabulary, first_pass, input_device, take_model
from wherelook.models.huggingface.loading import load
from wherelook.models.huggingface.prompt import Prompting
from wherelook.models.huggingface.quantization import quantization_of
from wherelook.models.huggingface.score import HuggingFaceScore
from wherelook.models.huggingface.teacher_forcing import Conversation, extended, teacher_forced_inputs
from wherelook.models.reply import Prompt, Reply
from wherelook.models.speedups.compilation import compile_layers
from wherelook.models.thinking import (
    THOUGHTS,
    Parts,
    Watch,
    hide,
    marks_in,
    take_apart,
    without_marks,
    wrappers_before,
)
from wherelook.models.turns import in_turn, turn
from wherelook.models.zoo import BUNDLED, PHOTOS, PREFIX
from wherelook.score import Cost

GEOMETRIES_KEPT = 8

LIKELY_START = 0.01
"""Probability of an answer's first token from which on it tells by itself whether the answer begins with a space."""

MANY_TOKENS = 4000
"""Tokens of a prompt above which a note says how to have fewer."""

STAND_IN_PIXELS = 1_000_000
"""Pixels that a smaller image in the place of a large one has at least."""


class VisionLanguageModel:
    """A model and its processor behind the few operations that an explanation needs.

    Args:
        model: an image-text-to-text model of Transformers, or one with an adapter of peft. It is not modified. What
            torch.compile or DataParallel put around it is taken off.
        processor: its processor.
        identifier: how to call it in results.
        options: fields of `LoadOptions` that are not about loading: batch_size, max_pixels, prompt_template and more.

    Raises:
        InputError: no model or processor that can be explained, or a wrong option.
    """

    def __init__(self, model: Any, processor: Any, *, identifier: str | None = None, **options: Any) -> None:
        chosen = LoadOptions.of(options)
        chosen.refuse(FOR_ENDPOINTS, "is for an endpoint")
        chosen.refuse([name for name in FOR_LOADING if name != "revision"], "comes too late: the model is loaded")
        self._set_up(model, processor, chosen, identifier)

    def _set_up(self, model: Any, processor: Any, options: LoadOptions, identifier: str | None) -> None:
        model = take_model(model)
        check_processor(processor)
        self.options = options
        self.model: PreTrainedModel = model
        self.processor: ProcessorMixin = processor
        self.identifier = identifier or model.name_or_path or type(model).__name__
        self.revision = getattr(model.config, "_commit_hash", None) or options.revision
        self.device: torch.device = input_device(model)
        self.plan = BatchPlan(
            self.device,
            largest=options.batch_size,
            memory_limit=options.memory_limit,
            weights=_weight_storages(model),
            recompute=options.checkpointing,
        )
        self.cost = Cost()
        self._layers = compile_layers(model) if options.compile else {}
        inner: Any = getattr(model, "get_base_model", lambda: model)()  # an adapter wraps the model
        self.prompting = Prompting(
            processor=processor,
            identifier=self.identifier,
            accepted=frozenset(inspect.signature(inner.forward).parameters),
            device=self.device,
            template=options.prompt_template,
            frames_per_second=options.frames_per_second,
            config=inner.config,
            chat=options.chat,
            max_pixels=options.max_pixels,
        )
        self._geometries: OrderedDict[tuple[Size, ...], Geometry] = OrderedDict()
        self._takes_batches: bool | None = None

    @classmethod
    def from_pretrained(
        cls, name: str | PathLike[str], options: LoadOptions | None = None, **more: Any
    ) -> VisionLanguageModel:
        """Loads a model by name; see `wherelook.models.huggingface.loading.load`.

        Args:
            name: hub id, local folder, "photos", "embedded", "things", or zoo:NAME.
            options: how; or
            more: the fields of `LoadOptions`, `device` and `dtype` among them (`device_map` and `torch_dtype` are
                understood).

        Raises:
            InputError: an unknown option or a value that cannot be, before anything is loaded; or see `load`.
        """
        name = model_name(name)
        chosen = LoadOptions.of(more) if options is None else options
        chosen.refuse(FOR_ENDPOINTS, "is for an endpoint: give its address as the model, or leave it out")
        if name in (*BUNDLED, PHOTOS) or name.startswith(PREFIX):  # their images came one at a time
            chosen = replace(chosen, most_images=chosen.most_images or 1)
        return cls.of_loaded(*load(name, chosen), chosen, identifier=name)

    @classmethod
    def of_loaded(cls, model: Any, processor: Any, options: LoadOptions, *, identifier: str) -> VisionLanguageModel:
        """A model that was loaded with these options."""
        made = cls.__new__(cls)
        made._set_up(model, processor, options, identifier)
        return made

    forward_only = False

    @property
    def weights(self) -> torch.nn.Module:
        """The model of Transformers."""
        return self.model

    def identity(self) -> dict[str, Any]:
        """What results depend on: `description`, kind of device, the prompt around a question, size and weights."""
        return self.description | {
            "device": self.device.type,
            "prompt": self.render("{question}"),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "weights": weights_fingerprint(self.model),
        }

    def forget(self) -> None:
        """Forgets how large batches may be, which earlier answers taught: they change the last digits."""
        self.plan.forget()

    @property
    def tokenizer(self) -> Any:
        return self.prompting.tokenizer

    @property
    def chat(self) -> ChatOptions:
        """The chat around every question that has no options of its own."""
        return self.prompting.chat

    @property
    def description(self) -> dict[str, Any]:
        """What a result says about the model; how fast a video is taken to be, where several images are one, and how
        large an image; the prompt template and the options of the chat, where they are not the model's own.
        """
        rate, template, most = self.prompting.frames_per_second, self.prompting.template, self.prompting.max_pixels
        return {
            "id": self.identifier,
            "revision": self.revision,
            "class": type(self.model).__name__,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "attention": getattr(self.model.config, "_attn_implementation", None),
            "quantization": quantization_of(self.model),
            **({} if rate is None else {"frames_per_second": rate}),
            **({} if most is None else {"max_pixels": most}),
            **({} if template is None else {"prompt_template": template}),
            **self.chat.record,
        }

    @property
    def execution(self) -> dict[str, Any]:
        """What a repetition needs beside `description` to get the same digits: where and in which batches it ran."""
        remote = any(type(part).__module__.startswith("transformers_modules") for part in (self.model, self.processor))
        spread = len(set((getattr(self.model, "hf_device_map", None) or {}).values())) > 1
        asked = self.options.attn_implementation
        return {
            "device": "auto" if spread else str(self.device),
            "batch_size": self.options.batch_size,
            "memory_limit": self.options.memory_limit,
            "checkpointing": self.plan.recompute,
            "compile": bool(self._layers),
            "trust_remote_code": remote,
            **({} if asked is None else {"attn_implementation": asked}),
        }

    # ---- prompt and answer ----

    def render(self, question: str, images: int = 1) -> str:
        """See `wherelook.models.huggingface.prompt.Prompting.render`."""
        return self.prompting.render(question, images)

    @in_turn
    def encode(self, image: Pictures, question: str, chat: ChatOptions | None = None) -> Prompt:
        """Renders the prompt and processes it with the image, or with several.

        Args:
            image: one, or several.
            question: about them.
            chat: the chat around it; None for the model's own options.

        Raises:
            InputError: the processor refuses the image (for example an extreme aspect ratio), or several, or it drops
                one of them; the frames of a video have different sizes.
        """
        images = _listed(image)
        chat = self.chat if chat is None else chat
        most = self.options.most_images
        if most is not None and len(images) > most:
            raise InputError(
                f"{self.identifier!r} was trained on prompts of {most} image(s), not {len(images)}: "
                "choose a model that takes several"
            )
        if self.prompting.is_video(len(images)) and len(sizes := set(_sizes(images))) > 1:
            listed = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
            raise InputError(f"the frames of a video have one size; got {listed}")
        asked = self.prompting.ask(question, len(images), chat)
        if len(images) > 1:
            self.geometry(*_sizes(images))  # here, and not after it has answered, it shows that one is dropped
        inputs = self.prompting.process(images, asked.text)
        if "input_ids" in inputs:
            check_vocabulary(inputs["input_ids"], self.model, self.tokenizer, self.prompting.picture_ids)
        known = None if asked.closed else asked.known
        reasoning = "" if asked.closed else None
        return Prompt(
            asked.text,
            inputs,
            opened=asked.opened,
            known=known,
            reasoning=reasoning,
            notes=asked.notes,
            chat=chat,
            sizes=_sizes(images),
        )

    def with_thought(self, prompt: Prompt, thought: str) -> Prompt:
        """The prompt with a thought after it; one that holds a closing mark is taken to the letter, marks included.

        Raises:
            InputError: the prompt has one already, the thought holds the image placeholder, or nothing tells how this
                model writes thoughts.
        """
        if self.prompting.image_token in thought:
            raise InputError(
                f"the thought contains {self.prompting.image_token!r}, which stands for the image: remove it"
            )
        if prompt.reasoning is not None:
            raise InputError("the prompt has an empty thought already (think is off): give no other one")
        own = prompt.opened or prompt.known
        written = own if own is not None and own.closing in thought else marks_in(thought)
        marks = own or written
        if marks is None and not thought.strip():
            return self._after(prompt, (), "", None, "nothing tells that this model writes thoughts: none is placed")
        if marks is None:
            raise InputError(
                f"neither the chat template nor the vocabulary of {self.identifier!r} tells how it writes a thought: "
                "give it with its marks, for example '<think>...</think>'"
            )
        if written is not None and written.closing in thought:
            before = thought.removeprefix(marks.opening) if prompt.opened else thought
        else:
            before = marks.closed(thought) if prompt.opened else marks.whole(thought)
        ids = self._continue(prompt.text, before)
        reasoning = without_marks(thought, written)
        note = "the answer follows a given thought" if reasoning else "the answer follows an empty thought"
        return self._after(prompt, ids, before, reasoning, note)

    def _after(self, prompt: Prompt, ids: Sequence[int], before: str, reasoning: str | None, *notes: str) -> Prompt:
        """The prompt with these tokens of a reply after it."""
        return replace(
            prompt,
            inputs=extended(prompt.inputs, ids) if ids else prompt.inputs,
            before=prompt.before + before,
            thought_ids=(*prompt.thought_ids, *ids),
            opened=None,
            known=None,
            reasoning=prompt.reasoning if reasoning is None else reasoning,
            notes=(*prompt.notes, *notes),
        )

    @in_turn
    def reply(self, prompt: Prompt, *, max_new_tokens: int = 64, max_thinking_tokens: int | None = None) -> Reply:
        """The greedy answer, with the model's thought apart.

        Args:
            prompt: from `encode`.
            max_new_tokens: longest answer.
            max_thinking_tokens: longest thought; None for what the prompt's chat allows.

        Raises:
            UnfinishedThoughtError: the thought does not come to its end within its budget.
            WherelookError: the model answers with nothing.
        """
        generated, ids, parts = self._think(prompt, max_new_tokens, max_thinking_tokens)
        before = self._read(ids[: parts.before])
        after = self._after(prompt, ids[: parts.before], before, parts.reasoning)
        answer = ids[parts.before : parts.end]
        pieces = self.pieces(answer)
        shown = hide(pieces, parts.lead, parts.rest)
        hidden = [bool(piece) and not left for piece, left in zip(pieces, shown, strict=True)]
        special = tuple(one or two for one, two in zip(hidden, self.special(answer), strict=True))
        pictured = self._pictured(end := generated[len(ids) : len(ids) + 1])
        cut = len(ids) == len(generated)
        reply = Reply(
            prompt=after,
            ids=answer,
            pieces=tuple(shown),
            special=special,
            final=parts.final,
            cut=cut,
            pictured=pictured,
        )
        if not reply.text:
            raise self._empty(end, "after its thought " if parts.reasoning else "")
        return reply

    @in_turn
    def place(self, prompt: Prompt, answer: str, *, max_thinking_tokens: int | None = None) -> Reply:
        """A given answer where this model would give one: after its thought, if it thinks.

        Raises:
            InputError: see `tokenize_answer`.
            UnfinishedThoughtError: the thought does not come to its end within its budget.
        """
        self.check_answer(answer)
        if prompt.opened is not None or (prompt.reasoning is None and self.prompting.chats):
            # Whether a model thinks may be seen in nothing but what it says first.
            _, ids, parts = self._think(prompt, 1, max_thinking_tokens)
            if parts.reasoning is not None:
                before = self._read(ids[: parts.before])
                note = "the given answer is placed after the thought that the model generated"
                prompt = self._after(prompt, ids[: parts.before], before, parts.reasoning, note)
        elif prompt.reasoning == "" and not prompt.notes:
            prompt = replace(prompt, notes=("the given answer is placed after an empty thought",))
        ids = self.tokenize_answer(prompt, answer)
        return Reply(prompt, ids, tuple(self.pieces(ids)), tuple(self.special(ids)))

    def repeat(self, prompt: Prompt, reply: Reply) -> Reply:
        """Thought and answer of another reply, token for token, after this prompt."""
        before = reply.prompt.thought_ids
        after = self._after(prompt, before, reply.prompt.before, reply.prompt.reasoning)
        return replace(reply, prompt=after, cut=False, pictured="")

    def answer_text(self, prompt: Prompt, *, max_new_tokens: int = 64) -> str:
        """What the model answers; "" where that is nothing, or a thought without an end."""
        try:
            return self.reply(prompt, max_new_tokens=max_new_tokens).text
        except (EmptyAnswerError, UnfinishedThoughtError):
            return ""

    def _pictured(self, end: Sequence[int]) -> str:
        """The token that ended an answer, where it stands for an image; else ""."""
        return self._read(end) if end and end[0] in self.prompting.picture_ids else ""

    def _empty(self, end: Sequence[int], where: str = "") -> EmptyAnswerError:
        """The error for an answer without a visible character, by the token that ended it."""
        if token := self._pictured(end):
            return EmptyAnswerError(
                f"the model's answer begins with {token!r}, which stands for an image: rephrase the question, or give "
                "the answer to explain"
            )
        return EmptyAnswerError(
            f"the model's answer {where}is empty: rephrase the question, or give the answer to explain"
        )

    def _think(
        self, prompt: Prompt, answer: int, thought: int | None
    ) -> tuple[tuple[int, ...], tuple[int, ...], Parts]:
        """A reply's tokens as generated, those before what ended it (all, where a budget did), and its parts."""
        thought = prompt.chat.max_thinking_tokens if thought is None else thought
        stops = stop_strings(self.model)
        marks = {"opened": prompt.opened, "known": prompt.known}
        watch = Watch(self._read, **marks, answer=answer, thought=thought, stops=stops)
        output = self._generate(prompt, max_new_tokens=thought + answer + 2 * WINDOW, done=watch)
        generated = tuple(output.sequences[0].tolist())
        ids = self._without_end(generated)
        parts = take_apart(self._read, ids, **marks, wrapped=wrappers_before(prompt.before))
        if not parts.finished:
            ended = f"within {thought} tokens" if len(ids) == len(generated) else "before the model ended its reply"
            raise UnfinishedThoughtError(
                f"the thought of {self.identifier!r} does not come to its end {ended}: there is no answer to explain; "
                "allow more with max_thinking_tokens (--max-thinking-tokens), or turn thinking off (--think off)",
                parts.reasoning or "",
            )
        return generated, ids, parts

    def size_notes(self, prompt: Prompt) -> tuple[str, ...]:
        """What to know about the size of a prompt's images: that they were made smaller, or make for a long prompt."""
        notes: tuple[str, ...] = ()
        most = self.prompting.max_pixels
        if most is not None and self.prompting.pixel_range is None:
            large = [f"{width} x {height}" for height, width in prompt.sizes if width * height > most]
            if large:
                notes += (
                    f"made smaller to at most {most} pixels (max_pixels) before the processor, which has no such limit "
                    f"itself: {', '.join(large)}",
                )
        length = prompt.inputs["input_ids"].shape[1]
        if length > MANY_TOKENS:
            notes += (
                f"the prompt has {length} tokens, nearly all of them the image's, and every pass reads them: with fewer"
                " pixels (--max-pixels, for example 1000000) it is faster and takes less memory",
            )
        return notes

    @in_turn
    def stand_ins(self, prompt: Prompt, image: Pictures) -> list[Image.Image]:
        """Smaller images in the place of a prompt's large ones, for everything but the model's own look at them.

        They have a few times as many pixels as the model is given, and the processor makes of them what it makes of the
        large ones: tensors of the same shapes, and the same values up to `geometry.WARN_ERROR`. Where it does not, and
        where the images are not large, they are returned as they are.
        """
        images = _listed(image)
        given = max((value.numel() for value in prompt.inputs.values() if value.is_floating_point()), default=0) // 3
        most = max(STAND_IN_PIXELS, 2 * given)
        if max(one.width * one.height for one in images) < 2 * most:
            return images
        smaller = [_shrunk(one, most) for one in images]
        processed = self.prompting.process(smaller, prompt.text)
        numbers = [name for name, value in processed.items() if value.is_floating_point()]
        if any(processed[name].shape != prompt.inputs[name].shape for name in numbers):
            return images  # before the geometry is measured, which takes many calls of the processor
        for name, place in self.geometry(*_sizes(smaller)).tensors.items():
            found, whole = processed[name], prompt.inputs[name]
            if found.shape != whole.shape:
                return images
            difference = (found.float() - whole.float()).abs() * (255 / place.value_range)
            if not difference[place.pixel.expand_as(difference)].mean() <= WARN_ERROR:
                return images
        return smaller

    def generate(self, prompt: Prompt, *, max_new_tokens: int = 64) -> tuple[int, ...]:
        """Token ids of what follows the prompt greedily, a thought too, without the end token; see `reply`.

        Raises:
            WherelookError: the model answers with nothing.
        """
        new = self.generate_ids(prompt, max_new_tokens=max_new_tokens)
        answer = self._without_end(new)
        if not self.decode(answer).strip():
            raise self._empty(new[len(answer) : len(answer) + 1])
        return answer

    def generate_ids(self, prompt: Prompt, *, max_new_tokens: int) -> tuple[int, ...]:
        """Token ids of the greedy continuation as generated, with the end token if it came."""
        texts = stop_strings(self.model)
        done = stop_at(self._read, texts) if texts else None
        return tuple(self._generate(prompt, max_new_tokens=max_new_tokens, done=done).sequences[0].tolist())

    def generation_log_probabilities(self, prompt: Prompt, ids: Sequence[int]) -> Float[Tensor, " tokens"]:
        """Log-probabilities that greedy generation, with its cache, gives to the tokens it generates.

        Args:
            prompt: the prompt.
            ids: what `generate_ids` returned for it.
        """
        output = self._generate(prompt, max_new_tokens=len(ids), output_logits=True)
        logits = torch.stack([step[0] for step in output.logits]).float()
        targets = torch.tensor(ids, device=logits.device)
        return torch.log_softmax(logits, dim=-1).gather(1, targets[:, None])[:, 0]

    @in_turn
    def _generate(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int,
        done: Callable[[Sequence[int]], bool] | None = None,
        **options: Any,
    ) -> Any:
        """Greedy decoding; `done` of the tokens generated so far may end it before an end token does."""
        inputs = {name: self._cast(value) for name, value in prompt.inputs.items()}
        length = inputs["input_ids"].shape[1]
        ends = sorted(self._stop_tokens())
        neutral = neutral_settings(self.model, ends, max_new_tokens=max_new_tokens, **options)
        criteria = [Until(length, done)] if done is not None else []
        with torch.no_grad(), generating_with(self.model, neutral), first_pass(self.model):
            output = self.model.generate(  # type: ignore[operator]
                **inputs, generation_config=neutral, stopping_criteria=StoppingCriteriaList(criteria)
            )
        self.cost.add(generated_tokens=output.sequences.shape[1] - length)
        output.sequences = output.sequences[:, length:]
        return output

    def _without_end(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """The tokens before what ended the answer: an end token or a stop string."""
        ends = self._stop_tokens()
        ids = ids[: next((index for index, token in enumerate(ids) if token in ends), len(ids))]
        return ids[: before_stop(self._read, ids, stop_strings(self.model))]

    def _stop_tokens(self) -> set[int]:
        """Ids that end an answer: end tokens, and those for images, which the model cannot read in an answer."""
        ends = {*as_ids(self.model.generation_config.eos_token_id), *as_ids(self.tokenizer.eos_token_id)}
        return ends | self.prompting.picture_ids

    @in_turn
    def tokenize_answer(self, prompt: Prompt, answer: str) -> tuple[int, ...]:
        """Token ids of a given answer as they would follow the prompt.

        Raises:
            InputError: the answer has no visible character.
        """
        answer = self.check_answer(answer)
        # Some models begin an answer with a space, some do not: the likelier first token tells, if it is likely.
        before = prompt.text + prompt.before
        tight, spaced = (self._continue(before, text) for text in (answer, " " + answer))
        if tight == spaced or prompt.reasoning is not None:  # nothing parts an answer from a thought
            return tight
        first = self._next_log_probabilities(prompt, ())[-1]
        ways = [(float(first[ids[0]]), ids) for ids in (tight, spaced)]
        if max(likely for likely, _ in ways) < math.log(LIKELY_START):
            # Two tokens that the model would never begin with: their order says little. Both answers are read in full.
            ways = [(self._log_probability(prompt, ids), ids) for ids in (tight, spaced)]
        return max(ways, key=lambda way: way[0])[1]

    def _log_probability(self, prompt: Prompt, ids: Sequence[int]) -> float:
        """Of a whole answer, nats."""
        targets = torch.tensor(ids, device=self.device)
        found = self._next_log_probabilities(prompt, ids)[-len(ids) :]
        return float(found.gather(1, targets.to(found.device)[:, None]).sum())

    def _next_log_probabilities(self, prompt: Prompt, ids: Sequence[int]) -> Float[Tensor, "places vocabulary"]:
        """What the model expects after the prompt and after each token of an answer but the last; one pass."""
        if ids:
            statics = Conversation(dict(prompt.inputs), tuple(ids))
            read = teacher_forced_inputs(statics, range(len(ids)))
        else:
            read = dict(prompt.inputs)
        places = max(1, len(ids))
        # A whole vocabulary at every place of a long prompt would be most of the pass.
        keep = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        options = {"logits_to_keep": places} if keep else {}
        with torch.no_grad(), first_pass(self.model):
            logits = self.model(**{name: self._cast(value) for name, value in read.items()}, **options).logits[0]
        self.cost.add(forward=1)
        return torch.log_softmax(logits[-places:].float(), dim=-1)

    def check_answer(self, answer: str) -> str:
        """A given answer without white space around it.

        Raises:
            InputError: it is empty, or it holds the image placeholder, a special token or marks of a thought: no reader
                sees these, and they would change what is explained.
        """
        answer = answer.strip()
        if not answer:
            raise InputError("the answer to explain is empty")
        self.prompting.check_text("answer", answer)
        for marks in THOUGHTS:
            if marks.opening in answer or marks.closing in answer:
                mark = marks.opening if marks.opening in answer else marks.closing
                raise InputError(
                    f"the answer contains {mark!r}, a mark of a thought: give the thought apart (reasoning, "
                    "--reasoning), and the answer without marks"
                )
        if found := next((token for token in self._special_texts if token in answer), None):
            raise InputError(f"the answer contains {found!r}, a special token that no reader sees: remove it")
        return answer

    @functools.cached_property
    def _special_texts(self) -> tuple[str, ...]:
        """Texts that the tokenizer reads as special tokens, those with white space alone left out."""
        added = self.tokenizer.added_tokens_decoder.values()
        texts = {token.content for token in added if token.special} | set(self.tokenizer.all_special_tokens)
        return tuple(sorted((text for text in texts if text.strip()), key=len, reverse=True))

    def _continue(self, before: str, text: str) -> tuple[int, ...]:
        """Token ids of `text` after `before`: tokenized together, unless the border merges; then apart."""
        head = self.tokenizer(before, add_special_tokens=False)["input_ids"]
        together = self.tokenizer(before + text, add_special_tokens=False)["input_ids"]
        if together[: len(head)] == head and len(together) > len(head):
            return tuple(together[len(head) :])
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _read(self, ids: Sequence[int]) -> str:
        """The text of tokens, special ones included."""
        result: str = self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return result

    def decode(self, ids: Sequence[int]) -> str:
        result: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return result

    @in_turn
    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text that each token adds to the decoded answer; their concatenation is the answer.

        A character of several tokens is given to its last one; special tokens add nothing, see `special`.
        """
        pieces, seen = [], ""
        for count in range(1, len(ids) + 1):
            text = self.decode(ids[:count])
            unfinished = text.endswith("\ufffd") and count < len(ids)
            if unfinished or not text.startswith(seen):
                pieces.append("")
                continue
            pieces.append(text[len(seen) :])
            seen = text
        return pieces

    def special(self, ids: Sequence[int]) -> list[bool]:
        """Which tokens are special ones, that no reader sees."""
        known = set(self.tokenizer.all_special_ids)
        return [token in known for token in ids]

    # ---- score ----

    @in_turn
    def geometry(self, *sizes: Size, question: str = "?") -> Geometry:
        """The measured geometry for images of (height, width) in one prompt; the eight last ones are kept.

        Raises:
            InputError: the processor drops one of several images.
        """
        if sizes not in self._geometries:
            text = self.render(question, len(sizes))
            geometry = probe(lambda *images: self.prompting.process(images, text), *sizes)
            self._geometries[sizes] = geometry.to(self.device)
            while len(self._geometries) > GEOMETRIES_KEPT:
                self._geometries.popitem(last=False)
        self._geometries.move_to_end(sizes)
        return self._geometries[sizes]

    @in_turn
    def check_blend(self, image: Pictures, baseline: Pictures, question: str = "?") -> BlendError:
        """The geometry's self-check on a prompt's images and a baseline for each; three processor calls."""
        text = self.render(question, len(_listed(image)))
        geometry = self.geometry(*_sizes(image), question=question).to("cpu")
        return blend_error(lambda *pictures: self.prompting.process(pictures, text), geometry, image, baseline)

    @in_turn
    def score(self, prompt: Prompt, baseline: Pictures, answer: Sequence[int]) -> HuggingFaceScore:
        """The score function of all tokens of `answer`; a baseline for each image of the prompt, of its size.

        A baseline may also have the size of what `stand_ins` gave for the image.

        Raises:
            InputError: the answer holds a token that stands for an image, and goes on after it.
        """
        if pictured := [token for token in answer[:-1] if token in self.prompting.picture_ids]:
            raise InputError(f"the answer contains {self._read(pictured[:1])!r}, which stands for the image: remove it")
        geometry = self.geometry(*_sizes(baseline)).of(prompt.sizes or _sizes(baseline))
        if self._takes_batches is None:
            self._takes_batches = self.prompting.makes_plain_batches(_listed(baseline), prompt.text)
        if not self._takes_batches:
            self.plan.largest = 1
        names = tuple(geometry.tensors)
        shapes = tuple(tuple(prompt.inputs[name].shape) for name in names)
        self.plan.begin((prompt.inputs["input_ids"].shape[1] + len(answer), shapes))
        return HuggingFaceScore(
            model=self.model,
            conversation=self._conversation(prompt.inputs, names, tuple(answer)),
            image_pixels={name: self._cast(prompt.inputs[name]) for name in names},
            baseline_pixels=self.pixels(prompt, baseline),
            geometry=geometry,
            selected=range(len(answer)),
            plan=self.plan,
            cost=self.cost,
            ask=functools.partial(self._asked, prompt, _sizes(baseline), names),
            layers=self._layers,
        )

    def _asked(self, prompt: Prompt, sizes: Sequence[Size], pixels: Collection[str], question: str) -> Conversation:
        """Another question in the place of a prompt's, in the same chat and before the same thought.

        It changes the text alone, which is the same with any image of this size.
        """
        other = self.encode(_blank(prompt.sizes or sizes), question, prompt.chat)
        after = self._after(other, prompt.thought_ids, prompt.before, prompt.reasoning)
        return self._conversation(after.inputs, pixels, ())

    def _conversation(
        self, inputs: Mapping[str, Tensor], pixels: Collection[str], answer: tuple[int, ...]
    ) -> Conversation:
        """Everything but the tensors of pixels, by name."""
        return Conversation({name: self._cast(value) for name, value in inputs.items() if name not in pixels}, answer)

    @in_turn
    def pixels(self, prompt: Prompt, image: Pictures) -> dict[str, Tensor]:
        """The pixel tensors of other images of the same sizes in the same prompt."""
        processed = self.prompting.process(_listed(image), prompt.text)
        names = self.geometry(*_sizes(image)).tensors.keys()
        for name in names:
            if processed[name].shape != prompt.inputs[name].shape:
                raise InputError(f"the processor cuts the image and its baseline differently ({name}): unsupported")
        return {name: self._cast(processed[name]) for name in names}

    def _cast(self, value: Tensor) -> Tensor:
        return value.to(self.model.dtype) if value.is_floating_point() else value

    @contextlib.contextmanager
    def evaluation(self) -> Iterator[None]:
        """Inside, this thread alone has the model and its processor, in evaluation mode (`wherelook.models.turns`)."""
        with turn(self.model, self.processor, self.tokenizer):
            yield


def _listed(image: Pictures) -> list[Image.Image]:
    return [image] if isinstance(image, Image.Image) else list(image)


def _blank(sizes: Sequence[Size]) -> list[Image.Image]:
    return [Image.new("RGB", (width, height)) for height, width in sizes]


def _shrunk(image: Image.Image, most: int) -> Image.Image:
    """The image with at most about so many pixels; each is the mean of those it stands for."""
    scale = min(1.0, (most / (image.width * image.height)) ** 0.5)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.BOX)


def _sizes(image: Pictures) -> tuple[Size, ...]:
    return tuple((one.height, one.width) for one in _listed(image))


def _weight_storages(model: PreTrainedModel) -> frozenset[int]:
    tensors = [*model.parameters(), *model.buffers()]
    return frozenset(tensor.untyped_storage().data_ptr() for tensor in tensors)

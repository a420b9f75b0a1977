"""Tokens of images, audio and files in a prompt, which no tokenizer counts: the most that their sizes and the model allow.

rules.py        `MediaRules`: what the parts of a prompt cost at one model
families.py     the rules of OpenAI's model families, and of all other models
images.py       tokens of an image, by its size and detail: tiles or patches
image_sizes.py  width and height of an image, from the head of its file
audio.py        seconds of audio, from its file
base64_data.py  reads parts of base64 data without decoding all of it
"""

from completions_mw.core.costs.media.families import rules_of
from completions_mw.core.costs.media.rules import MediaRules, MediaTokens, media_hint, media_tokens

__all__ = ["MediaRules", "MediaTokens", "media_hint", "media_tokens", "rules_of"]

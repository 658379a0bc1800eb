"""Answers without a model: the sentences of the retrieved passages that fit the question best."""

from services.providers.extractive.model import ExtractiveModel as ExtractiveModel

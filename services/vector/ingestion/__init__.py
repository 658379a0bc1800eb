"""From a document's text to searchable points: cutting, embedding, storing, and the worker that does it as a job."""

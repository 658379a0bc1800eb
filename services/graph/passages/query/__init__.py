"""From a question to passages: base scores, paths over shared phrases, PageRank, and a set that explains it."""

"""The embedded stack: every real component of Pergola as processes of one machine, without Docker.

`make run` and the tests stand on the same `local.stack.Stack`.
"""

"""The errors of Pergola: the tree (`tree.py`, where a new leaf goes), and how they cross the wire both ways."""

from services.runtime.errors.remote import from_rpc as from_rpc
from services.runtime.errors.remote import translate as translate
from services.runtime.errors.tree import *  # noqa: F403
from services.runtime.errors.wire import ErrorFields as ErrorFields
from services.runtime.errors.wire import fields as fields

"""Runs on the servers; standard library of Python 3.11+ only.

The modules of this folder are sent over standard input with a JSON request behind them (`runner.agent`) and
answer in JSON lines; nothing stays on the server. The ledger (`basics.LEDGER`) remembers which files and
units are Holdfast's, what was last written, and which reloads and restarts an interrupted apply still owes.
"""

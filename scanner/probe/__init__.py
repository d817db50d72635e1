"""Probing: what a media file holds, read in processes that may crash, hang or grow without harm to others.

`jobs` is what the pool takes and gives, `pool` the parent's side, `process` the child's; `handlers` are what a
child does with a file: `probe` is one, plug-ins are others; `file` is what they are given.
"""

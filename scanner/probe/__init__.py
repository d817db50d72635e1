"""Probing: what a media file holds, read in processes that may crash, hang or grow without harm to others.

`jobs` is what the pool takes and gives; `pool` the parent's side with `child`, its end of a process, `groups`,
what waits, and `roots`; `process` is the child's with `examine`, what it does with a job; `frames` go between.
`handlers` are what is done with a file: `probe` is one, plug-ins are others; `file` is what they are given.
"""

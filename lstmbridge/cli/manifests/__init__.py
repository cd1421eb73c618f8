"""`verify --manifest`: many models, each in a process of its own, one answer.

`reading` says what a manifest may hold, `children` runs one model as a user would by hand,
`kept` knows which answers still hold, `running` runs them side by side.
"""

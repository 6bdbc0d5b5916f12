"""One module a command of `parlance`: HELP, `arguments(parser)` and `run(args)`."""

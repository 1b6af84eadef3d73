"""One file per command, each thin: parse, call, print, exit code. Imported only when the command is used."""

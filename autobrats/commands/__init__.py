"""The commands: arguments in, one call, a result on the screen."""

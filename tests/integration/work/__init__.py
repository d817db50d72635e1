"""Workers against a real broker, with messages and files of the tests' own making."""

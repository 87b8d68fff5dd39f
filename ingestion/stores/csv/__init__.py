"""Store CSVs: the bytes of files in, typed rows and rejects out, and never a value that the file does not say.

Reading has two steps. ``file.read_file`` takes one file's bytes: it unpacks and decodes them (``decode``), finds the
separator and the columns (``layout``) and checks the quoting; a file that fails here cannot be trusted and is
quarantined whole (``UntrustedFileError``). ``typed.parse`` takes many such files of one kind: their records are cut up
together (``records``), a whole column is typed at a time (``values``), and a record without an exact reading becomes
one row of ``raw.rejects`` with the first rule it breaks (``rejects``). ``file_line`` is the physical line in the
(unpacked) file on which a record begins; the first line is 1.
"""

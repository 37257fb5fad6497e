"""Runs the DICOM node, which takes films from a modality or an archive, and sends the answers to the archive.

`receive` puts each film into `queue`, which lies on `disk`, before it answers. In a process of its own, which starts
again when it ends, `grade` makes one report for each study, `deliver` sends it, and `retention` deletes what is old.
`outbox` holds what waits to be sent, and `changes` what a corrected header changes. `worklist` shows what came of each
study.
"""

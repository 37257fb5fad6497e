"""The DICOM node: takes films from a modality or an archive, and sends the answers to the archive.

`receive` puts each film into `queue` before it answers. In a process of its own, which is started again when it ends,
`grade` makes one answer for each study and `deliver` sends it. `worklist` shows what came of each film.
"""

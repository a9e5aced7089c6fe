"""`anyres eval prepare`: fetches data, checks it, and makes a folder of it that is quick to read."""

from pathlib import Path
from typing import Annotated

import typer

from anyres.cli.options import Json, Quiet
from anyres.cli.terminal import note, status, write_json, write_line

__all__ = ["prepare"]

MOST_NAMED = 5


def prepare(
    source: Annotated[
        str, typer.Argument(metavar="FILE|FOLDER|URL", show_default=False, help="TSV, CSV, JSONL, JSON or parquet.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="The new folder, as data/MME.")
    ],
    checksum: Annotated[
        str, typer.Option(metavar="HEX", help="MD5 or SHA-256 of the file; anything else is refused.")
    ] = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Makes a folder of data.jsonl and pictures out of a data set: each picture once, rows without gigabytes of base64.

    A folder that is called as its benchmark is found by `anyres eval run --data MME --data-dir data`. A URL is fetched
    once, goes on where it was cut off, and is kept beside the folder.

    Examples:

        anyres eval prepare MME.tsv --out data/MME

        anyres eval prepare https://example.org/MMStar.tsv --checksum e1ecd2140806c1b1bbf54b43372efb9e -o data/MMStar
    """
    from anyres.evaluation.data.download import checksum as sha256_of
    from anyres.evaluation.data.download import download, is_address
    from anyres.evaluation.data.prepared import prepare as make_folder

    with status("Reading ...", quiet=quiet) as shown:

        def fetched(done: int, whole: int) -> None:
            if shown is not None:
                shown.update(f"Fetching {done / 1e6:,.0f} of {whole / 1e6:,.0f} MB ...")

        def tell(rows: int) -> None:
            if shown is not None and rows % 50 == 0:
                shown.update(f"Writing row {rows:,} ...")

        file = (
            download(source, out.resolve().parent, digest=checksum, progress=fetched)
            if is_address(source)
            else _checked(Path(source), checksum)
        )
        made = make_folder(file, out, tell=tell)
    digest = sha256_of(file) if file.is_file() else ""
    told = {"folder": str(out), "rows": made.rows, "pictures": made.pictures, "damaged": list(made.damaged)}
    if as_json:
        write_json({**told, "sha256": digest})
        return
    write_line(f"{out}: {made.rows:,} rows, {made.pictures:,} pictures")
    if not quiet:
        for line in made.damaged[:MOST_NAMED]:
            note(f"left out: {line}")
        if digest:
            note(f"sha256 of {file.name}: {digest}")


def _checked(path: Path, digest: str) -> Path:
    from anyres.evaluation.data.download import check

    if digest:
        check(path, digest)
    return path

"""What a file is, judged by its first bytes; names and declared media types are never believed."""

from typing import NamedTuple

__all__ = ["ANIMATED", "PICTURES", "VIDEOS", "Format", "sniff"]


class Format(NamedTuple):
    """`key` is a short name for comparisons, `words` the one for people, `advice` how to make it readable."""

    key: str
    words: str
    advice: str = ""


_HEIF_ADVICE = "convert it to JPEG or PNG first, as with `heif-convert photo.heic photo.jpg`"
_DRAWING_ADVICE = "render it to PNG first, as with `rsvg-convert drawing.svg -o drawing.png`"
_PAGE_ADVICE = "render the page to PNG first"
_PLAYLIST_ADVICE = "give the clip itself; a playlist that names other files is never followed"

PICTURES = frozenset({"PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"})
ANIMATED = frozenset({"PNG", "WEBP", "GIF"})
VIDEOS = frozenset({"MP4", "MATROSKA", "AVI", "MPEGTS"})

# The first match counts.
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", Format("PNG", "a PNG picture")),
    (b"\xff\xd8\xff", Format("JPEG", "a JPEG picture")),
    (b"GIF87a", Format("GIF", "a GIF picture")),
    (b"GIF89a", Format("GIF", "a GIF picture")),
    (b"BM", Format("BMP", "a BMP picture")),
    (b"II*\x00", Format("TIFF", "a TIFF picture")),
    (b"MM\x00*", Format("TIFF", "a TIFF picture")),
    (b"%!PS", Format("EPS", "a PostScript drawing (EPS)", _PAGE_ADVICE)),
    (b"\xc5\xd0\xd3\xc6", Format("EPS", "a PostScript drawing (EPS)", _PAGE_ADVICE)),
    (b"%PDF", Format("PDF", "a PDF document", _PAGE_ADVICE)),
    (b"8BPS", Format("PSD", "a Photoshop file (PSD)", "export it as PNG first")),
    (b"SIMPLE  =", Format("FITS", "a FITS file", "export it as PNG first")),
    (b"\x00\x00\x01\x00", Format("ICO", "an icon file (ICO)", "export it as PNG first")),
    (b"icns", Format("ICNS", "an icon file (ICNS)", "export it as PNG first")),
    (b"\x00\x00\x00\x0cjP  ", Format("JPEG2000", "a JPEG 2000 picture", "convert it to PNG first")),
    (b"\xff\x4f\xff\x51", Format("JPEG2000", "a JPEG 2000 picture", "convert it to PNG first")),
    (b"\x89HDF", Format("HDF5", "an HDF5 file")),
    (b"\xd7\xcd\xc6\x9a", Format("WMF", "a Windows drawing (WMF)", _PAGE_ADVICE)),
    (b"\x1a\x45\xdf\xa3", Format("MATROSKA", "a Matroska or WebM clip")),
    (b"OggS", Format("OGG", "an Ogg file")),
    (b"\x00\x00\x01\xba", Format("MPEG", "an MPEG program stream")),
    (b"\x00\x00\x01\xb3", Format("MPEG", "a raw MPEG stream")),
    (b"ffconcat", Format("PLAYLIST", "an ffconcat playlist", _PLAYLIST_ADVICE)),
    (b"#EXTM3U", Format("PLAYLIST", "an m3u8 playlist", _PLAYLIST_ADVICE)),
    (b"PK\x03\x04", Format("ZIP", "a ZIP archive")),
    (b"\x1f\x8b", Format("GZIP", "a gzip archive")),
)
_ISO_BRANDS = {
    b"heic": Format("HEIC", "a HEIC picture", _HEIF_ADVICE),
    b"heix": Format("HEIC", "a HEIC picture", _HEIF_ADVICE),
    b"mif1": Format("HEIC", "a HEIF picture", _HEIF_ADVICE),
    b"msf1": Format("HEIC", "a HEIF picture", _HEIF_ADVICE),
    b"avif": Format("AVIF", "an AVIF picture", "convert it to JPEG or PNG first"),
    b"avis": Format("AVIF", "an AVIF picture", "convert it to JPEG or PNG first"),
}
_ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot")
_TS_PACKET = 188  # bytes in one MPEG transport packet, each begins with 0x47


def sniff(data: bytes) -> Format:
    """The format of a file from its first kilobyte or so.

    >>> sniff(b"GIF89a...").key, sniff(b"<svg xmlns=...>").words, sniff(b"").words
    ('GIF', 'an SVG drawing', 'an empty file')
    """
    if not data:
        return Format("EMPTY", "an empty file")
    for magic, format_ in _MAGIC:
        if data.startswith(magic):
            return format_
    return _sniff_riff(data) or _sniff_iso(data) or _sniff_stream(data) or _sniff_text(data)


def _sniff_riff(data: bytes) -> Format | None:
    kinds = {b"WEBP": Format("WEBP", "a WEBP picture"), b"AVI ": Format("AVI", "an AVI clip")}
    return kinds.get(data[8:12]) if data[:4] == b"RIFF" else None


def _sniff_iso(data: bytes) -> Format | None:
    if data[4:8] not in _ISO_BOXES:
        return None
    if data[4:8] == b"ftyp" and data[8:12] in _ISO_BRANDS:
        return _ISO_BRANDS[data[8:12]]
    return Format("MP4", "an MP4 or MOV clip")


def _sniff_stream(data: bytes) -> Format | None:
    sync = data[:1] == b"G" and data[_TS_PACKET : _TS_PACKET + 1] in (b"G", b"")
    if sync and b"\x00" in data[:_TS_PACKET]:
        return Format("MPEGTS", "an MPEG transport stream")
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in (b" ", b"\t", b"\n", b"\r", b"#"):
        return Format("PPM", "a PPM picture")
    return None


def _sniff_text(data: bytes) -> Format:
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in head and head[:1] == b"<":
        return Format("SVG", "an SVG drawing", _DRAWING_ADVICE)
    if head[:1] == b"<" and (b"<html" in head or b"<!doctype html" in head):
        return Format("HTML", "a web page (HTML)", "give the address of the file itself")
    if head and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head) and _is_utf8(data[:1024]):
        return Format("TEXT", "plain text")
    return Format("UNKNOWN", "no known format")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(data) - 3  # a character cut in two by the end of the sample
    return True

//! What a file is, told by its first bytes and never by its name.

/// Bytes looked at. A tar archive shows its magic at 257; binary files have a NUL long before this.
pub(super) const SNIFF_BYTES: usize = 4 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Zstd,
    Bzip2,
    Gzip,
    /// Not for us; what it looks like, to be named in the error.
    Other(&'static str),
}

/// Starts of files that people name by mistake.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x7fELF", "an ELF program"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xfd7zXZ\x00", "an xz archive: unpack it first (`xz -dc FILE | eddy replay -`)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!\x1a\x07", "a rar archive: unpack it first"),
    (b"\x04\x22\x4d\x18", "an lz4 archive: unpack it first (`lz4 -dc FILE | eddy replay -`)"),
    (b"LZIP", "an lzip archive: unpack it first"),
    (b"%PDF-", "a PDF document"),
    (b"PAR1", "a parquet file"),
    (b"Obj\x01", "an avro file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\xff\xfe", "UTF-16 text: convert it to UTF-8 first"),
    (b"\xfe\xff", "UTF-16 text: convert it to UTF-8 first"),
];

/// What a file is that starts with `head`, its first [`SNIFF_BYTES`] or all of it.
pub(super) fn of_file(head: &[u8]) -> Kind {
    match head {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Kind::Zstd,
        // A skippable frame, which parallel compressors put first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Kind::Zstd,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Kind::Bzip2,
        [0x1f, 0x8b, ..] => Kind::Gzip,
        _ => of_content(head).map_or(Kind::Plain, Kind::Other),
    }
}

/// What a stream that starts with `head` looks like, once it is decompressed, where it cannot be JSON.
pub(super) fn of_content(head: &[u8]) -> Option<&'static str> {
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(name);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive: unpack it first (`tar -xOf FILE | eddy replay -`)");
    }
    memchr::memchr(0, head).map(|_| "binary data")
}

/// The same, for what comes out of a decompressor: an archive in an archive is no dump either.
pub(super) fn of_decompressed(head: &[u8]) -> Option<&'static str> {
    match of_file(head) {
        Kind::Plain => None,
        Kind::Zstd => Some("zstd inside another compression: unpack the outer one first"),
        Kind::Bzip2 => Some("bzip2 inside another compression: unpack the outer one first"),
        Kind::Gzip => Some("gzip inside another compression: unpack the outer one first"),
        Kind::Other(name) => Some(name),
    }
}

use super::*;

fn lines(count: usize) -> String {
    (0..count).map(|index| format!("{{\"n\":{index},\"body\":\"some words that compress\"}}\n")).collect()
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).unwrap()
}

fn bzip2(text: &str) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

type Packer = fn(&str) -> Vec<u8>;

const PACKERS: [(&str, Packer); 3] = [("zstd", zstd), ("bzip2", bzip2), ("gzip", gzip)];

#[test]
fn archives_are_told_by_their_first_bytes_and_may_have_several_parts() {
    for (name, pack) in PACKERS {
        let parts = [pack("{\"a\":1}\n{\"b\":"), pack(""), pack("2}\n{\"c\":3}\n")].concat();
        let read = read(&parts, Limits::default());
        assert_eq!(read.records, [("{\"a\":1}".into(), 1, 0), ("{\"b\":2}".into(), 2, 8), ("{\"c\":3}".into(), 3, 16)], "{name}");
        assert!(read.errors.is_empty() && read.verbatim == 1, "{name} {read:?}");
    }
}

#[test]
fn a_long_window_is_allowed() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(31).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(lines(10).as_bytes()).unwrap();
    assert_eq!(read(&encoder.finish().unwrap(), Limits::default()).records.len(), 10);
}

#[test]
fn a_skippable_frame_may_come_first() {
    let parts = [b"\x50\x2a\x4d\x18\x04\0\0\0abcd".to_vec(), zstd("{\"a\":1}\n")].concat();
    assert_eq!(read(&parts, Limits::default()).texts(), ["{\"a\":1}"]);
}

#[test]
fn an_archive_of_something_else_is_refused() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_cksum();
    tar.append_data(&mut header, "a.json", &b"{}\n"[..]).unwrap();
    let tar = tar.into_inner().unwrap();
    for (bytes, found) in [(zstd::encode_all(&tar[..], 1).unwrap(), "a tar archive"), (gzip_bytes(&zstd("x")), "zstd inside")] {
        let read = read(&bytes, Limits::default());
        assert!(read.records.is_empty() && read.errors[0].contains(found), "{read:?}");
    }
}

fn gzip_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_archive_cut_short_anywhere_gives_its_whole_records_and_an_error() {
    const FIRST: usize = 10 * 42;
    let text = lines(30);
    let whole = read_text(&text).records;
    for (name, pack) in PACKERS {
        let archive = [pack(&text[..FIRST]), pack(&text[FIRST..])].concat();
        let boundary = pack(&text[..FIRST]).len();
        let mut most = 0;
        for end in 4..archive.len() {
            let read = read(&archive[..end], small(64));
            assert!(whole.starts_with(&read.records), "{name} at {end}: {read:?}");
            assert!(read.records.len() >= most && read.rejected.is_empty(), "{name} at {end}: {read:?}");
            most = read.records.len();
            // An archive that ends between its parts looks like any other.
            let told = read.errors.iter().any(|error| error.contains("cut short or damaged"));
            assert_eq!(told, end != boundary, "{name} at {end} of {} with its first part {boundary}: {read:?}", archive.len());
        }
        assert!(most > 5, "{name}");
    }
}

#[test]
fn lines_after_a_broken_one_count_in_an_archive_cut_short_too() {
    for (name, pack) in PACKERS {
        let rest = pack("{\"c\":3}\n");
        let archive = [pack("[\n{\"b\":2}\n"), rest[..rest.len() - 1].to_vec()].concat();
        let read = read(&archive, Limits::default());
        assert_eq!((read.texts()[..2].to_vec(), read.errors.len()), (vec!["[", "{\"b\":2}"], 1), "{name}");
    }
}

#[test]
fn a_damaged_archive_gives_what_can_be_read_and_never_a_half_record() {
    let text = lines(20_000);
    for (name, pack) in PACKERS {
        let mut archive = pack(&text);
        let middle = archive.len() / 2;
        archive[middle..].iter_mut().take(32).for_each(|byte| *byte ^= 0x5a);
        let read = read(&archive, Limits::default());
        assert_eq!(read.errors.len(), 1, "{name}");
        assert!(read.records.len() < 20_000, "{name}");
    }
}

#[test]
fn a_document_in_an_archive_cut_short_gives_what_was_complete() {
    let things: Vec<String> = (0..5_000).map(|index| thing(&format!("{index}"), &[cut(&format!("{index}_")), cut("x")])).collect();
    let whole = read_text(&listing(&things)).records;
    assert_eq!(whole.len(), 15_000);
    for (name, pack) in PACKERS {
        let archive = pack(&listing(&things));
        let read = read(&archive[..archive.len() - 10], small(1 << 12));
        assert_eq!((read.errors.len(), read.rejected.len()), (1, 0), "{name}");
        assert!(read.records.iter().all(|record| whole.binary_search_by_key(&record.2, |whole| whole.2).is_ok()), "{name}");
    }
}

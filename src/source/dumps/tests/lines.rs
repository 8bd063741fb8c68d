use super::*;

#[test]
fn ordinary_lines_are_handed_out_as_they_stand() {
    let read = read_text("{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
    assert_eq!(read.records, [("{\"a\":1}".into(), 1, 0), ("{\"b\":2}".into(), 2, 8), ("{\"c\":3}".into(), 3, 16)]);
    assert_eq!(read.verbatim, 1);
}

#[test]
fn a_last_line_without_its_line_feed_is_a_record() {
    assert_eq!(read_text("{\"a\":1}\n{\"b\":2}").texts(), ["{\"a\":1}", "{\"b\":2}"]);
}

#[test]
fn blank_lines_are_no_records_but_count_as_lines() {
    let read = read_text("\n{\"a\":1}\n\r\n  \n\n{\"b\":2}\n\n");
    assert_eq!(read.texts(), ["{\"a\":1}", "{\"b\":2}"]);
    assert_eq!(read.places(), [(2, 1), (6, 15)]);
}

#[test]
fn carriage_returns_stay() {
    let read = read_text("{\"a\":1}\r\n{\"b\":2}\r\n");
    assert_eq!(read.texts(), ["{\"a\":1}\r", "{\"b\":2}\r"]);
    assert_eq!(read.verbatim, 1);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let read = read_text("\u{feff}{\"a\":1}\n{\"b\":2}\n");
    assert_eq!(read.records, [("{\"a\":1}".into(), 1, 3), ("{\"b\":2}".into(), 2, 11)]);
}

#[test]
fn bytes_that_are_not_utf_8_are_passed_on() {
    let file = file(b"{\"a\":\"\xff\xfe\"}\n");
    let mut reader = Reader::new(vec![file.path().to_owned()], Limits::default());
    assert_eq!(reader.next(None).unwrap().unwrap().bytes, b"{\"a\":\"\xff\xfe\"}\n");
}

#[test]
fn an_empty_file_has_no_records() {
    assert_eq!(read_text("").records, []);
    assert_eq!(read_text("\u{feff}").records, []);
    assert_eq!(read_text("\n\n").records, []);
}

#[test]
fn a_dump_s_own_keys_do_not_slow_it_down() {
    let lines = [
        r#"{"name":"t1_c13","body":"messages of"}"#,
        r#"{"id":"c13","body":"\"messages\" \"Listing\""}"#,
        r#"{"kind":"t1","data":{"body":"x","replies":""}}"#,
        r#"{"type":"x"}"#,
        r#"{"data":1,"crosspost_parent_list":[{"kind":"t3"}]}"#,
        r#"{"results":[]}"#,
    ];
    let read = read_text(&lines.join("\n"));
    assert_eq!((read.texts(), read.verbatim), (lines.to_vec(), 1));
}

#[test]
fn inputs_come_one_after_another_each_with_its_own_lines() {
    let files = [file(b"{\"a\":1}\n"), file(b""), file(b"[1]\n{\"b\":2}")];
    let mut reader = Reader::new(files.iter().map(|file| file.path().to_owned()).collect(), Limits::default());
    assert_eq!(reader.bytes_total(), Some(19));
    reader.check().unwrap();
    let first = reader.next(None).unwrap().unwrap();
    assert_eq!((first.input, &first.place), (0, &Places::Lines { line: 1, offset: 0 }));
    let last = reader.next(Some(first.bytes)).unwrap().unwrap();
    assert_eq!((last.input, &last.bytes[..]), (2, &b"[1]\n{\"b\":2}\n"[..]));
    assert_eq!(last.place, Places::Each(vec![(1, 0), (2, 4)]));
    assert!(reader.next(None).unwrap().is_none());
    assert!(reader.next(None).unwrap().is_none());
    assert_eq!(reader.bytes_read(), 19);
    assert!(reader.input_is_plain(0) && !reader.input_is_plain(9));
}

#[test]
fn a_file_that_cannot_be_read_does_not_keep_the_next_from_being_read() {
    let good = file(b"{\"a\":1}\n");
    let folder = tempfile::tempdir().unwrap();
    let png = file(b"\x89PNG\r\n\x1a\n.....");
    let paths = vec![folder.path().to_owned(), folder.path().join("none"), png.path().to_owned(), good.path().to_owned()];
    let reader = Reader::new(paths.clone(), Limits::default());
    assert!(matches!(reader.check(), Err(Error::Directory { .. })));
    let read = read_files(paths, Limits::default());
    assert_eq!(read.texts(), ["{\"a\":1}"]);
    let told = ["is a directory", "cannot open", "looks like a PNG image"];
    assert!(read.errors.iter().zip(told).all(|(error, told)| error.contains(told)), "{:?}", read.errors);
    assert_eq!(read.errors.len(), 3);
}

#[test]
fn other_kinds_of_files_are_named() {
    let mut tar = vec![b'x'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let kinds: [(&[u8], &str); 6] = [
        (b"\x7fELF\x02\x01\x01", "an ELF program"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\xfd7zXZ\x00....", "an xz archive"),
        (b"{\"a\":\0}", "binary data"),
        (b"\xff\xfe{\0", "UTF-16"),
        (&tar, "a tar archive"),
    ];
    for (bytes, name) in kinds {
        let file = file(bytes);
        let reader = Reader::new(vec![file.path().to_owned()], Limits::default());
        assert!(reader.check().is_err_and(|error| error.to_string().contains(name)), "{name}");
        let read = read_files(vec![file.path().to_owned()], Limits::default());
        assert!(read.errors.len() == 1 && read.errors[0].contains(name) && read.records.is_empty(), "{read:?}");
    }
}

#[test]
fn standard_input_can_be_named_once() {
    let reader = Reader::new(vec!["-".into(), "-".into()], Limits::default());
    assert!(matches!(reader.check(), Err(Error::StdinTwice)));
    assert_eq!(reader.bytes_total(), None);
}

#[test]
fn a_reader_may_move_to_a_thread_of_its_own() {
    fn moves<T: Send>(_: T) {}
    moves(Reader::new(vec![], Limits::default()));
}

use super::*;

/// A file with one of everything, and the texts that should come of it.
fn mixed() -> (String, usize) {
    let tree = listing(&[thing("a", &[thing("b", &[cut("c")]), cut("d")]), cut("e")]);
    let parts = [
        ("{\"x\":\"é\\\"\\\\\"}\r\n".to_owned(), 1),
        (format!("{tree}\n"), 5),
        ("\n{\"y\":[true,null]}\n".to_owned(), 1),
        (tree.replace(':', " :\n\t").replace(',', "\r\n, ") + "\n", 5),
        ("{\"a\":\n{\"b\":2}\n{\"c\":3}\n".to_owned(), 3),
        ("{\"ok\":true,\"result\":[{\"update_id\":1}, 17]}{\"ok\":true,\"result\":[{\"update_id\":2}]}\n".to_owned(), 3),
        ("{\"messages\":[{\"id\":1,\"date\":\"x\"}],\"name\":\"n\",\"type\":\"t\",\"id\":12}\n".to_owned(), 1),
        ("17\n-3.5e7  \n\"str\\u00e9\"\nfalse\nnope\n[[[\n{\"q\":1}\n{\"q\":2}\n".to_owned(), 8),
        ("{\"kind\":\"Listing\",\"data\":{\"children\":[{\"kind\":\"t1\",\"data\":{}},{\"ki\n{\"z\":1}".to_owned(), 2),
    ];
    (parts.iter().map(|(text, _)| text.as_str()).collect(), parts.iter().map(|(_, records)| records).sum())
}

#[test]
fn where_the_stream_is_split_makes_no_difference() {
    let (text, records) = mixed();
    let whole = read_text(&text);
    assert_eq!((whole.records.len(), whole.reasons()), (records, vec!["malformed"]), "{whole:?}");
    for block_bytes in 1..=text.len() + 1 {
        let split = read(text.as_bytes(), small(block_bytes));
        assert_eq!((&split.records, &split.rejected), (&whole.records, &whole.rejected), "blocks of {block_bytes}");
    }
}

#[test]
fn every_place_is_where_the_record_starts() {
    let (text, _) = mixed();
    for (record, line, offset) in read_text(&text).records {
        let lines = text[..offset as usize].matches('\n').count() as u64 + 1;
        assert_eq!(lines, line, "{record}");
        let start =
            record.strip_prefix("{\"desktop_export\":{\"chat\":{\"id\":12,\"type\":\"t\",\"name\":\"n\"},\"message\":").unwrap_or(&record);
        assert_eq!(text.as_bytes()[offset as usize], start.as_bytes()[0]);
    }
}

#[test]
fn any_size_of_blocks_gives_the_same_for_random_files() {
    let mut random = Random(42);
    for seed in 0..300 {
        let (mut text, mut expected) = (String::new(), Vec::new());
        for part in 0..random.below(12) {
            add_part(&mut random, &format!("{seed}x{part}"), &mut text, &mut expected);
        }
        let block_bytes = 1 + random.below(200);
        let read = read(text.as_bytes(), small(block_bytes));
        let compact: Vec<String> = read.texts().iter().map(|text| text.replace([' ', '\r'], "")).collect();
        assert_eq!(compact, expected, "seed {seed}, blocks of {block_bytes}: {text}");
        assert!(read.rejected.is_empty());
    }
}

fn add_part(random: &mut Random, id: &str, text: &mut String, expected: &mut Vec<String>) {
    match random.below(6) {
        0 | 1 => {
            text.push_str(&format!("{{\"id\":\"{id}\"}}\n"));
            expected.push(format!("{{\"id\":\"{id}\"}}"));
        }
        2 => {
            text.push_str(&format!("{{\"id\":\"{id}\n"));
            expected.push(format!("{{\"id\":\"{id}"));
        }
        3 => {
            text.push_str(&format!("{{\n\"id\" : [\"{id}\"]\r\n}}\n"));
            expected.push(format!("{{\"id\":[\"{id}\"]}}"));
        }
        way => {
            let tree = tree(random, id, 0, expected);
            let tree = listing(&[tree]);
            text.push_str(&if way == 4 { tree } else { tree.replace(",\"", ",\n  \"").replace("{\"", "{\n\"") });
            text.push('\n');
        }
    }
}

fn tree(random: &mut Random, id: &str, depth: usize, expected: &mut Vec<String>) -> String {
    expected.push(cut(id));
    let answers = if depth < 4 { random.below(3) } else { 0 };
    let replies: Vec<String> = (0..answers).map(|index| tree(random, &format!("{id}_{index}"), depth + 1, expected)).collect();
    thing(id, &replies)
}

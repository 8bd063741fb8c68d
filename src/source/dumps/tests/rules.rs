//! What a file gives by the rules that `document` states, found in the plainest way: from all of it at once, as trees.

use serde_json::Value;

/// What became of the bytes from an offset on: a record, or something that is refused.
pub type Item = (usize, Option<Value>);

/// A value and where it stands; one that does not close has no end.
struct Node {
    start: usize,
    end: Option<usize>,
    /// Of an object by their keys, of an array without.
    members: Vec<(String, Node)>,
}

impl Node {
    fn member(&self, key: &str) -> Option<&Node> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    fn is(&self, bytes: &[u8], text: &str) -> bool {
        self.end.is_some_and(|end| &bytes[self.start..end] == text.as_bytes())
    }

    fn is_empty(&self) -> bool {
        self.end.is_some() && self.members.is_empty()
    }

    fn value(&self, bytes: &[u8]) -> Option<Value> {
        serde_json::from_slice(&bytes[self.start..self.end?]).ok()
    }
}

/// In order of offset.
pub fn items(bytes: &[u8]) -> Vec<Item> {
    let (mut items, mut at, mut begins_line) = (vec![], 0, true);
    while at < bytes.len() {
        let line_end = |at: usize| bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |found| at + found);
        let line = &bytes[at..line_end(at)];
        let is_blank = line.trim_ascii().is_empty();
        if begins_line && (is_blank || is_ordinary(line)) {
            items.extend((!is_blank).then(|| (at, serde_json::from_slice(line).ok())));
            at = line_end(at) + 1;
            continue;
        }
        let Some(start) = (at..bytes.len()).find(|&at| !bytes[at].is_ascii_whitespace()) else { break };
        let (node, stop) = parse(bytes, start);
        let indent = bytes[at..start].iter().rev().take_while(|&&byte| byte != b'\n').count();
        let document = Given::of(bytes, &node, stop, indent);
        if document.resume.is_some() || node.end.is_none() {
            items.extend(document.open(&node));
        }
        items.extend(document.items);
        (at, begins_line) = match (document.resume, node.end) {
            (Some(resume), _) => (resume, true),
            (None, Some(end)) => {
                let next = (end..bytes.len()).find(|&at| !matches!(bytes[at], b' ' | b'\t' | b'\r')).unwrap_or(bytes.len());
                let ends_line = next == bytes.len() || bytes[next] == b'\n';
                let is_document = matches!(bytes[start], b'{' | b'[') && !ends_line && matches!(bytes[next], b'{' | b'[');
                let is_one_line = !bytes[start..end].contains(&b'\n');
                if document.is_whole && !ends_line && !is_document && is_one_line {
                    items.push((start, None));
                    (line_end(end) + 1, true)
                } else {
                    items.extend(document.is_whole.then(|| (start, node.value(bytes))));
                    (next + ends_line as usize, ends_line)
                }
            }
            (None, None) if line_start(bytes, stop).is_some_and(|line| line > start) => (stop, false),
            (None, None) => (line_end(stop) + 1, true),
        };
    }
    sort(&mut items);
    items
}

pub fn sort(items: &mut [Item]) {
    items.sort_by_key(|(offset, value)| (*offset, value.as_ref().map(Value::to_string)));
}

/// The known limit of `lines`: the ends of a line and its first key tell.
fn is_ordinary(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    let starts = |keys: &[&str]| keys.iter().any(|key| text.starts_with(&format!("{{\"{key}\"")));
    let wraps = starts(&["ok"]) || starts(&["id", "name"]) && text.contains("\"messages\"") || text.contains("\"Listing\"");
    text.starts_with("{\"") && text.ends_with('}') && !wraps
}

/// Where the line starts that has its first token at `at`.
fn line_start(bytes: &[u8], at: usize) -> Option<usize> {
    let start = bytes[..at].iter().rposition(|&byte| byte == b'\n')? + 1;
    (at < bytes.len() && bytes[start..at].iter().all(u8::is_ascii_whitespace)).then_some(start)
}

#[derive(Clone, Copy, PartialEq)]
enum Array {
    Top,
    Things { in_listing: bool },
    Updates,
    Messages,
}

/// What a document gives.
struct Given<'a> {
    bytes: &'a [u8],
    /// The document, its indentation, and where it stops.
    start: usize,
    indent: usize,
    stop: usize,
    items: Vec<Item>,
    /// Something was cut out of it, and that ended here.
    cut: bool,
    last: usize,
    /// It is itself the record, if it closes.
    is_whole: bool,
    /// Records of envelopes that do not close.
    unfinished: Vec<usize>,
    /// The line that reading resumes on, where one begins a record.
    resume: Option<usize>,
}

impl<'a> Given<'a> {
    fn of(bytes: &'a [u8], root: &Node, stop: usize, indent: usize) -> Self {
        let start = root.start;
        let (items, unfinished) = (vec![], vec![]);
        let mut given = Given { bytes, start, indent, stop, items, cut: false, last: start, is_whole: true, unfinished, resume: None };
        given.is_whole = !given.document(root, true);
        if root.end.is_none() && given.resume.is_none() {
            given.resume = given.next_line();
        }
        given
    }

    /// What is open at its break: something for each line that begins a record.
    fn open(&self, root: &Node) -> Vec<Item> {
        let end = self.resume.unwrap_or(self.stop);
        let mut lines = vec![root.start];
        let mut node = root;
        while let Some((_, next)) = node.members.last().filter(|(_, next)| next.end.is_none() && next.start < end) {
            lines.extend(self.begins_record(next.start).then_some(next.start));
            node = next;
        }
        let record = |from: usize, to: usize| self.unfinished.iter().copied().find(|at| self.cut && (from..to).contains(at));
        let ends = lines.iter().skip(1).copied().chain([end]);
        lines.iter().zip(ends).map(|(&line, end)| (record(line, end).unwrap_or(line), None)).collect()
    }

    fn begins_record(&self, at: usize) -> bool {
        let line = line_start(self.bytes, at).filter(|&line| line > self.start);
        line.is_some_and(|line| at - line <= self.indent && !matches!(self.bytes[at], b'\t'..=b' ' | b'}' | b']' | b',' | b':'))
    }

    /// The first line after what was cut out that begins a record.
    fn next_line(&self) -> Option<usize> {
        (self.last..=self.stop).find(|&at| self.begins_record(at))
    }

    fn cut_to(&mut self, end: usize) {
        (self.cut, self.last) = (true, end);
    }

    /// Whether it is an envelope. Any kind may stand at the `top`; elsewhere listings only.
    fn document(&mut self, node: &Node, top: bool) -> bool {
        if self.bytes[node.start] == b'[' {
            return top && self.records(node, Array::Top);
        }
        let says = |key, text| node.member(key).is_some_and(|member| member.is(self.bytes, text));
        let (in_listing, ok) = (says("kind", "\"Listing\""), says("ok", "true"));
        let is_named = node.member("type").is_some() || node.member("name").is_some();
        let mut is_envelope = false;
        for (key, member) in &node.members {
            let (open, children) = (self.bytes[member.start], member.member("children"));
            is_envelope |= match (key.as_str(), open, children) {
                ("data", b'{', Some(children)) if self.bytes[children.start] == b'[' => {
                    self.records(children, Array::Things { in_listing }) || in_listing && children.is_empty()
                }
                ("result", b'[', _) if top => self.records(member, Array::Updates) || ok && member.is_empty(),
                ("messages", b'[', _) if top => self.records(member, Array::Messages) || is_named && member.is_empty(),
                ("data", ..) => false,
                (_, b'{', _) if top => self.member(member),
                _ => false,
            };
        }
        is_envelope
    }

    fn member(&mut self, member: &Node) -> bool {
        let is_envelope = self.document(member, false);
        if let Some(end) = member.end.filter(|_| is_envelope) {
            self.cut_to(end);
        }
        is_envelope
    }

    /// Whether records came out of the array.
    fn records(&mut self, array: &Node, kind: Array) -> bool {
        let mut has_given = false;
        for (index, (_, element)) in array.members.iter().enumerate() {
            let is_array = self.bytes[element.start] == b'[';
            let says = |key, text| element.member(key).is_some_and(|member| member.is(self.bytes, text));
            let mut before_date = element.members.iter().take_while(|(key, _)| key != "date");
            let is_chat = before_date.any(|(key, member)| key == "messages" && self.bytes[member.start] == b'[');
            let is_line = is_array || is_chat || says("ok", "true") || says("kind", "\"Listing\"");
            if kind != Array::Top && is_line && self.next_line() == Some(element.start) {
                self.resume = Some(element.start);
                return has_given;
            }
            if kind != Array::Top && element.end.is_none() {
                self.unfinished.push(element.start);
            }
            let is_envelope = match kind {
                Array::Top => self.document(element, true),
                Array::Things { .. } => self.document(element, false),
                _ => false,
            };
            let Some(end) = element.end.filter(|_| self.resume.is_none()) else { break };
            let is_record = match kind {
                Array::Updates => element.member("update_id").is_some(),
                Array::Messages => element.member("id").is_some() && element.member("date").is_some(),
                _ => says("kind", "\"t1\""),
            };
            if !is_record && !is_envelope && !has_given && kind != (Array::Things { in_listing: true }) {
                continue;
            }
            if !has_given && index > 0 {
                let before = array.members[..index].iter().map(|(_, element)| element.value(self.bytes)).collect();
                self.items.push((array.start, before));
            }
            if !is_envelope {
                let value = element.value(self.bytes);
                let value = if is_record && kind == Array::Messages { value.map(exported) } else { value };
                self.items.push((element.start, value));
            }
            has_given = true;
            self.cut_to(end);
        }
        has_given
    }
}

fn exported(message: Value) -> Value {
    serde_json::json!({"desktop_export": {"chat": {"id": 5, "type": "t", "name": "n"}, "message": message}})
}

/// The value that starts at `start`, as far as it goes, and where it stops: behind it, or on what cannot stand there.
fn parse(bytes: &[u8], start: usize) -> (Node, usize) {
    let mut node = Node { start, end: None, members: vec![] };
    let stop = match bytes[start] {
        open @ (b'{' | b'[') => {
            let (closed, stop) = members(bytes, start + 1, open == b'{', &mut node.members);
            node.end = closed.then_some(stop);
            return (node, stop);
        }
        _ => scalar(bytes, start),
    };
    node.end = stop.ok();
    (node, stop.unwrap_or_else(|stop| stop))
}

fn members(bytes: &[u8], mut at: usize, in_object: bool, members: &mut Vec<(String, Node)>) -> (bool, usize) {
    let gap = |at: usize| (at..bytes.len()).find(|&at| !matches!(bytes[at], b' ' | b'\t' | b'\r' | b'\n')).unwrap_or(bytes.len());
    let close = if in_object { b'}' } else { b']' };
    loop {
        at = gap(at);
        if members.is_empty() && bytes.get(at) == Some(&close) {
            return (true, at + 1);
        }
        let mut key = String::new();
        if in_object {
            match scalar(bytes, at) {
                Ok(end) if bytes[at] == b'"' => key = String::from_utf8_lossy(&bytes[at + 1..end - 1]).into_owned(),
                Err(stop) if bytes.get(at) == Some(&b'"') => return (false, stop),
                _ => return (false, at),
            }
            at = gap(at + key.len() + 2);
            if bytes.get(at) != Some(&b':') {
                return (false, at);
            }
            at = gap(at + 1);
        }
        if at == bytes.len() {
            return (false, at);
        }
        let (node, stop) = parse(bytes, at);
        let closed = node.end.is_some();
        if closed || stop > at {
            members.push((key, node));
        }
        if !closed {
            return (false, stop);
        }
        at = gap(stop);
        match bytes.get(at) {
            Some(&byte) if byte == close => return (true, at + 1),
            Some(b',') => at += 1,
            _ => return (false, at),
        }
    }
}

/// Where a scalar ends, or what cannot be in it stands.
fn scalar(bytes: &[u8], at: usize) -> Result<usize, usize> {
    let rest = bytes.get(at..).unwrap_or_default();
    let number = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest.first() {
        Some(b'"') => {
            let mut at = at + 1;
            loop {
                match bytes.get(at) {
                    None | Some(b'\n') => return Err(at),
                    Some(b'"') => return Ok(at + 1),
                    Some(b'\\') if bytes.get(at + 1).is_some_and(|&byte| byte != b'\n') => at += 2,
                    _ => at += 1,
                }
            }
        }
        _ if number > 0 => Ok(at + number),
        Some(first) => {
            let Some(word) = ["true", "false", "null"].into_iter().find(|word| word.as_bytes()[0] == *first) else { return Err(at) };
            let same = word.bytes().zip(rest).take_while(|(a, b)| a == *b).count();
            if same == word.len() { Ok(at + same) } else { Err(at + same) }
        }
        None => Err(at),
    }
}

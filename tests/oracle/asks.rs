//! Does a text ask? It does when it has `?`, `？` or `؟` followed by white space, a closing quote or
//! bracket, or the end.
//!
//! OPEN: white space is Unicode's White_Space (a no-break space is, a zero-width space is not). OPEN: which
//! quotes and brackets close; those that close in some languages and open in others (`"`, `'`, `”`, `’`, `»`)
//! close, `>` and those of mathematics do not. OPEN: only the one character after the mark counts, so `?!`
//! and `?).` are as they look: the first does not ask, the second does.

const MARKS: [char; 3] = ['?', '？', '؟'];
const CLOSING: [char; 17] = [')', ']', '}', '"', '\'', '”', '’', '»', '›', '）', '】', '」', '』', '》', '〉', '］', '｝'];

pub fn asks(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    (0..characters.len()).filter(|&i| MARKS.contains(&characters[i])).any(|i| match characters.get(i + 1) {
        None => true,
        Some(next) => next.is_whitespace() || CLOSING.contains(next),
    })
}

//! JSON tokens out of a stream that arrives in pieces.
//!
//! It knows enough grammar to tell where a value ends and where what follows can no longer belong to it, and no more: the digits of a
//! number and the escapes of a string are the parser's business. A piece may end anywhere, inside a token too.
//!
//! # Invariants
//! 1. A raw line feed never stands inside a token. (Records are lines; a broken line ends where the line ends.)
//! 2. Nothing recurses: containers are bits in a vector, so depth costs a bit a level, and [`DEPTH_MAX`] bounds it.

use memchr::memchr3;

/// Deeper than this is taken for broken. It bounds the bits, and a record of 16 MiB has better uses for its bytes.
pub(super) const DEPTH_MAX: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// The piece is used up.
    More,
    ObjectOpen,
    ArrayOpen,
    Close,
    KeyOpen,
    KeyClose,
    ScalarOpen,
    ScalarClose,
    /// The byte at the cursor cannot stand there. Nothing more comes of this value.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    Colon,
    CommaOrClose,
    Nothing,
}

#[derive(Debug, Clone, Copy)]
enum Inside {
    /// Between tokens.
    Gap,
    String {
        key: bool,
        escaped: bool,
    },
    Word {
        word: &'static [u8],
        at: usize,
    },
    Number,
}

#[derive(Debug)]
pub(super) struct Lexer {
    expect: Expect,
    inside: Inside,
    /// One bit a level, set for an object.
    objects: Vec<u64>,
    depth: usize,
    /// The line the cursor is on.
    pub line: u64,
    /// No token has been seen on that line yet.
    pub line_is_fresh: bool,
    /// Where that line starts, or what is read of it.
    line_from: u64,
    /// How far the line that the value starts on is indented.
    margin: u64,
    /// Offset of the piece in the stream.
    pub base: u64,
    /// Where the last line that is not blank ended.
    pub line_end: u64,
    /// The token just seen begins a record, as far as the layout tells: where it stands. To be taken.
    pub line_begun: Option<u64>,
}

impl Lexer {
    pub fn new() -> Self {
        Lexer {
            expect: Expect::Value,
            inside: Inside::Gap,
            objects: Vec::new(),
            depth: 0,
            line: 1,
            line_is_fresh: true,
            line_from: 0,
            margin: 0,
            base: 0,
            line_end: 0,
            line_begun: None,
        }
    }

    /// Ready for a new value, from `offset` on `line`.
    pub fn restart(&mut self, line: u64, offset: u64) {
        self.expect = Expect::Value;
        self.inside = Inside::Gap;
        self.depth = 0;
        self.line = line;
        self.line_is_fresh = true;
        self.line_from = offset;
        self.line_begun = None;
    }

    /// Containers the cursor is in.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Whether a line feed now would cut a token in two.
    pub fn is_inside_token(&self) -> bool {
        matches!(self.inside, Inside::String { .. } | Inside::Word { .. })
    }

    /// The next token of `piece` at or after `at`, which moves past it. An opening token's first byte is then at `at - 1`.
    pub fn next(&mut self, piece: &[u8], at: &mut usize) -> Token {
        match self.inside {
            Inside::Gap => self.next_token(piece, at),
            Inside::String { key, escaped } => self.rest_of_string(piece, at, key, escaped),
            Inside::Word { word, at: done } => self.rest_of_word(piece, at, word, done),
            Inside::Number => self.rest_of_number(piece, at),
        }
    }

    fn next_token(&mut self, piece: &[u8], at: &mut usize) -> Token {
        while let Some(&byte) = piece.get(*at) {
            match byte {
                b' ' | b'\t' | b'\r' => {}
                b'\n' => {
                    if !self.line_is_fresh {
                        self.line_end = self.base + *at as u64;
                    }
                    self.line += 1;
                    self.line_is_fresh = true;
                    self.line_from = self.base + *at as u64 + 1;
                }
                _ if self.expect == Expect::Nothing => return Token::Broken,
                b',' if self.expect == Expect::CommaOrClose => {
                    self.line_is_fresh = false;
                    self.expect = if self.is_in_object() { Expect::Key } else { Expect::Value };
                }
                b':' if self.expect == Expect::Colon => {
                    self.line_is_fresh = false;
                    self.expect = Expect::Value;
                }
                _ => return self.token(byte, at),
            }
            *at += 1;
        }
        Token::More
    }

    fn token(&mut self, byte: u8, at: &mut usize) -> Token {
        if self.line_is_fresh {
            self.see_line(byte, self.base + *at as u64);
        }
        let value = matches!(self.expect, Expect::Value | Expect::ValueOrClose);
        let key = matches!(self.expect, Expect::Key | Expect::KeyOrClose);
        let close = matches!(self.expect, Expect::CommaOrClose | Expect::ValueOrClose | Expect::KeyOrClose);
        let token = match byte {
            b'"' if key => self.begin(Inside::String { key: true, escaped: false }, Token::KeyOpen),
            b'"' if value => self.begin(Inside::String { key: false, escaped: false }, Token::ScalarOpen),
            b'{' if value && self.depth < DEPTH_MAX => self.open(true),
            b'[' if value && self.depth < DEPTH_MAX => self.open(false),
            b'}' if close && self.is_in_object() => self.close(),
            b']' if close && !self.is_in_object() => self.close(),
            b'-' | b'0'..=b'9' if value => self.begin(Inside::Number, Token::ScalarOpen),
            b't' if value => self.begin(Inside::Word { word: b"true", at: 1 }, Token::ScalarOpen),
            b'f' if value => self.begin(Inside::Word { word: b"false", at: 1 }, Token::ScalarOpen),
            b'n' if value => self.begin(Inside::Word { word: b"null", at: 1 }, Token::ScalarOpen),
            _ => return Token::Broken,
        };
        self.line_is_fresh = false;
        *at += 1;
        token
    }

    /// The first byte of a line is seen. One that begins a record is not indented deeper than the value and closes nothing.
    fn see_line(&mut self, byte: u8, offset: u64) {
        let indent = offset - self.line_from;
        if self.depth == 0 {
            self.margin = indent;
        } else if indent <= self.margin && !matches!(byte, b'}' | b']') {
            self.line_begun = Some(offset);
        }
    }

    fn begin(&mut self, inside: Inside, token: Token) -> Token {
        self.inside = inside;
        token
    }

    fn rest_of_string(&mut self, piece: &[u8], at: &mut usize, key: bool, mut escaped: bool) -> Token {
        while *at < piece.len() {
            if escaped && piece[*at] != b'\n' {
                escaped = false;
                *at += 1;
                continue;
            }
            let Some(found) = memchr3(b'"', b'\\', b'\n', &piece[*at..]) else {
                *at = piece.len();
                break;
            };
            *at += found;
            match piece[*at] {
                b'\n' => return Token::Broken,
                b'\\' => escaped = true,
                _ => {
                    *at += 1;
                    return self.string_end(key);
                }
            }
            *at += 1;
        }
        self.inside = Inside::String { key, escaped };
        Token::More
    }

    fn string_end(&mut self, key: bool) -> Token {
        self.inside = Inside::Gap;
        if key {
            self.expect = Expect::Colon;
            return Token::KeyClose;
        }
        self.value_end();
        Token::ScalarClose
    }

    fn rest_of_word(&mut self, piece: &[u8], at: &mut usize, word: &'static [u8], mut done: usize) -> Token {
        while done < word.len() {
            match piece.get(*at) {
                None => {
                    self.inside = Inside::Word { word, at: done };
                    return Token::More;
                }
                Some(&byte) if byte == word[done] => {
                    done += 1;
                    *at += 1;
                }
                Some(_) => return Token::Broken,
            }
        }
        self.value_end();
        Token::ScalarClose
    }

    fn rest_of_number(&mut self, piece: &[u8], at: &mut usize) -> Token {
        while let Some(&byte) = piece.get(*at) {
            if !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') {
                self.value_end();
                return Token::ScalarClose;
            }
            *at += 1;
        }
        Token::More
    }

    fn open(&mut self, object: bool) -> Token {
        let (word, bit) = (self.depth / 64, 1u64 << (self.depth % 64));
        if word == self.objects.len() {
            self.objects.push(0);
        }
        self.depth += 1;
        if object {
            self.objects[word] |= bit;
            self.expect = Expect::KeyOrClose;
            return Token::ObjectOpen;
        }
        self.objects[word] &= !bit;
        self.expect = Expect::ValueOrClose;
        Token::ArrayOpen
    }

    fn close(&mut self) -> Token {
        self.depth -= 1;
        self.value_end();
        Token::Close
    }

    fn value_end(&mut self) {
        self.inside = Inside::Gap;
        self.expect = if self.depth == 0 { Expect::Nothing } else { Expect::CommaOrClose };
    }

    fn is_in_object(&self) -> bool {
        self.depth > 0 && self.objects[(self.depth - 1) / 64] >> ((self.depth - 1) % 64) & 1 == 1
    }
}

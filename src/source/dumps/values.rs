//! What opens and closes in a document, and what becomes of it: a record, an envelope, or a part of what encloses it.

use super::document::{Document, Phase};
use super::json::Token;
use super::members::{Array, Descent, Frame, Key, Kind, Position, Role};
use super::output::{Cut, Output};
use super::{RAW_BYTES_MAX, Rejected};

/// About 13,000 levels of answers; Reddit shows ten at a time. What is deeper is not looked into.
pub(super) const FRAMES_MAX: usize = 1 << 16;

/// Greatest text of all open records together, in records of the greatest size. Beyond it the outermost are given up as too long.
pub(super) const TEXT_RECORDS_MAX: usize = 4;

/// What is kept of a record given up so that others fit; there may be thousands.
const CROWDED_RAW_BYTES: usize = 4 << 10;

/// Levels that `{"desktop_export":{"message":` adds.
const CHAT_LEVELS: usize = 2;

/// What a chat is called, as members: `"id":1`, `"type":"..."`, `"name":"..."`.
#[derive(Debug, Default)]
pub(super) struct Chat {
    fields: [Vec<u8>; 3],
    members: Vec<u8>,
}

impl Chat {
    fn set(&mut self, key: Key, value: &[u8]) {
        let (index, name): (usize, &[u8]) = match key {
            Key::Id => (0, b"\"id\":"),
            Key::Type => (1, b"\"type\":"),
            _ => (2, b"\"name\":"),
        };
        self.fields[index] = [name, value].concat();
        let known: Vec<&[u8]> = self.fields.iter().map(Vec::as_slice).filter(|field| !field.is_empty()).collect();
        self.members = known.join(&b","[..]);
    }

    pub fn members(&self) -> &[u8] {
        &self.members
    }

    fn is_known(&self) -> bool {
        self.fields.iter().all(|field| !field.is_empty())
    }
}

impl Document {
    pub(super) fn key(&mut self, name: &[u8]) {
        let Some(top) = self.frames.last_mut() else { return };
        top.key = Key::of(name);
        // `ok` counts where it is true and `data` where it is an object; both are told by their values.
        if !matches!(top.key, Key::Ok | Key::Data) {
            top.see(top.key);
        }
    }

    /// A value starts with the byte at `first`.
    pub(super) fn open(&mut self, token: Token, piece: &[u8], first: usize) {
        let levels = self.lexer.depth();
        let (outside, depth) = if token == Token::ScalarOpen { (levels, levels + 1) } else { (levels - 1, levels) };
        let descent = match self.frames.last_mut() {
            None => Descent::Into(Role::Value(Position::Root)),
            Some(top) => {
                top.deepest = top.deepest.max(levels);
                if top.depth == outside {
                    top.elements += 1;
                    top.descend(token)
                } else {
                    Descent::Opaque
                }
            }
        };
        match descent {
            Descent::Opaque => {}
            Descent::Read => self.read(first),
            Descent::Into(_) if self.frames.len() >= FRAMES_MAX => {}
            Descent::Into(role) => {
                self.keep_to(piece, first);
                self.push(role, token, depth, self.base + first as u64);
            }
        }
    }

    fn push(&mut self, role: Role, token: Token, depth: usize, offset: u64) {
        let (levels, line) = (self.lexer.depth(), self.lexer.line);
        if matches!(role, Role::Value(Position::Root | Position::Element(Array::Chats))) {
            self.chat = Chat::default();
        }
        if role == Role::Value(Position::Member(Key::Replies)) {
            self.hold_for_owner();
        }
        if let (Role::Data, Some(owner)) = (role, self.frames.last_mut()) {
            owner.see(Key::Data);
        }
        let mut frame = Frame::new(role, depth, levels, self.text.len(), line, offset);
        frame.begins_line |= self.line_start == Some(offset);
        self.frames.push(frame);
        let top_array = matches!(role, Role::Value(Position::Root | Position::Element(Array::Top)));
        if top_array && token == Token::ArrayOpen {
            // Its elements are looked at like documents.
            self.frames.push(Frame::new(Role::Array(Array::Top), depth, levels, self.text.len(), line, offset));
        }
    }

    /// Records are held from here on, for the value whose answers open.
    fn hold_for_owner(&mut self) {
        if self.holder.is_none() {
            self.holder = self.frames.iter().rposition(Frame::is_value);
        }
    }

    pub(super) fn scalar(&mut self, scalar: &[u8]) {
        let Some(top) = self.frames.last_mut() else { return };
        match top.key {
            Key::Kind => {
                top.kind = match scalar {
                    b"\"t1\"" | b"\"t3\"" | b"\"t4\"" | b"\"t5\"" | b"\"more\"" => Kind::Thing,
                    b"\"Listing\"" => Kind::Listing,
                    _ => Kind::Unknown,
                }
            }
            Key::Ok if scalar == b"true" => top.see(Key::Ok),
            Key::Id | Key::Type | Key::Name if !scalar.is_empty() => self.chat.set(top.key, scalar),
            _ => {}
        }
    }

    /// A value has ended before `at`.
    pub(super) fn close(&mut self, piece: &[u8], at: usize, output: &mut Output) {
        let depth = self.lexer.depth() + 1;
        if self.frames.last().is_none_or(|top| top.depth != depth) {
            return;
        }
        self.keep_to(piece, at);
        let end = self.base + at as u64;
        while let Some(frame) = self.frames.pop_if(|top| top.depth == depth) {
            match frame.role {
                Role::Value(Position::Root) => self.close_root(frame, end, output),
                Role::Value(Position::Element(array)) => self.close_element(frame, array, end, output),
                Role::Value(Position::Member(key)) => self.close_member(frame, key),
                Role::Data | Role::Array(_) => self.close_part(frame),
            }
            if self.phase != Phase::Value {
                return;
            }
        }
    }

    fn close_root(&mut self, mut root: Frame, end: u64, output: &mut Output) {
        let is_record = root.is_thing() || root.replies_cut && !root.cut;
        let whole = if is_record && self.cut {
            self.give(&mut root, end, false, output);
            false
        } else {
            is_record || !root.is_envelope()
        };
        self.release_if_held_for(self.frames.len(), output);
        self.whole = (self.text.len(), end);
        self.phase = Phase::Tail { whole };
        self.frames.push(root);
    }

    fn close_element(&mut self, mut element: Frame, array: Array, end: u64, output: &mut Output) {
        let Some(enclosing) = self.frames.last() else { return };
        let has_given = enclosing.cut;
        let in_listing = array == Array::Things && self.is_in_listing();
        let is_record = element.is_record_of(array);
        let is_envelope = !is_record && element.is_envelope();
        let is_refused = !is_record && !is_envelope && array != Array::Chats && (has_given || in_listing);
        if is_record || is_envelope || is_refused {
            if !has_given {
                self.give_before(&element, output);
            }
            if !is_envelope {
                self.give(&mut element, end, is_record && array == Array::Messages, output);
            }
            if let Some(enclosing) = self.frames.last_mut() {
                enclosing.cut = true;
                self.text.truncate(enclosing.start.saturating_add(1));
            }
            self.set_cut();
        } else {
            self.fold(element);
        }
        self.release_if_held_for(self.frames.len(), output);
    }

    /// Whether the array on top is that of a value known to be a listing.
    fn is_in_listing(&self) -> bool {
        self.frames.iter().rev().find(|frame| frame.is_value()).is_some_and(|owner| owner.kind == Kind::Listing)
    }

    fn close_member(&mut self, member: Frame, key: Key) {
        if !member.is_envelope() {
            return self.fold(member);
        }
        self.set_cut();
        self.text.truncate(member.start);
        self.keep(if key == Key::Replies { b"\"\"" } else { b"null" });
        if let Some(owner) = self.frames.last_mut() {
            if key == Key::Replies {
                owner.replies_cut = true;
            } else {
                owner.cut = true;
            }
        }
    }

    /// `data`, or an array, ends: its owner takes over what is known of it.
    fn close_part(&mut self, part: Frame) {
        let Some(owner) = self.frames.last_mut() else { return };
        owner.cut |= part.cut;
        owner.replies_cut |= part.replies_cut;
        owner.empty |= part.empty || matches!(part.role, Role::Array(_)) && part.elements == 0;
        // Cut elements are gone, and so is their depth.
        if !part.cut {
            owner.deepest = owner.deepest.max(part.deepest);
        }
    }

    /// What closed is no record: it stays a part of what encloses it.
    fn fold(&mut self, part: Frame) {
        if let Some(owner) = self.frames.last_mut() {
            owner.deepest = owner.deepest.max(part.deepest);
        }
        let Some(owner) = self.value_on_top() else { return };
        match part.over {
            _ if self.frames[owner].over.is_some() => self.text.truncate(part.start),
            None => self.keep(b""),
            Some(over) => {
                let start = self.frames[owner].start;
                let raw = [&self.text[start..], &over].concat();
                self.frames[owner].over = Some(head(&raw, self.limits.record_bytes_max));
                self.text.truncate(start);
            }
        }
    }

    /// Records are cut out so far: no line before this is read again.
    fn set_cut(&mut self) {
        self.cut = true;
        self.next_line = None;
    }

    /// Folds what is open in the frame of this index.
    pub(super) fn fold_to(&mut self, index: usize) {
        while self.frames.len() > index + 1 {
            if let Some(part) = self.frames.pop().filter(Frame::is_value) {
                self.fold(part);
            }
        }
    }

    /// Gives the value that has just been popped as a record, or rejects it, and cuts its text off.
    fn give(&mut self, value: &mut Frame, end: u64, of_chat: bool, output: &mut Output) {
        let levels = value.levels() + if of_chat { CHAT_LEVELS } else { 0 };
        let raw_bytes = end - value.offset;
        let start = value.start.min(self.text.len());
        if let Some(raw) = value.over.take() {
            output.reject(Rejected { line: value.line, offset: value.offset, reason: "too_long", raw, raw_bytes });
        } else if levels > self.limits.depth_max {
            let raw = head(&self.text[start..], raw_bytes as usize);
            output.reject(Rejected { line: value.line, offset: value.offset, reason: "too_deep", raw, raw_bytes });
        } else {
            if of_chat && self.holder.is_none() && !self.chat.is_known() {
                self.hold_for_owner();
            }
            let cut = Cut { text: &self.text[start..], line: value.line, offset: value.offset, of_chat };
            match self.holder {
                Some(_) => output.hold(cut, self.chat.members()),
                None => output.emit(cut, self.chat.members()),
            }
        }
        self.text.truncate(start);
    }

    /// Gives the elements that came before the first that was recognised, as one array: they are no records, but not nothing.
    fn give_before(&mut self, first: &Frame, output: &mut Output) {
        let Some(array) = self.frames.last() else { return };
        if array.elements <= 1 || array.role == Role::Array(Array::Chats) {
            return;
        }
        let (line, offset, raw_bytes) = (array.line, array.offset, first.offset - array.offset);
        let owner = self.value_on_top();
        if let Some(raw) = owner.and_then(|owner| self.frames[owner].over.clone()) {
            return output.reject(Rejected { line, offset, reason: "too_long", raw, raw_bytes });
        }
        let before = &self.text[array.start.min(first.start)..first.start.min(self.text.len())];
        let before = before.trim_ascii_end();
        let mut text = before.strip_suffix(b",").unwrap_or(before).to_vec();
        text.push(b']');
        let cut = Cut { text: &text, line, offset, of_chat: false };
        match self.holder {
            Some(_) => output.hold(cut, self.chat.members()),
            None => output.emit(cut, self.chat.members()),
        }
    }

    /// The record that is open in the value of this index, the outermost where there are several; none between records.
    fn unfinished(&self, within: usize) -> Option<usize> {
        if !self.cut {
            return Some(within);
        }
        (within..self.frames.len()).find(|&index| {
            let frame = &self.frames[index];
            // Answers may be held for a message at the root.
            frame.is_part_of_envelope() || self.holder == Some(index) && !frame.has(Key::Messages)
        })
    }

    /// What is open ends before `end`, unclosed: of each line that begins a record, one is refused.
    pub(super) fn give_up(&mut self, end: u64, reason: &'static str, output: &mut Output) {
        let mut end = end;
        while let Some(line) = self.frames.iter().rposition(|frame| frame.begins_line) {
            if self.frames[line].offset < end {
                self.refuse(line, end, reason, output);
                end = self.frames[line].offset;
            }
            self.text.truncate(self.frames[line].start);
            self.frames.truncate(line);
        }
    }

    /// Refuses the record that is open in the value of this index. The parser does where all of it is there.
    fn refuse(&mut self, within: usize, end: u64, reason: &'static str, output: &mut Output) {
        let record = self.unfinished(within).filter(|&index| self.frames[index].offset < end);
        self.fold_to(record.unwrap_or(within));
        let Some(frame) = self.frames.last_mut() else { return };
        let (line, offset, over) = (frame.line, frame.offset, frame.over.take());
        let text = over.as_deref().or(self.text.get(frame.start..)).unwrap_or_default();
        // Between records only the envelope is unfinished, but it says that something is missing. What is left of it stands for it.
        let raw_bytes = if record.is_some() { end - offset } else { text.len() as u64 };
        let text = &text[..text.len().min(raw_bytes as usize)];
        let is_there = !self.cut && over.is_none() && text.len() as u64 == raw_bytes;
        if is_there && reason == "malformed" {
            return output.emit(Cut { text, line, offset, of_chat: false }, b"");
        }
        let reason = if raw_bytes > self.limits.record_bytes_max as u64 { "too_long" } else { reason };
        output.reject(Rejected { line, offset, reason, raw: head(text, RAW_BYTES_MAX), raw_bytes });
    }

    /// Gives the document as it is, or the line.
    pub(super) fn give_whole(&mut self, output: &mut Output) {
        let Some(mut root) = self.frames.pop() else { return };
        let (line, offset) = (root.line, root.offset);
        if let Some(raw) = root.over.take() {
            let raw_bytes = self.whole.1 - offset;
            return output.reject(Rejected { line, offset, reason: "too_long", raw, raw_bytes });
        }
        let text = &self.text[..self.whole.0.min(self.text.len())];
        output.emit(Cut { text, line, offset, of_chat: false }, b"");
    }

    fn release_if_held_for(&mut self, closed: usize, output: &mut Output) {
        if self.holder == Some(closed) {
            output.release(self.chat.members());
            self.holder = None;
        }
    }

    fn value_on_top(&self) -> Option<usize> {
        self.frames.iter().rposition(Frame::is_value)
    }

    /// Adds the piece up to `at` to the text.
    pub(super) fn keep_to(&mut self, piece: &[u8], at: usize) {
        if at > self.from {
            self.keep(&piece[self.from..at]);
        }
        self.from = at;
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let Some(top) = self.value_on_top() else { return };
        let frame = &mut self.frames[top];
        if frame.over.is_some() {
            return;
        }
        self.text.extend_from_slice(bytes);
        // Which bound is met first must not depend on how much was added at once.
        let (longest, room) = (self.limits.record_bytes_max, self.limits.record_bytes_max * TEXT_RECORDS_MAX);
        if self.text.len() > room && frame.start + longest > room {
            self.make_room(room);
        }
        let frame = &mut self.frames[top];
        if self.text.len() - frame.start > longest {
            frame.over = Some(head(&self.text[frame.start..], longest));
            self.text.truncate(frame.start);
        }
    }

    /// Gives up the outermost open values so that half of the room is left, where all of it has just been used.
    fn make_room(&mut self, room: usize) {
        let values: Vec<usize> = (0..self.frames.len()).filter(|&index| self.frames[index].is_value()).collect();
        let mut gone = 0;
        for pair in values.windows(2) {
            let (start, end) = (self.frames[pair[0]].start, self.frames[pair[1]].start);
            let raw = &self.text[start..end];
            let frame = &mut self.frames[pair[0]];
            if frame.over.is_none() {
                frame.over = Some(raw[..raw.len().min(CROWDED_RAW_BYTES)].to_vec());
            }
            gone = end;
            if room - gone <= room / 2 {
                break;
            }
        }
        self.text.drain(..gone);
        for frame in &mut self.frames {
            frame.start = frame.start.saturating_sub(gone);
        }
    }
}

/// As much of a rejected record as is kept, at most `most`.
pub(super) fn head(raw: &[u8], most: usize) -> Vec<u8> {
    raw[..raw.len().min(RAW_BYTES_MAX).min(most)].to_vec()
}

//! One file's bytes: as processes see them, as they are on the disk, and the blocks between.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a file system writes at once, and what a disk does.
const BLOCK: usize = 4096;
const SECTOR: usize = 512;

#[derive(Default)]
pub struct Content {
    pub bytes: Vec<u8>,
    disk: Vec<u8>,
    pending: Vec<Pending>,
}

/// Something that has not reached the disk.
enum Pending {
    /// A block as it was after a write to it.
    Block { at: usize, bytes: Vec<u8> },
    /// The file was cut off, or made longer.
    Length(usize),
}

impl Content {
    pub fn write(&mut self, bytes: &[u8], at: u64) {
        let (at, end) = (at as usize, at as usize + bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        for start in (at / BLOCK * BLOCK..end).step_by(BLOCK) {
            let block = &self.bytes[start..(start + BLOCK).min(self.bytes.len())];
            self.pending.push(Pending::Block { at: start, bytes: block.to_vec() });
        }
    }

    pub fn set_len(&mut self, len: u64) {
        let len = len as usize;
        self.bytes.resize(len, 0);
        for pending in &mut self.pending {
            match pending {
                Pending::Block { at, bytes } => bytes.truncate(len.saturating_sub(*at)),
                Pending::Length(longer) => *longer = (*longer).min(len),
            }
        }
        self.pending.push(Pending::Length(len));
    }

    pub fn sync(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            self.reach(&pending);
        }
    }

    /// Pages of a failed sync are dropped.
    pub fn forget(&mut self) {
        self.pending.clear();
    }

    fn reach(&mut self, pending: &Pending) {
        match pending {
            Pending::Block { at, bytes } => self.put(*at, bytes),
            Pending::Length(len) => self.disk.resize(*len, 0),
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if self.disk.len() < at + bytes.len() {
            self.disk.resize(at + bytes.len(), 0);
        }
        self.disk[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Keeps any of what is pending: all, none, a first part, or this and that; and tears some blocks.
    pub fn power_cut(&mut self, random: &mut Xoshiro256PlusPlus) {
        let pending = std::mem::take(&mut self.pending);
        let mode = random.random_range(0..4);
        let first = random.random_range(0..=pending.len());
        let longest = pending.iter().map(|pending| match pending {
            Pending::Block { at, bytes } => at + bytes.len(),
            Pending::Length(len) => *len,
        });
        // The length may be there before the blocks are: they are zeros then.
        if let Some(longest) = longest.max().filter(|_| random.random_bool(0.2)) {
            self.disk.resize(self.disk.len().max(longest), 0);
        }
        for (number, pending) in pending.iter().enumerate() {
            let keep = match mode {
                0 => true,
                1 => false,
                2 => number < first,
                _ => random.random(),
            };
            match pending {
                Pending::Block { at, bytes } if keep && random.random_bool(0.2) => {
                    for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
                        if random.random() {
                            self.put(at + sector * SECTOR, bytes);
                        }
                    }
                }
                pending if keep => self.reach(pending),
                _ => {}
            }
        }
        self.bytes.clone_from(&self.disk);
    }

    pub fn flip(&mut self, at: usize, bits: u8) {
        self.bytes[at] ^= bits;
        self.disk.clone_from(&self.bytes);
    }
}

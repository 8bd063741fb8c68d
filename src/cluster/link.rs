//! Control connections: words of the job, and beats that tell a frozen process from a silent one.
//!
//! ```text
//!   frame: kind 1 | length u32 | payload         BEAT: nothing    WORD: the job's    LEAVING: why, for people    DONE: no more comes
//! ```
//!
//! A thread listens to each other process and hands its words on; it may wait for whoever takes them. One thread beats for all.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::leave::{Left, Lost};
use super::{Met, Party};

const BEAT: u8 = 0;
const WORD: u8 = 1;
const LEAVING: u8 = 2;
const DONE: u8 = 3;

/// A longer frame is damage.
const FRAME_BYTES_MAX: u32 = 64 << 20;
/// Beats in the time that a silent process is given.
const BEATS: u32 = 4;
/// How long the last words may take.
pub(super) const LAST_WORDS_MAX: Duration = Duration::from_millis(300);

/// The control connections of this process.
pub struct Links {
    pub party: Party,
    /// How long another may be silent.
    watchdog: Duration,
    to: Vec<Option<Mutex<TcpStream>>>,
    /// Takes words. (Here, so that it is there also where nobody says any.)
    hear: Arc<Hear>,
    /// It needs the others no more.
    done: AtomicBool,
    pub(super) leaving: AtomicBool,
}

/// Takes the words of other processes: its number, and what it said.
pub type Hear = dyn Fn(usize, Vec<u8>) + Send + Sync;

impl Links {
    /// Begins to watch. `hear` is called by a thread for each process.
    pub fn new(met: Met, watchdog: Duration, hear: Arc<Hear>) -> io::Result<(Arc<Links>, Vec<Option<TcpStream>>)> {
        let Met { data, control, party } = met;
        let from = control.iter().map(|stream| stream.as_ref().map(TcpStream::try_clone).transpose()).collect::<io::Result<Vec<_>>>()?;
        let to = control.into_iter().map(|stream| stream.map(Mutex::new)).collect();
        let (done, leaving) = (AtomicBool::new(false), AtomicBool::new(false));
        let links = Arc::new(Links { party, watchdog, to, hear, done, leaving });
        links.leave_on_panic();
        for (process, stream) in from.into_iter().enumerate().filter_map(|(process, stream)| Some((process, stream?))) {
            stream.set_read_timeout(Some(watchdog))?;
            stream.set_write_timeout(Some(watchdog))?;
            let links = Arc::clone(&links);
            let listen = move || links.listen(process, stream);
            std::thread::Builder::new().name(format!("eddy-ear-{process}")).spawn(listen)?;
        }
        let heart = Arc::clone(&links);
        std::thread::Builder::new().name("eddy-heart".into()).spawn(move || heart.beat())?;
        Ok((links, data))
    }

    /// Says something to another process. Where it cannot be said, all is over.
    pub fn say(&self, process: usize, word: &[u8]) {
        if let Err(e) = self.try_send(process, WORD, word) {
            self.lost(process, self.loss(&e));
        }
    }

    /// Says something to all others.
    pub fn say_all(&self, word: &[u8]) {
        self.others().for_each(|process| self.say(process, word));
    }

    /// This process needs no other any more: it may lose whom it likes.
    pub fn enough(&self) {
        self.done.store(true, Ordering::Release);
    }

    /// Nor does any need this one.
    pub fn done(&self) {
        self.enough();
        self.others().for_each(|process| drop(self.try_send(process, DONE, &[])));
    }

    pub fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.party.process;
        (0..self.party.hosts.len()).filter(move |process| *process != me)
    }

    fn try_send(&self, process: usize, kind: u8, payload: &[u8]) -> io::Result<()> {
        let stream = self.to[process].as_ref().expect("a process says nothing to itself");
        write(&mut stream.lock(), kind, payload)
    }

    /// Says why it leaves, if that can be said at once.
    pub(super) fn last_words(&self, why: &str) {
        for process in self.others() {
            let stream = self.to[process].as_ref().expect("not this process");
            if let Some(mut stream) = stream.try_lock_for(LAST_WORDS_MAX) {
                // Whoever does not hear it will notice.
                let _ = stream.set_write_timeout(Some(LAST_WORDS_MAX)).and_then(|()| write(&mut stream, LEAVING, why.as_bytes()));
            }
        }
    }

    fn loss(&self, e: &io::Error) -> Lost {
        match e.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Lost::Silent(self.watchdog),
            _ => Lost::Gone,
        }
    }

    fn listen(&self, process: usize, mut stream: TcpStream) {
        loop {
            match read(&mut stream) {
                Ok((WORD, word)) => (self.hear)(process, word),
                Ok((BEAT, _)) => {}
                Ok((DONE, _)) => return,
                Ok((LEAVING, why)) => self.lost(process, Lost::Left(String::from_utf8_lossy(&why).into_owned())),
                Ok(_) => self.lost(process, Lost::Gone),
                Err(_) if self.done.load(Ordering::Acquire) => return,
                Err(e) => self.lost(process, self.loss(&e)),
            }
        }
    }

    /// Until the process ends: others may still need it when it needs them no more.
    fn beat(&self) {
        loop {
            std::thread::sleep(self.watchdog / BEATS);
            for stream in self.to.iter().flatten() {
                // Where a word is on its way, that is a sign of life. Whether another is gone is for who listens to say: it may be done.
                if let Some(mut stream) = stream.try_lock() {
                    let _ = write(&mut stream, BEAT, &[]);
                }
            }
        }
    }

    pub(super) fn lost(&self, process: usize, how: Lost) {
        if !self.done.load(Ordering::Acquire) {
            self.leave(&Left::Lost { name: self.party.name(process), how });
        }
    }
}

fn write(stream: &mut TcpStream, kind: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX).expect("words are short");
    let mut frame = Vec::with_capacity(payload.len() + 5);
    frame.push(kind);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(payload);
    stream.write_all(&frame)
}

fn read(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let length = u32::from_le_bytes(*head.last_chunk().expect("four bytes"));
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload)?;
    Ok((head[0], payload))
}

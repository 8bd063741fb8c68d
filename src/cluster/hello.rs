//! The first thing that two processes say on a connection: who they are, and what they were started with.
//!
//! ```text
//!   "eddy cluster\n" | length u32 | JSON of Hello            the caller says it, then the one who answers
//! ```

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, Party};

const MAGIC: &[u8; 13] = b"eddy cluster\n";
/// What a hello may be long: it names every file.
const BYTES_MAX: u32 = 32 << 20;
/// How long an answer may take. The other may be about to call a third.
const ANSWER_MAX: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Kind {
    Data,
    Control,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub process: usize,
    /// Who is called.
    pub to: usize,
    pub kind: Kind,
    given: Vec<(String, String)>,
    /// Why the one who answers wants no such connection.
    pub refused: Option<String>,
}

/// What came of a hello.
pub(super) enum Heard {
    Hello(Hello),
    /// Nothing, or not yet.
    Nothing,
    /// Something else.
    Stranger(String),
}

impl Hello {
    pub fn new(party: &Party, to: usize, kind: Kind) -> Self {
        Hello { process: party.process, to, kind, given: party.given.clone(), refused: None }
    }

    pub fn say(&self, stream: &mut TcpStream) -> io::Result<()> {
        let body = serde_json::to_vec(self)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        stream.write_all(&[&MAGIC[..], &length.to_le_bytes(), &body].concat())
    }

    pub fn hear(stream: &mut TcpStream) -> Heard {
        let mut head = [0; MAGIC.len() + 4];
        if stream.set_read_timeout(Some(ANSWER_MAX)).and_then(|()| stream.read_exact(&mut head)).is_err() {
            return Heard::Nothing;
        }
        let length = u32::from_le_bytes(*head.last_chunk().expect("four bytes"));
        if !head.starts_with(MAGIC) || length > BYTES_MAX {
            return Heard::Stranger("it does not speak as eddy does".into());
        }
        let mut body = vec![0; length as usize];
        if stream.read_exact(&mut body).is_err() {
            return Heard::Nothing;
        }
        serde_json::from_slice(&body).map_or_else(|_| Heard::Stranger("it is another version of eddy".into()), Heard::Hello)
    }

    /// The first thing that another was not started with as this one.
    pub fn compare(&self, party: &Party) -> Result<(), Error> {
        let name = match party.hosts.get(self.process) {
            Some(_) => party.name(self.process),
            None => format!("process {}", self.process),
        };
        let value = |given: &[(String, String)], field: &str| {
            given.iter().find(|(name, _)| name == field).map_or_else(|| "nothing".into(), |(_, value)| value.clone())
        };
        for (field, _) in party.given.iter().chain(&self.given) {
            let (mine, theirs) = (value(&party.given, field), value(&self.given, field));
            if mine != theirs {
                return Err(Error::Different { name, me: party.process, field: field.clone(), theirs, mine });
            }
        }
        Ok(())
    }
}

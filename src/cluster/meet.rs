//! Meeting: every process calls those of lower number and answers those of higher, until all have met or one was found that does not
//! belong.
//!
//! One thread does it, and waits for nobody but the one that it calls: a caller may have to wait until the other is through with a third,
//! and since calls go from higher numbers to lower ones only, process 0 answers first and nobody waits in a circle.

use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::hello::{Heard, Hello, Kind};
use super::{Error, Met, Party};
use crate::cli::say;

const KINDS: [Kind; 2] = [Kind::Data, Kind::Control];
const TRY_EVERY: Duration = Duration::from_millis(20);
const CALL_MAX: Duration = Duration::from_millis(300);
/// After this long it is said who is missing.
const SAY_AFTER: Duration = Duration::from_secs(3);

/// Connections to one other process, by kind.
type Pair = [Option<TcpStream>; 2];

/// Meets all others within `wait`. `look` is asked now and then whether to go on.
pub fn meet(party: Party, wait: Duration, look: &mut dyn FnMut() -> Result<(), crate::cli::Error>) -> Result<Met, Error> {
    let listener = listen(&party)?;
    let mut pairs: Vec<Pair> = party.hosts.iter().map(|_| Pair::default()).collect();
    let (began, mut said) = (Instant::now(), false);
    loop {
        // (Whoever has met all and left since says why by its last words.)
        for pair in pairs.iter_mut().filter(|pair| pair[Kind::Control as usize].as_ref().is_none_or(|control| !has_said(control))) {
            pair.iter_mut().for_each(|slot| drop(slot.take_if(|stream| has_hung_up(stream))));
        }
        let missing = |pairs: &[Pair]| {
            pairs.iter().enumerate().position(|(process, pair)| process != party.process && pair.iter().any(Option::is_none))
        };
        let Some(absent) = missing(&pairs) else { break };
        look().map_err(Error::Interrupted)?;
        let mut met = false;
        for (to, pair) in pairs.iter_mut().enumerate().take(party.process) {
            for (kind, slot) in KINDS.into_iter().zip(pair).filter(|(_, slot)| slot.is_none()) {
                *slot = call(&party, to, kind)?;
                met |= slot.is_some();
            }
        }
        while let Ok((stream, _)) = listener.accept() {
            met |= answer(&party, stream, &mut pairs)?;
        }
        if began.elapsed() > wait {
            return Err(Error::Absent { name: party.name(absent), seconds: wait.as_secs() });
        }
        if began.elapsed() > SAY_AFTER && !std::mem::replace(&mut said, true) {
            say(&format!("eddy: waiting for {}", party.name(absent)));
        }
        if !met {
            std::thread::sleep(TRY_EVERY);
        }
    }
    let (data, control) = pairs.into_iter().map(|[data, control]| (data, control)).unzip();
    Ok(Met { data, control, party })
}

fn listen(party: &Party) -> Result<TcpListener, Error> {
    let (process, address) = (party.process, &party.hosts[party.process]);
    let failed = |e: io::Error| {
        let what = match e.kind() {
            io::ErrorKind::AddrInUse => format!("it is taken; is process {process} running already?"),
            io::ErrorKind::AddrNotAvailable => format!("it is not of this machine; is --process {process} right?"),
            _ => e.to_string(),
        };
        Error::Listen { process, address: address.clone(), what }
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Calls another process; none where it is not there yet.
fn call(party: &Party, to: usize, kind: Kind) -> Result<Option<TcpStream>, Error> {
    let address = &party.hosts[to];
    let stranger = |what| Error::Stranger { process: to, address: address.clone(), what };
    let Ok(addresses) = address.to_socket_addrs() else { return Ok(None) };
    let Some(mut stream) = addresses.into_iter().find_map(|address| TcpStream::connect_timeout(&address, CALL_MAX).ok()) else {
        return Ok(None);
    };
    if Hello::new(party, to, kind).say(&mut stream).is_err() {
        return Ok(None);
    }
    match Hello::hear(&mut stream) {
        Heard::Nothing => Ok(None),
        Heard::Stranger(what) => Err(stranger(what)),
        // Where nobody listens yet on this machine, a connection may be to itself.
        Heard::Hello(hello) if (hello.process, hello.to) == (party.process, to) => Ok(None),
        Heard::Hello(hello) => {
            hello.compare(party)?;
            match hello.refused {
                Some(what) => Err(stranger(what)),
                None if hello.process != to => Err(stranger(format!("it is process {}", hello.process))),
                None => Ok(Some(ready(stream).map_err(|e| stranger(e.to_string()))?)),
            }
        }
    }
}

/// Answers a call; whether it was one that was waited for.
fn answer(party: &Party, mut stream: TcpStream, pairs: &mut [Pair]) -> Result<bool, Error> {
    // Whoever else calls is no concern of ours.
    let Ok(()) = stream.set_nonblocking(false) else { return Ok(false) };
    let Heard::Hello(hello) = Hello::hear(&mut stream) else { return Ok(false) };
    let mut slot = match pairs.get_mut(hello.process) {
        Some(pair) if hello.process > party.process => Some(&mut pair[hello.kind as usize]),
        _ => None,
    };
    if let Some(slot) = &mut slot {
        slot.take_if(|stream| has_hung_up(stream));
    }
    let refused = match &slot {
        _ if hello.to != party.process => Some(format!("it is process {}", party.process)),
        None => Some(format!("it waits for no call of a process {}", hello.process)),
        Some(Some(_)) => Some(format!("it knows a process {} already", hello.process)),
        Some(None) => None,
    };
    let mut mine = Hello::new(party, hello.process, hello.kind);
    mine.refused.clone_from(&refused);
    // Said even to one that is refused: so both say why.
    let answered = mine.say(&mut stream);
    hello.compare(party)?;
    let (Some(slot), None, Ok(())) = (slot, refused, answered) else { return Ok(false) };
    *slot = ready(stream).ok();
    Ok(slot.is_some())
}

/// Who was slow to answer finds calls that were given up, and another one of the same process behind them; and one that it has met may be killed.
fn has_hung_up(stream: &TcpStream) -> bool {
    peek(stream).map_or_else(|e| e.kind() != io::ErrorKind::WouldBlock, |bytes| bytes == 0)
}

/// There is something to be read.
fn has_said(stream: &TcpStream) -> bool {
    peek(stream).is_ok_and(|bytes| bytes > 0)
}

fn peek(stream: &TcpStream) -> io::Result<usize> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    peeked
}

fn ready(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

//! A bounded queue between two threads that do not take turns: who found it full is called once half of it is free, not for each place.
//!
//! ```text
//!   send: [ x x x x x x x x ]  full, waits ...  [ x x x x . . . . ]  goes on
//! ```
//!
//! With a library's channel each batch that a worker takes wakes the sender, which puts one batch into the one free place and sleeps again: a call of
//! the system on the worker's own time, and where all cores are busy a worker that leaves its core, for every batch. Otherwise it is as such a
//! channel is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// What the other end does not take any more.
#[derive(Debug, PartialEq, Eq)]
pub struct Disconnected;

/// Why there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    Yet,
    /// Nor will there be.
    More,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    half_is_free: Condvar,
    one_is_there: Condvar,
    max: usize,
}

struct State<T> {
    queue: VecDeque<T>,
    /// Either end has been dropped.
    is_cut: bool,
    sender_waits: bool,
    receiver_waits: bool,
}

pub struct Sender<T>(Arc<Shared<T>>);

pub struct Receiver<T>(Arc<Shared<T>>);

/// A queue of at most `max`, at least one.
pub fn bounded<T>(max: usize) -> (Sender<T>, Receiver<T>) {
    assert!(max > 0, "a queue has room for one");
    let state = State { queue: VecDeque::new(), is_cut: false, sender_waits: false, receiver_waits: false };
    let shared = Shared { state: Mutex::new(state), half_is_free: Condvar::new(), one_is_there: Condvar::new(), max };
    let shared = Arc::new(shared);
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// A queue without a bound.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}

impl<T> Sender<T> {
    /// Waits where it is full, until half of it is free.
    ///
    /// # Errors
    /// Nobody takes anything any more.
    pub fn send(&self, one: T) -> Result<(), Disconnected> {
        let mut state = self.0.state.lock();
        if state.queue.len() >= self.0.max {
            state.sender_waits = true;
            while state.sender_waits && !state.is_cut {
                self.0.half_is_free.wait(&mut state);
            }
        }
        if state.is_cut {
            return Err(Disconnected);
        }
        state.queue.push_back(one);
        if std::mem::take(&mut state.receiver_waits) {
            drop(state);
            self.0.one_is_there.notify_one();
        }
        Ok(())
    }
}

impl<T> Receiver<T> {
    pub fn try_recv(&self) -> Result<T, Nothing> {
        let mut state = self.0.state.lock();
        let Some(one) = state.queue.pop_front() else { return Err(if state.is_cut { Nothing::More } else { Nothing::Yet }) };
        if state.sender_waits && state.queue.len() <= self.0.max / 2 {
            state.sender_waits = false;
            drop(state);
            self.0.half_is_free.notify_one();
        }
        Ok(one)
    }

    /// Waits as long as this for one.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, Nothing> {
        let until = Instant::now() + timeout;
        loop {
            match self.try_recv() {
                Err(Nothing::Yet) => {}
                done => return done,
            }
            let mut state = self.0.state.lock();
            if state.queue.is_empty() && !state.is_cut {
                state.receiver_waits = true;
                if self.0.one_is_there.wait_until(&mut state, until).timed_out() {
                    state.receiver_waits = false;
                    drop(state);
                    return self.try_recv();
                }
            }
        }
    }
}

impl<T> Shared<T> {
    /// What is there can still be taken.
    fn cut(&self) {
        self.state.lock().is_cut = true;
        self.half_is_free.notify_one();
        self.one_is_there.notify_one();
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.cut();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.cut();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn whoever_found_it_full_goes_on_once_half_is_free() {
        let (send, receive) = bounded(8);
        let sent = Arc::new(AtomicUsize::new(0));
        let sender = std::thread::spawn({
            let sent = Arc::clone(&sent);
            move || {
                for number in 0..9 {
                    send.send(number).expect("it is taken");
                    sent.store(number + 1, Ordering::SeqCst);
                }
                send
            }
        });
        while !receive.0.state.lock().sender_waits {
            std::thread::yield_now();
        }
        for number in 0..3 {
            assert_eq!(receive.try_recv(), Ok(number));
            assert!(receive.0.state.lock().sender_waits, "{number}");
        }
        assert_eq!((receive.try_recv(), sent.load(Ordering::SeqCst)), (Ok(3), 8));
        let send = sender.join().expect("it does not panic");
        assert_eq!((4..9).map(|_| receive.try_recv().expect("sent")).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
        assert_eq!(receive.try_recv(), Err(Nothing::Yet));
        drop(send);
        assert_eq!(receive.try_recv(), Err(Nothing::More));
    }

    #[test]
    fn all_arrives_in_order_through_any_bound() {
        for max in [1, 2, 3, 64] {
            let (send, receive) = bounded(max);
            let sender = std::thread::spawn(move || (0..20_000).for_each(|number| send.send(number).expect("it is taken")));
            for number in 0..20_000 {
                assert_eq!(receive.recv_timeout(LONG), Ok(number), "of {max}");
            }
            assert_eq!(receive.recv_timeout(LONG), Err(Nothing::More));
            sender.join().expect("it does not panic");
        }
    }

    #[test]
    fn who_waits_hears_that_the_other_end_is_gone() {
        let (send, receive) = bounded(1);
        send.send(1).expect("there is room");
        let sender = std::thread::spawn(move || send.send(2));
        while !receive.0.state.lock().sender_waits {
            std::thread::yield_now();
        }
        drop(receive);
        assert_eq!(sender.join().expect("it does not panic"), Err(Disconnected));
        let (send, receive) = bounded::<u8>(1);
        let receiver = std::thread::spawn(move || receive.recv_timeout(LONG));
        drop(send);
        assert_eq!(receiver.join().expect("it does not panic"), Err(Nothing::More));
    }

    #[test]
    fn it_is_not_waited_for_longer_than_told() {
        let (send, receive) = bounded::<u8>(1);
        assert_eq!(receive.recv_timeout(Duration::from_millis(5)), Err(Nothing::Yet));
        send.send(3).expect("there is room");
        assert_eq!(receive.recv_timeout(Duration::ZERO), Ok(3));
    }
}

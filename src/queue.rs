//! A bounded queue between two threads that do not take turns: who found it full is called once half of it is free, not for each place.
//!
//! ```text
//!   send: [ x x x x x x x x ]  full, waits ...  [ x x x x . . . . ]  goes on
//! ```
//!
//! A library's channel wakes its sender for each place that gets free: it puts one batch there and sleeps again. That is a call of the system on the
//! worker's own time for every batch, and where all cores are busy the sender takes the core of a worker each time. Else it is as such a channel is.
//!
//! # Invariants
//! 1. One thread sends and one receives: both ends are taken by `&mut`, and cannot be cloned. (Each is called by `notify_one`.)
//! 2. `sender_waits` is set where it is full only, and taken back when half is free; `receiver_waits` where it is empty only, and when one comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// The receiver is gone.
#[derive(Debug, PartialEq, Eq)]
pub struct SendError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// For now.
    Empty,
    /// For ever: the sender is gone, and so is all that it sent.
    Disconnected,
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
    pub fn send(&mut self, one: T) -> Result<(), SendError> {
        let mut state = self.0.state.lock();
        if state.queue.len() >= self.0.max {
            state.sender_waits = true;
            while state.sender_waits && !state.is_cut {
                self.0.half_is_free.wait(&mut state);
            }
        }
        if state.is_cut {
            return Err(SendError);
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
    /// The next, if there is one.
    pub fn try_recv(&mut self) -> Result<T, RecvError> {
        let mut state = self.0.state.lock();
        let Some(one) = state.queue.pop_front() else { return Err(if state.is_cut { RecvError::Disconnected } else { RecvError::Empty }) };
        if state.sender_waits && state.queue.len() <= self.0.max / 2 {
            state.sender_waits = false;
            drop(state);
            self.0.half_is_free.notify_one();
        }
        Ok(one)
    }

    /// Waits as long as this for one.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvError> {
        let until = Instant::now() + timeout;
        loop {
            match self.try_recv() {
                Err(RecvError::Empty) => {}
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
        // Nobody takes it.
        let left = std::mem::take(&mut self.0.state.lock().queue);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn wait_until<T>(shared: &Shared<T>, is: impl Fn(&State<T>) -> bool) {
        while !is(&shared.state.lock()) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn whoever_found_it_full_goes_on_once_half_is_free() {
        let (mut send, mut receive) = bounded(8);
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
        wait_until(&receive.0, |state| state.sender_waits);
        for number in 0..3 {
            assert_eq!(receive.try_recv(), Ok(number));
            assert!(receive.0.state.lock().sender_waits, "{number}");
        }
        assert_eq!(sent.load(Ordering::SeqCst), 8);
        assert_eq!(receive.try_recv(), Ok(3));
        // What was sent before the sender went is still taken.
        drop(sender.join().expect("it does not panic"));
        assert_eq!((4..9).map(|_| receive.try_recv().expect("sent")).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
        assert_eq!(receive.try_recv(), Err(RecvError::Disconnected));
    }

    #[test]
    fn all_arrives_in_order_through_any_bound_and_nobody_is_forgotten() {
        let began = Instant::now();
        for max in [1, 2, 3, 64] {
            let (mut send, mut receive) = bounded(max);
            let sender = std::thread::spawn(move || (0..20_000).for_each(|number| send.send(number).expect("it is taken")));
            for number in 0..20_000 {
                assert_eq!(receive.recv_timeout(10 * LONG), Ok(number), "of {max}");
            }
            assert_eq!(receive.recv_timeout(10 * LONG), Err(RecvError::Disconnected));
            sender.join().expect("it does not panic");
        }
        // A call that is lost would be waited for all along.
        assert!(began.elapsed() < 10 * LONG);
    }

    #[test]
    fn who_waits_hears_that_the_other_end_is_gone() {
        let (mut send, receive) = bounded(1);
        send.send(1).expect("there is room");
        let sender = std::thread::spawn(move || send.send(2));
        wait_until(&receive.0, |state| state.sender_waits);
        drop(receive);
        assert_eq!(sender.join().expect("it does not panic"), Err(SendError));
        let (send, mut receive) = bounded::<u8>(1);
        let shared = Arc::clone(&send.0);
        let receiver = std::thread::spawn(move || receive.recv_timeout(LONG));
        wait_until(&shared, |state| state.receiver_waits);
        drop(send);
        assert_eq!(receiver.join().expect("it does not panic"), Err(RecvError::Disconnected));
    }

    #[test]
    fn what_is_queued_goes_with_the_receiver() {
        let (mut send, receive) = bounded(2);
        let one = Arc::new(());
        send.send(Arc::clone(&one)).expect("there is room");
        drop(receive);
        assert_eq!(Arc::strong_count(&one), 1);
        assert_eq!(send.send(one), Err(SendError));
    }

    #[test]
    fn it_is_not_waited_for_longer_than_told() {
        let (mut send, mut receive) = bounded::<u8>(1);
        assert_eq!(receive.recv_timeout(Duration::from_millis(5)), Err(RecvError::Empty));
        send.send(3).expect("there is room");
        assert_eq!(receive.recv_timeout(Duration::ZERO), Ok(3));
    }
}

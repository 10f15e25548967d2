//! The threads of an engine, which end with it.
//!
//! A thread can sit in a system call that does not return: a pipe whose writer is idle, a file system that hangs. When
//! a run is over before its end nobody needs such a thread: it is waited for a while, and then left to the end of the
//! process. Whatever it comes back with, nobody listens.

use crate::error::EngineError;
use crate::port::{Port, guard};
use bork_core::seam::Stop;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);
/// How long threads are waited for that have been told to end: longer than they take unless they are stuck.
const END_MAX: Duration = Duration::from_secs(2);

/// Threads of one run. When they are dropped the run is over: they are told so, and waited for a while.
pub struct Threads {
    port: Arc<Port>,
    count: usize,
    /// Each thread has one end of a channel, in which nothing is ever sent. It is closed when the last one has ended.
    alive: Sender<()>,
    ended: Receiver<()>,
}

impl Threads {
    /// None yet.
    pub fn new(port: &Arc<Port>) -> Self {
        let (alive, ended) = bounded(0);
        Threads { port: Arc::clone(port), count: 0, alive, ended }
    }

    /// The one thread that starts and joins all others of a run.
    pub fn coordinator(
        port: &Arc<Port>,
        work: impl FnOnce() -> Result<(), Stop> + Send + 'static,
    ) -> Result<Self, EngineError> {
        let mut threads = Threads::new(port);
        threads.start("coordinator", work)?;
        Ok(threads)
    }

    /// As many workers, each with work of its own. An error ends the run.
    pub fn workers<W: FnOnce() -> Result<(), Stop> + Send + 'static>(
        port: &Arc<Port>,
        count: usize,
        mut make: impl FnMut() -> W,
    ) -> Result<Self, Stop> {
        let mut threads = Threads::new(port);
        for number in 0..count {
            threads.start(&format!("worker {number}"), make()).map_err(|error| port.fail(error))?;
        }
        Ok(threads)
    }

    /// One more thread. Whatever ends it early, a panic too, ends the whole run.
    pub fn start(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<(), Stop> + Send + 'static,
    ) -> Result<(), EngineError> {
        let (port, alive) = (Arc::clone(&self.port), self.alive.clone());
        let run = move || {
            guard(&port, work);
            drop(alive);
        };
        let thread = Builder::new().name(name.into()).spawn(run);
        thread.map_err(|error| EngineError::Internal(format!("no thread for {name}: {error}")))?;
        self.count += 1;
        Ok(())
    }

    /// Hands the threads that run to somebody who joins them. The run goes on.
    pub fn take(&mut self) -> Self {
        let fresh = Threads::new(&self.port);
        std::mem::replace(self, fresh)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Waits until all have ended by themselves. An error, if the run is over before its end.
    pub fn join(mut self) -> Result<(), Stop> {
        self.hang_up();
        while !self.have_ended_within(POLL) {
            if self.port.is_stopped() {
                return Err(Stop); // and what is left is dropped
            }
        }
        if self.port.is_stopped() { Err(Stop) } else { Ok(()) }
    }

    /// Ends the run, and waits a while.
    pub fn end(&mut self) {
        self.hang_up();
        if !self.have_ended_within(Duration::ZERO) {
            self.port.stop();
            self.have_ended_within(END_MAX);
        }
    }

    /// From now on only threads have an end of the channel: no other one can be started.
    fn hang_up(&mut self) {
        self.alive = bounded(0).0;
    }

    fn have_ended_within(&self, time: Duration) -> bool {
        self.ended.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::receive;
    use crossbeam_channel::bounded;
    use std::time::Duration;

    #[test]
    fn threads_that_are_dropped_end_though_their_queue_stays_open() {
        let port = Port::new();
        let (sender, queue) = bounded::<()>(1);
        let shared = Arc::clone(&port);
        drop(Threads::coordinator(&port, move || receive(&queue, &shared).map(drop)).unwrap());
        assert!(port.is_stopped());
        assert!(sender.send(()).is_err(), "its end of the queue is gone");
    }

    #[test]
    fn joined_threads_have_done_their_work_and_the_run_goes_on() {
        let port = Port::new();
        let (sender, queue) = bounded(3);
        let workers = Threads::workers(&port, 3, || {
            let sender = sender.clone();
            move || sender.send(()).map_err(|_| Stop)
        });
        workers.unwrap().join().unwrap();
        assert_eq!((queue.len(), port.is_stopped()), (3, false));
    }

    #[test]
    fn a_panic_of_one_ends_the_run_with_an_error() {
        let port = Port::new();
        let mut threads = Threads::new(&port);
        threads.start("worker", || panic!("a bug")).unwrap();
        assert!(threads.take().join().is_err());
        let error = port.next_event(Duration::ZERO).err().unwrap();
        assert!(error.to_string().contains("a bug"), "{error}");
    }

    #[test]
    fn a_panic_of_one_that_has_threads_of_its_own_is_the_error_all_the_same() {
        let port = Port::new();
        let shared = Arc::clone(&port);
        let coordinator = Threads::coordinator(&port, move || {
            let (_sender, queue) = bounded::<()>(1);
            let _workers = Threads::workers(&shared, 2, || {
                let (queue, shared) = (queue.clone(), Arc::clone(&shared));
                move || receive(&queue, &shared).map(drop)
            })?;
            panic!("a bug")
        });
        let error = port.next_event(Duration::from_secs(60)).err().unwrap();
        assert!(error.to_string().contains("a bug"), "{error}");
        drop(coordinator);
    }

    #[test]
    fn a_thread_that_is_stuck_is_left_behind() {
        let port = Port::new();
        let (sender, queue) = bounded::<()>(1);
        let coordinator = Threads::coordinator(&port, move || queue.recv().map_err(|_| Stop));
        let start = std::time::Instant::now();
        drop(coordinator.unwrap());
        assert!(start.elapsed() >= END_MAX, "it was given time");
        drop(sender);
    }

    #[test]
    fn after_a_cancel_no_error_is_news() {
        let port = Port::new();
        port.cancel();
        port.fail(EngineError::Internal("too late".into()));
        assert!(matches!(port.next_event(Duration::ZERO), Err(EngineError::Cancelled)));
    }
}

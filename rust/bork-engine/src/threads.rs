//! The threads of an engine, which end with it.

use crate::error::EngineError;
use crate::port::{Port, guard};
use bork_core::seam::Stop;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Threads of one run. When they are dropped the run is over: they are told so, and waited for.
pub struct Threads {
    port: Arc<Port>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    /// None yet.
    pub fn new(port: &Arc<Port>) -> Self {
        Threads { port: Arc::clone(port), running: Vec::new() }
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

    /// One more thread. Whatever ends it early, a panic too, ends the whole run.
    pub fn start(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<(), Stop> + Send + 'static,
    ) -> Result<(), EngineError> {
        let port = Arc::clone(&self.port);
        let thread = Builder::new().name(name.into()).spawn(move || guard(&port, work));
        self.running.push(thread.map_err(|error| EngineError::Internal(format!("no thread for {name}: {error}")))?);
        Ok(())
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

    /// Hands the threads that run to somebody who joins them. The run goes on.
    pub fn take(&mut self) -> Self {
        Threads { port: Arc::clone(&self.port), running: std::mem::take(&mut self.running) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Waits until all have ended by themselves. An error, if the run is over before its end.
    pub fn join(mut self) -> Result<(), Stop> {
        self.wait();
        if self.port.is_stopped() { Err(Stop) } else { Ok(()) }
    }

    /// Ends the run, and waits.
    pub fn end(&mut self) {
        if !self.running.is_empty() {
            self.port.cancel();
            self.wait();
        }
    }

    fn wait(&mut self) {
        for thread in self.running.drain(..) {
            let _ = thread.join(); // a panic has become the error of the run
        }
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
}

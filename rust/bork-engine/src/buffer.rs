//! Reused, page-aligned buffers for packs: bounded in number, so that a slow storage slows the workers down instead
//! of filling memory.

use bork_core::direct::AlignedBuffer;
use bork_core::seam::Stop;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A fixed number of buffers of one capacity, made when first needed.
pub struct BufferPool {
    free: (Sender<AlignedBuffer>, Receiver<AlignedBuffer>),
    unmade: AtomicUsize,
    capacity: usize,
}

impl BufferPool {
    /// A pool of `count` buffers of `capacity` bytes.
    pub fn new(count: usize, capacity: usize) -> Arc<Self> {
        Arc::new(BufferPool { free: bounded(count), unmade: AtomicUsize::new(count), capacity })
    }

    /// Capacity of each buffer. Unit: bytes.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// An empty buffer; waits until one is free or `is_stopped` says that there is no need.
    pub fn take(self: &Arc<Self>, is_stopped: impl Fn() -> bool) -> Result<PackBuffer, Stop> {
        let take_one = |left: usize| left.checked_sub(1);
        loop {
            if let Ok(buffer) = self.free.1.try_recv() {
                return Ok(self.wrap(buffer));
            }
            if self.unmade.fetch_update(Ordering::AcqRel, Ordering::Acquire, take_one).is_ok() {
                return Ok(self.wrap(AlignedBuffer::new(self.capacity)));
            }
            match self.free.1.recv_timeout(Duration::from_millis(50)) {
                Ok(buffer) => return Ok(self.wrap(buffer)),
                Err(RecvTimeoutError::Timeout) if !is_stopped() => {}
                Err(_) => return Err(Stop),
            }
        }
    }

    fn wrap(self: &Arc<Self>, mut buffer: AlignedBuffer) -> PackBuffer {
        buffer.set_len(0);
        PackBuffer { bytes: Some(Bytes::Aligned(buffer)), pool: Some(Arc::clone(self)) }
    }
}

/// The bytes of one file; goes back to its pool when dropped.
pub struct PackBuffer {
    bytes: Option<Bytes>,
    pool: Option<Arc<BufferPool>>,
}

enum Bytes {
    Aligned(AlignedBuffer),
    Plain(Vec<u8>),
}

impl PackBuffer {
    /// Bytes that come from no pool: an index object.
    pub fn owned(bytes: Vec<u8>) -> Self {
        PackBuffer { bytes: Some(Bytes::Plain(bytes)), pool: None }
    }

    /// The pool's buffer, to be filled.
    ///
    /// # Panics
    /// For a buffer that came from no pool.
    pub fn inner(&mut self) -> &mut AlignedBuffer {
        match &mut self.bytes {
            Some(Bytes::Aligned(buffer)) => buffer,
            _ => panic!("only a buffer of a pool is filled"),
        }
    }
}

impl Deref for PackBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Some(Bytes::Aligned(buffer)) => buffer.as_slice(),
            Some(Bytes::Plain(bytes)) => bytes,
            None => &[],
        }
    }
}

impl Drop for PackBuffer {
    fn drop(&mut self) {
        if let (Some(Bytes::Aligned(buffer)), Some(pool)) = (self.bytes.take(), self.pool.take()) {
            let _ = pool.free.0.try_send(buffer);
        }
    }
}

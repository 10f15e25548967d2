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
        PackBuffer { buffer: Some(buffer), pool: Some(Arc::clone(self)) }
    }
}

/// The bytes of one file; goes back to its pool when dropped.
pub struct PackBuffer {
    buffer: Option<AlignedBuffer>,
    pool: Option<Arc<BufferPool>>,
}

impl PackBuffer {
    /// A buffer of its own with these bytes.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = AlignedBuffer::new(bytes.len());
        buffer.extend_from_slice(bytes);
        PackBuffer { buffer: Some(buffer), pool: None }
    }

    /// The buffer, to be filled.
    pub fn inner(&mut self) -> &mut AlignedBuffer {
        self.buffer.as_mut().expect("the buffer is there until drop")
    }
}

impl Deref for PackBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.as_ref().expect("the buffer is there until drop").as_slice()
    }
}

impl Drop for PackBuffer {
    fn drop(&mut self) {
        if let (Some(buffer), Some(pool)) = (self.buffer.take(), self.pool.take()) {
            let _ = pool.free.0.try_send(buffer);
        }
    }
}

//! An allocator that counts, so that a target can say how much memory an input may cost.
//!
//! It counts what Rust code of one thread asks for. What C libraries ask for (zstd, liblzma) is limited by the
//! fuzzer's `-malloc_limit_mb`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Constant and without a destructor: the allocator may touch them at any time in the life of a thread.
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator with a count of bytes for each thread.
struct Meter;

#[global_allocator]
static METER: Meter = Meter;

fn count(bytes: isize) {
    NOW.set(NOW.get() + bytes);
    PEAK.set(PEAK.get().max(NOW.get()));
}

// SAFETY: every call goes to the system's allocator with the same arguments; counting touches two cells only.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks exist while the bytes are copied.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs `work` and panics if this thread held more than `limit` bytes on top of what it held before.
pub fn bounded<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    let before = NOW.get();
    PEAK.set(before);
    let result = work();
    let used = PEAK.get() - before;
    assert!(used <= limit as isize, "{used} bytes were allocated where {limit} are enough");
    result
}

#[cfg(test)]
mod tests {
    use super::bounded;

    #[test]
    fn what_is_allocated_is_counted() {
        assert_eq!(bounded(1000, || vec![1_u8; 900]).len(), 900);
        assert!(std::panic::catch_unwind(|| bounded(1000, || vec![1_u8; 1100])).is_err());
    }
}

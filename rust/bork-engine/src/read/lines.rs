//! The lines of `--list` for those who read: the path of each item.

use super::Reading;
use crate::port::Event;
use bork_core::seam::Stop;
use bork_core::source::printable;

/// Bytes of lines that are collected before they are handed to the driver.
const LINES_LENGTH: usize = 64 << 10;

/// Lines that are not handed over yet.
#[derive(Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Shows where the run is: to who asks for its progress, and as a line if the plan wants lines.
    pub fn note(&mut self, reading: &Reading, path: &[u8]) -> Result<(), Stop> {
        if let Ok(mut current) = reading.path.try_lock() {
            current.clear();
            current.extend_from_slice(path);
        }
        if reading.plan.lines.is_some() {
            printable(if path.is_empty() { b"." } else { path }, &mut self.0);
            self.0.push(b'\n');
            if self.0.len() >= LINES_LENGTH {
                self.flush(reading)?;
            }
        }
        Ok(())
    }

    /// Hands over what there is.
    pub fn flush(&mut self, reading: &Reading) -> Result<(), Stop> {
        let lines = std::mem::take(&mut self.0);
        if lines.is_empty() { Ok(()) } else { reading.port.emit(Event::Lines(lines)) }
    }
}

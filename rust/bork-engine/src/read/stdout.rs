//! `extract --stdout`: the content of the wanted files, one after the other, in order.

use super::Reading;
use super::items::{for_each, for_each_slice, object_reader, tell};
use crate::error::EngineError;
use crate::port::Event;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Longest piece of a hole that is written at a time. Unit: bytes.
const ZEROS: u32 = 1 << 20;

/// Runs.
pub fn run(reading: &Arc<Reading>) -> Result<(), Stop> {
    let mut chunks = object_reader(reading);
    let mut lists = object_reader(reading);
    for_each(reading, tell, |path, item| {
        reading.items.fetch_add(1, Ordering::Relaxed);
        let mut size = 0;
        let written = for_each_slice(&item.content, &mut lists, |slice| {
            size += u64::from(slice.length);
            reading.done.fetch_add(u64::from(slice.length), Ordering::Relaxed);
            if slice.is_hole() {
                return zeros(reading, slice.length);
            }
            let chunk = chunks.read(&slice.id)?;
            let start = slice.offset as usize;
            let bytes = chunk.get(start..start + slice.length as usize);
            let bytes = bytes.ok_or_else(|| EngineError::damaged("chunk", "it is shorter than the item says"))?;
            emit(reading, bytes.to_vec())
        });
        match written {
            Ok(()) if size == item.size => Ok(()),
            Ok(()) => {
                let message = "its content lists do not add up to its size";
                reading.port.problem(path, Problem::new(ProblemKind::Damaged, message))
            }
            Err(EngineError::Cancelled) => Err(Stop),
            Err(error) => reading.port.problem(path, Problem::new(ProblemKind::Damaged, error.to_string())),
        }
    })
}

fn emit(reading: &Reading, bytes: Vec<u8>) -> Result<(), EngineError> {
    reading.port.emit(Event::Data(bytes)).map_err(|Stop| EngineError::Cancelled)
}

fn zeros(reading: &Reading, mut length: u32) -> Result<(), EngineError> {
    while length > 0 {
        let piece = length.min(ZEROS);
        emit(reading, vec![0; piece as usize])?;
        length -= piece;
    }
    Ok(())
}

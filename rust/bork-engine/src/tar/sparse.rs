//! Where the data of a file with holes lies: regions, found from its slices, and written as the formats want them.

use super::header::{at, put_number};
use super::{BLOCK, padding};
use bork_format::item::Slice;

/// A run of data: first byte in the file, and length.
pub type Region = (u64, u64);

/// Regions in the header of a sparse member.
pub const HEADER_REGIONS: usize = 4;
/// Regions in each block behind it.
const BLOCK_REGIONS: usize = 21;
/// Width of a number of a region. Unit: bytes.
const WIDTH: usize = 12;

/// Joins slices to regions.
#[derive(Default)]
pub struct Regions {
    open: Option<Region>,
    position: u64,
}

impl Regions {
    /// One more slice; a region that is complete now.
    pub fn slice(&mut self, slice: &Slice) -> Option<Region> {
        let start = self.position;
        self.position += u64::from(slice.length);
        if slice.is_hole() {
            return self.open.take();
        }
        self.open = Some(self.open.map_or((start, 0), |open| open));
        if let Some((_, length)) = &mut self.open {
            *length += u64::from(slice.length);
        }
        None
    }

    /// What is left: the last region, or an empty one at the end of the file if that is a hole.
    pub fn finish(self) -> Region {
        self.open.unwrap_or((self.position, 0))
    }
}

/// What has to be known of a file before its member begins.
#[derive(Default)]
pub struct Survey {
    /// Length of the file. Unit: bytes.
    pub size: u64,
    /// Length of its data. Unit: bytes.
    pub data: u64,
    /// Number of regions.
    pub count: u64,
    /// The first regions.
    pub first: Vec<Region>,
    /// Length of their decimal text, without their number. Unit: bytes.
    pub text_length: u64,
    holes: bool,
}

impl Survey {
    /// Looks at one slice; `regions` belongs to this survey.
    pub fn slice(&mut self, slice: &Slice, regions: &mut Regions) {
        self.size += u64::from(slice.length);
        self.holes |= slice.is_hole();
        self.data += if slice.is_hole() { 0 } else { u64::from(slice.length) };
        if let Some(region) = regions.slice(slice) {
            self.region(region);
        }
    }

    /// One more region.
    pub fn region(&mut self, region: Region) {
        self.count += 1;
        if self.first.len() < HEADER_REGIONS {
            self.first.push(region);
        }
        self.text_length += region_text(region).len() as u64;
    }

    /// Whether there is a hole.
    pub fn is_sparse(&self) -> bool {
        self.holes
    }

    /// Length of the map of format 1.0, padded. Unit: bytes.
    pub fn map_length(&self) -> u64 {
        let length = self.text_length + format!("{}\n", self.count).len() as u64;
        length + padding(length) as u64
    }
}

/// One region in the map of format 1.0.
pub fn region_text(region: Region) -> String {
    format!("{}\n{}\n", region.0, region.1)
}

/// Writes the regions of a header.
pub fn put_header(block: &mut [u8; BLOCK], survey: &Survey) {
    for (number, region) in survey.first.iter().enumerate() {
        put_region(&mut block[at::SPARSE], number, *region);
    }
    block[at::SPARSE_MORE] = u8::from(survey.count > HEADER_REGIONS as u64);
    put_number(&mut block[at::REAL_SIZE], i128::from(survey.size));
}

fn put_region(fields: &mut [u8], number: usize, region: Region) {
    let fields = &mut fields[number * 2 * WIDTH..];
    put_number(&mut fields[..WIDTH], i128::from(region.0));
    put_number(&mut fields[WIDTH..2 * WIDTH], i128::from(region.1));
}

/// The blocks behind the header of a GNU sparse member, for the regions that it has no room for.
pub struct Blocks {
    block: [u8; BLOCK],
    filled: usize,
    left: u64,
}

impl Blocks {
    /// For a file with this many regions in all.
    pub fn new(count: u64) -> Self {
        Blocks { block: [0; BLOCK], filled: 0, left: count.saturating_sub(HEADER_REGIONS as u64) }
    }

    /// One more region; a block that is complete now.
    pub fn region(&mut self, region: Region) -> Option<[u8; BLOCK]> {
        put_region(&mut self.block, self.filled, region);
        self.filled += 1;
        self.left -= 1;
        if self.left > 0 && self.filled < BLOCK_REGIONS {
            return None;
        }
        self.block[BLOCK_REGIONS * 2 * WIDTH] = u8::from(self.left > 0);
        self.filled = 0;
        Some(std::mem::replace(&mut self.block, [0; BLOCK]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(slices: &[(bool, u32)]) -> (Vec<Region>, Survey) {
        let (mut found, mut regions, mut survey, mut other) =
            (Vec::new(), Regions::default(), Survey::default(), Regions::default());
        for (data, length) in slices {
            let slice = if *data { Slice { id: [1; 32], offset: 0, length: *length } } else { Slice::hole(*length) };
            found.extend(regions.slice(&slice));
            survey.slice(&slice, &mut other);
        }
        found.push(regions.finish());
        survey.region(other.finish());
        (found, survey)
    }

    #[test]
    fn neighbouring_slices_are_one_region_and_a_hole_at_the_end_an_empty_one() {
        let (found, survey) =
            regions(&[(false, 10), (true, 5), (true, 6), (false, 1), (false, 1), (true, 2), (false, 9)]);
        assert_eq!(found, [(10, 11), (23, 2), (34, 0)]);
        assert_eq!((survey.size, survey.data, survey.count, survey.is_sparse()), (34, 13, 3, true));
        assert_eq!(survey.map_length(), 512);
        let (found, survey) = regions(&[(true, 5), (true, 6)]);
        assert_eq!((found, survey.is_sparse()), (vec![(0, 11)], false));
        assert_eq!(regions(&[(false, 7)]).0, [(7, 0)]);
    }

    #[test]
    fn blocks_say_whether_another_one_follows() {
        let mut blocks = Blocks::new(4 + 21 + 1);
        let made: Vec<[u8; BLOCK]> = (0..22).filter_map(|number| blocks.region((number * 10, 1))).collect();
        assert_eq!(made.len(), 2);
        assert_eq!((made[0][504], made[1][504]), (1, 0));
        assert_eq!(&made[1][..24], b"00000000322\x0000000000001\0");
    }
}

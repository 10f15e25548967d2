//! A small answer to "is this chunk certainly not in that table?", so that new chunks do not touch the table's pages.
//!
//! A blocked Bloom filter: one cache line of 512 bits for about 32 chunks (2 bytes a chunk), 8 bits set for each. Ids
//! are keyed hashes, so their own bits serve as hash values. About one in 500 absent chunks is not recognized.

use bork_format::Id;

const BITS_A_CHUNK: usize = 16;
const BLOCK_BITS: usize = 512;
const PROBES: usize = 8;

/// The filter of one table.
pub struct Filter(Vec<[u64; BLOCK_BITS / 64]>);

impl Filter {
    /// A filter of some ids.
    pub fn new<'a>(count: usize, ids: impl Iterator<Item = &'a [u8]>) -> Self {
        let blocks = (count * BITS_A_CHUNK).div_ceil(BLOCK_BITS).max(1);
        let mut filter = Filter(vec![[0; BLOCK_BITS / 64]; blocks]);
        for id in ids {
            let block = filter.block(id);
            for bit in bits(id) {
                filter.0[block][bit / 64] |= 1 << (bit % 64);
            }
        }
        filter
    }

    /// False only if the id is not there.
    pub fn may_contain(&self, id: &Id) -> bool {
        let block = &self.0[self.block(id)];
        bits(id).all(|bit| block[bit / 64] >> (bit % 64) & 1 == 1)
    }

    fn block(&self, id: &[u8]) -> usize {
        let mut number = [0; 8];
        number.copy_from_slice(&id[8..16]);
        ((u128::from(u64::from_le_bytes(number)) * self.0.len() as u128) >> 64) as usize
    }
}

fn bits(id: &[u8]) -> impl Iterator<Item = usize> {
    (0..PROBES).map(|probe| usize::from(u16::from_le_bytes([id[16 + 2 * probe], id[17 + 2 * probe]])) % BLOCK_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u32, seed: u8) -> Vec<Id> {
        (0..count).map(|number| *blake3::keyed_hash(&[seed; 32], &number.to_le_bytes()).as_bytes()).collect()
    }

    #[test]
    fn what_is_there_is_recognized_and_one_in_a_hundred_absent_ids_at_most() {
        let (there, absent) = (ids(20_000, 1), ids(20_000, 2));
        let filter = Filter::new(there.len(), there.iter().map(|id| &id[..]));
        assert!(there.iter().all(|id| filter.may_contain(id)));
        let wrong = absent.iter().filter(|id| filter.may_contain(id)).count();
        assert!(wrong < 200, "{wrong} of 20,000");
    }
}

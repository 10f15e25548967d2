//! Content-defined chunking: a keyed Gear hash over the last 64 bytes decides where a chunk ends.
//! Specified in docs/format/archive.md, "Chunkers".
//!
//! The state after a byte depends on the 64 bytes up to it only, because each step shifts the state one bit to the
//! left. So a region may be scanned in any number of lanes at once, each warmed with the 64 bytes before it, with
//! cuts that are bit for bit those of a plain loop: [`scan_plain`] is the definition, [`scan_lanes`] is the speed
//! (four independent dependency chains keep the processor busy, some 2.3 times as fast).
//!
//! The table is derived from the repository's chunker key, so that cut points, and thus chunk lengths, cannot be
//! computed by somebody who merely knows a file. Gear is linear in its key and not a proof against an attacker who
//! sees many lengths of known files (see docs/threat-model.md); a provable chunker can stand beside it, since each
//! archive names its chunker.
//!
//! Length distribution: no cut before `min`; behind it each byte cuts with probability 2^-`mask_bits`, so the mean
//! is about `min + 2^mask_bits` while `max` is far; at `max` a chunk is cut in any case.

pub use bork_format::chunking::ChunkerParams;

/// Bytes that the hash looks back.
pub const WINDOW: usize = 64;
const LANES: usize = 4;
const LANE_LENGTH: usize = 4096;

/// Finds the ends of chunks.
#[derive(Clone)]
pub struct Chunker {
    params: ChunkerParams,
    table: Box<[u64; 256]>,
}

impl Chunker {
    /// `key` is the repository's chunker key; the Gear table is its BLAKE3 extended output.
    pub fn new(params: ChunkerParams, key: &[u8; 32]) -> Self {
        let mut bytes = [0; 256 * 8];
        blake3::Hasher::new_keyed(key).update(b"gear table").finalize_xof().fill(&mut bytes);
        let mut table = Box::new([0; 256]);
        for (entry, bytes) in table.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *entry = u64::from_le_bytes(*bytes);
        }
        Chunker { params, table }
    }

    /// The parameters.
    pub fn params(&self) -> ChunkerParams {
        self.params
    }

    /// Length of the first chunk of `data`, which begins at byte `position` of its file. `None` if more bytes are
    /// needed to tell and `last` is false. Cost: about 0.3 ns a byte behind the minimum, nothing before it.
    pub fn cut(&self, data: &[u8], position: u64, last: bool) -> Option<usize> {
        let longest = match self.params {
            ChunkerParams::Fixed { header, .. } if position == 0 && header > 0 => header as usize,
            ChunkerParams::Fixed { block, .. } => block as usize,
            ChunkerParams::Gear { max_exponent, .. } => 1 << max_exponent,
        };
        let region = &data[..data.len().min(longest)];
        if let ChunkerParams::Gear { min_exponent, mask_bits, .. } = self.params {
            let shortest = 1 << min_exponent;
            if region.len() > shortest {
                let mask = !(u64::MAX >> mask_bits);
                if let Some(end) = scan_lanes(&self.table, region, shortest, mask) {
                    return Some(end);
                }
            }
        }
        if region.len() == longest || (last && !region.is_empty()) { Some(region.len()) } else { None }
    }
}

/// First `end > from` at which the hash of `data[end - 64..end]` has all `mask` bits zero. The definition.
pub fn scan_plain(table: &[u64; 256], data: &[u8], from: usize, mask: u64) -> Option<usize> {
    let mut hash = warm(table, data, from);
    for (at, byte) in data.iter().enumerate().skip(from) {
        hash = (hash << 1).wrapping_add(table[usize::from(*byte)]);
        if hash & mask == 0 {
            return Some(at + 1);
        }
    }
    None
}

fn warm(table: &[u64; 256], data: &[u8], until: usize) -> u64 {
    data[until.saturating_sub(WINDOW)..until]
        .iter()
        .fold(0, |hash: u64, byte| (hash << 1).wrapping_add(table[usize::from(*byte)]))
}

/// The same result as [`scan_plain`], four lanes at a time.
pub fn scan_lanes(table: &[u64; 256], data: &[u8], mut from: usize, mask: u64) -> Option<usize> {
    let stride = LANES * LANE_LENGTH;
    while data.len() >= from + stride {
        if let Some(end) = scan_stride(table, data, from, mask) {
            return Some(end);
        }
        from += stride;
    }
    scan_plain(table, data, from, mask)
}

fn scan_stride(table: &[u64; 256], data: &[u8], from: usize, mask: u64) -> Option<usize> {
    let mut hash: [u64; LANES] = std::array::from_fn(|lane| warm(table, data, from + lane * LANE_LENGTH));
    let lanes: [&[u8]; LANES] =
        std::array::from_fn(|lane| &data[from + lane * LANE_LENGTH..from + (lane + 1) * LANE_LENGTH]);
    let mut found = [usize::MAX; LANES];
    let mut any = false;
    for at in 0..LANE_LENGTH {
        let mut hit = [false; LANES];
        for lane in 0..LANES {
            hash[lane] = (hash[lane] << 1).wrapping_add(table[usize::from(lanes[lane][at])]);
            hit[lane] = hash[lane] & mask == 0;
        }
        if hit[0] | hit[1] | hit[2] | hit[3] {
            any = true;
            for lane in 0..LANES {
                if hit[lane] && found[lane] == usize::MAX {
                    found[lane] = at;
                }
            }
            if hit[0] {
                break;
            }
        }
    }
    if !any {
        return None;
    }
    (0..LANES).find(|lane| found[*lane] != usize::MAX).map(|lane| from + lane * LANE_LENGTH + found[lane] + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GEAR: ChunkerParams = ChunkerParams::Gear { min_exponent: 10, max_exponent: 15, mask_bits: 12 };

    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn cuts(chunker: &Chunker, data: &[u8]) -> Vec<usize> {
        let mut at = 0;
        let mut lengths = Vec::new();
        while let Some(length) = chunker.cut(&data[at..], at as u64, true) {
            lengths.push(length);
            at += length;
        }
        assert_eq!(at, data.len());
        lengths
    }

    #[test]
    fn cut_points_are_a_promise_of_the_format() {
        let lengths = cuts(&Chunker::new(GEAR, &[7; 32]), &noise(60_000, 1));
        assert_eq!(lengths, GOLDEN);
    }

    const GOLDEN: &[usize] = &[2757, 6340, 2032, 11273, 1372, 3393, 1353, 3989, 3882, 2622, 11879, 9108];

    #[test]
    fn lengths_follow_the_documented_distribution() {
        let lengths = cuts(&Chunker::new(GEAR, &[1; 32]), &noise(16 << 20, 2));
        let mean = lengths.iter().sum::<usize>() / lengths.len();
        assert!((4500..5700).contains(&mean), "min + 2^12 = 5120, measured {mean}");
        assert!(lengths[..lengths.len() - 1].iter().all(|length| (1 << 10..=1 << 15).contains(length)));
    }

    proptest! {
        #[test]
        fn lanes_cut_where_the_plain_loop_cuts(seed: u64, length in 0usize..80_000, from in 0usize..5000,
                                               bits in 8u32..18) {
            let chunker = Chunker::new(GEAR, &[3; 32]);
            let data = noise(length, seed);
            let from = from.min(length);
            let mask = !(u64::MAX >> bits);
            prop_assert_eq!(scan_lanes(&chunker.table, &data, from, mask), scan_plain(&chunker.table, &data, from, mask));
        }

        #[test]
        fn boundaries_do_not_depend_on_how_much_is_read_at_a_time(seed: u64, step in 1usize..50_000) {
            let chunker = Chunker::new(GEAR, &[3; 32]);
            let data = noise(150_000, seed);
            let whole = cuts(&chunker, &data);
            let (mut at, mut end, mut lengths) = (0, 0, Vec::new());
            while at < data.len() {
                match chunker.cut(&data[at..end], at as u64, end == data.len()) {
                    Some(length) => { lengths.push(length); at += length; }
                    None => end = (end + step).min(data.len()),
                }
            }
            prop_assert_eq!(lengths, whole);
        }
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_near_it() {
        let chunker = Chunker::new(GEAR, &[5; 32]);
        let data = noise(1 << 20, 9);
        let mut longer = data.clone();
        longer.splice(100_000..100_000, *b"inserted");
        let ends = |data: &[u8], from_end: usize| {
            let mut at = 0;
            cuts(&chunker, data)
                .iter()
                .map(|l| {
                    at += l;
                    from_end - at
                })
                .collect::<std::collections::HashSet<_>>()
        };
        let (before, after) = (ends(&data, data.len()), ends(&longer, longer.len()));
        assert!(before.difference(&after).count() < before.len() / 5);
    }

    #[test]
    fn fixed_blocks_follow_their_header() {
        let chunker = Chunker::new(ChunkerParams::Fixed { block: 1000, header: 64 }, &[0; 32]);
        assert_eq!(cuts(&chunker, &noise(2100, 3)), [64, 1000, 1000, 36]);
    }
}

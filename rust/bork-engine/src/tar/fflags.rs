//! File flags by the names that libarchive gives them in `SCHILY.fflags`; the last two are known to Bork alone.

const NAMES: [(u32, &str); 16] = [
    (0x1, "securedeletion"),
    (0x2, "undel"),
    (0x4, "compressed"),
    (0x8, "sync"),
    (0x10, "schg"),
    (0x20, "sappnd"),
    (0x40, "nodump"),
    (0x80, "noatime"),
    (0x4000, "journal-data"),
    (0x8000, "notail"),
    (0x1_0000, "dirsync"),
    (0x2_0000, "topdir"),
    (0x80_0000, "nocow"),
    (0x2000_0000, "projinherit"),
    (0x400, "not-compressed"),
    (0x200_0000, "dax"),
];
/// Other words for some of them.
const ALIASES: [(u32, &str); 6] = [
    (0x10, "simmutable"),
    (0x10, "schange"),
    (0x20, "sappend"),
    (0x40, "nouarch"),
    (0x1, "securedelete"),
    (0x4000, "journal"),
];

/// The words of some flags, separated by commas. Flags without a word are left out.
pub fn text(flags: u32) -> String {
    let words: Vec<&str> = NAMES.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, word)| *word).collect();
    words.join(",")
}

/// The flags of some words; words that are not known are left out.
pub fn flags(text: &[u8]) -> u32 {
    let words = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let flag = |word: &[u8]| NAMES.iter().chain(&ALIASES).find(|(_, known)| known.as_bytes() == word);
    words.filter_map(flag).fold(0, |flags, (flag, _)| flags | flag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bork_core::metadata::flags::KEPT;

    #[test]
    fn flags_survive_the_round_trip() {
        assert_eq!(text(0x10 | 0x40), "schg,nodump");
        assert_eq!(flags(text(KEPT).as_bytes()), KEPT);
        assert_eq!(flags(b"simmutable, uarch,nodump"), 0x10 | 0x40);
    }
}

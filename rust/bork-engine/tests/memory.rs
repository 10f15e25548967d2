//! The engines against memory: a driver of forty lines takes the place of the control plane and its storage.

use bork_core::chunker::ChunkerParams;
use bork_core::compress::CompressionSpec;
use bork_core::metadata::MetadataOptions;
use bork_core::pattern::ItemFilter;
use bork_core::source::{Changed, FilesCache, SourceOptions};
use bork_core::walk::{Root, RootKind, WalkOptions};
use bork_core::writer::Options as WriteOptions;
use bork_engine::check::{CheckEngine, CheckPlan};
use bork_engine::create::{CreateEngine, CreatePlan};
use bork_engine::error::EngineError;
use bork_engine::half::PackOptions;
use bork_engine::index::ChunkIndex;
use bork_engine::port::{Bytes, Event, Outcome, Port};
use bork_engine::read::{Mode, ReadEngine, ReadPlan};
use bork_engine::recreate::{Recompress, RecreateEngine, RecreatePlan, TagOptions};
use bork_engine::secrets::Keys;
use bork_format::Id;
use bork_format::item::Time;
use bork_format::pack::{Codec, Kind, Suite};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Default)]
struct Memory {
    packs: HashMap<Id, Vec<u8>>,
    indexes: Vec<(Id, Vec<u8>)>,
    problems: Vec<String>,
}

impl Memory {
    fn drive(&mut self, port: &Port) -> Result<Outcome, EngineError> {
        loop {
            let Some(event) = port.next_event(Duration::from_secs(20))? else { panic!("the engine hangs") };
            match event {
                Event::StorePack(_, name, data) => {
                    assert_eq!(*blake3::hash(&data).as_bytes(), name);
                    self.packs.insert(name, data.to_vec());
                    port.stored();
                }
                Event::StoreIndex(_, name, data) => {
                    self.indexes.push((name, data.to_vec()));
                    port.stored();
                }
                Event::Fetch(token, ranges) => {
                    let read = |range: &bork_engine::port::Range| {
                        let pack = self.packs.get(&range.pack)?;
                        let bytes = pack.get(range.offset as usize..(range.offset + range.length) as usize)?;
                        Some(Arc::new(bytes.to_vec()) as Bytes)
                    };
                    let answer: Option<Vec<Bytes>> = ranges.iter().map(read).collect();
                    port.answer(token, answer.ok_or_else(|| "no such range".to_string()));
                }
                Event::Problem(kind, path, message) => {
                    self.problems.push(format!("{kind} {} {message}", path.escape_ascii()));
                }
                Event::Lines(_) | Event::Data(_) => {}
                Event::FileSystem(_) | Event::Send(_) => {}
                Event::Done(outcome) => return Ok(outcome),
            }
        }
    }

    fn index(&self, keys: &Keys) -> Arc<ChunkIndex> {
        let index = ChunkIndex::default();
        for (name, data) in &self.indexes {
            index.add_sealed(keys, *name, data, None).expect("its own index");
        }
        Arc::new(index)
    }

    fn create(&mut self, keys: &Arc<Keys>, plan: CreatePlan) -> Outcome {
        let engine = CreateEngine::start(plan, Arc::clone(keys), self.index(keys)).expect("starts");
        self.drive(engine.port()).expect("backs up")
    }

    fn recreate(&mut self, keys: &Arc<Keys>, index: Arc<ChunkIndex>, plan: RecreatePlan) -> Outcome {
        let engine = RecreateEngine::start(plan, Arc::clone(keys), index).expect("starts");
        self.drive(engine.port()).expect("recreates")
    }

    fn extract(&mut self, keys: &Arc<Keys>, root: Id, target: &Path) {
        let plan = ReadPlan {
            threads: 2,
            root,
            filter: ItemFilter::default(),
            strip_components: 0,
            mode: Mode::Extract(target.into()),
            write: WriteOptions::default(),
            names: None,
            file_systems: Vec::new(),
            sparse: false,
            lines: None,
            need_total: false,
        };
        let engine = ReadEngine::start(plan, Arc::clone(keys), self.index(keys)).expect("starts");
        self.drive(engine.port()).expect("restores");
    }

    fn check(&mut self, keys: &Arc<Keys>, root: Id) -> Vec<String> {
        let packs = self.packs.iter().map(|(name, data)| (*name, data.len() as u64)).collect();
        let index = self.index(keys);
        self.check_these(keys, &index, packs, &[]);
        self.check_these(keys, &index, vec![], &[("a", root)]);
        std::mem::take(&mut self.problems)
    }

    /// Returns how many objects were looked at.
    fn check_these(
        &mut self,
        keys: &Arc<Keys>,
        index: &Arc<ChunkIndex>,
        packs: Vec<(Id, u64)>,
        archives: &[(&str, Id)],
    ) -> u64 {
        let archives = archives.iter().map(|(name, root)| ((*name).to_string(), *root)).collect();
        let plan = CheckPlan { threads: 2, packs, archives, verify_data: true };
        let engine = CheckEngine::start(plan, Some(Arc::clone(keys)), Arc::clone(index)).expect("starts");
        let outcome = self.drive(engine.port()).expect("checks");
        outcome.numbers.iter().find(|(name, _)| *name == "objects").expect("counted").1
    }
}

fn now() -> Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Time { seconds: now.as_secs() as i64, nanoseconds: now.subsec_nanos() }
}

fn plan(source: &Path, chunker: ChunkerParams, previous: Option<(Id, Time)>) -> CreatePlan {
    let cache = FilesCache { ctime: true, mtime: false, size: true, inode: true, rechunk: false, disabled: false };
    CreatePlan {
        threads: 2,
        roots: vec![Root { source: source.as_os_str().as_bytes().to_vec(), stored: Vec::new(), kind: RootKind::Tree }],
        path_list: None,
        walk: WalkOptions::default(),
        source: SourceOptions {
            metadata: MetadataOptions::default(),
            names: None,
            files_cache: cache,
            file_systems: Vec::new(),
            files_changed: Changed::Ctime,
            read_special: false,
            exclude_nodump: false,
            dry_run: false,
            stdin: None,
            start: now(),
            previous_start: previous.map(|(_, start)| start),
            chunker,
            lines: None,
        },
        packs: PackOptions {
            compression: CompressionSpec { codec: Codec::Zstd, level: 3, auto: false, obfuscate: 0 },
            pack_length: 1 << 20,
            chunk_length: chunker.longest(),
            scratch: None,
        },
        previous: previous.map(|(root, _)| root),
    }
}

const GEAR: ChunkerParams = ChunkerParams::Gear { min_exponent: 12, max_exponent: 18, mask_bits: 14 };

fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut out);
    out
}

fn tree() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("scratch");
    let path = directory.path();
    std::fs::create_dir(path.join("d")).expect("made");
    for number in 0..600 {
        std::fs::write(path.join(format!("d/f{number}")), noise(number * 7, 1)).expect("written");
    }
    std::fs::write(path.join("large"), noise(9 << 20, 2)).expect("written");
    std::fs::write(path.join("copy"), noise(9 << 20, 2)).expect("written");
    std::fs::hard_link(path.join("large"), path.join("link")).expect("linked");
    std::thread::sleep(Duration::from_millis(60));
    directory
}

fn keys() -> Arc<Keys> {
    Arc::new(Keys::generate([5; 32], Suite::Aes256Gcm).expect("random"))
}

fn assert_same(a: &Path, b: &Path) {
    for entry in std::fs::read_dir(a).expect("listed") {
        let entry = entry.expect("entry");
        let other = b.join(entry.file_name());
        if entry.path().is_dir() {
            assert_same(&entry.path(), &other);
        } else {
            assert!(std::fs::read(entry.path()).expect("a") == std::fs::read(&other).expect("b"), "{other:?}");
        }
    }
}

#[test]
fn what_was_backed_up_comes_back_and_equal_content_is_stored_once() {
    let (source, target, keys) = (tree(), tempfile::tempdir().expect("scratch"), keys());
    let mut memory = Memory::default();
    let outcome = memory.create(&keys, plan(source.path(), GEAR, None));
    let stored: usize = memory.packs.values().map(Vec::len).sum();
    assert!(stored < 12 << 20, "9 MiB of noise once, 1.3 MB of small files: {stored}");
    let root = outcome.root.expect("a root");
    memory.extract(&keys, root, target.path());
    assert_same(source.path(), target.path());
    assert_eq!(memory.check(&keys, root), Vec::<String>::new());
}

#[test]
fn objects_padded_to_the_longest_that_the_format_permits_come_back() {
    let (source, target, keys) = (tempfile::tempdir().expect("scratch"), tempfile::tempdir().expect("scratch"), keys());
    std::fs::write(source.path().join("a"), noise(400 << 10, 4)).expect("written");
    let mut memory = Memory::default();
    let mut plan = plan(source.path(), GEAR, None);
    plan.packs.compression.obfuscate = 6; // at least a thousand times the payload
    let root = memory.create(&keys, plan).root.expect("a root");
    assert!(memory.packs.values().any(|pack| pack.len() > 32 << 20));
    memory.extract(&keys, root, target.path());
    assert_same(source.path(), target.path());
    assert_eq!(memory.check(&keys, root), Vec::<String>::new());
}

#[test]
fn an_unchanged_tree_has_the_same_root_and_stores_nothing() {
    let (source, keys) = (tree(), keys());
    let mut memory = Memory::default();
    let start = now();
    let first = memory.create(&keys, plan(source.path(), GEAR, None)).root.expect("a root");
    let packs = memory.packs.len();
    let second = memory.create(&keys, plan(source.path(), GEAR, Some((first, start))));
    assert_eq!(second.root, Some(first));
    assert_eq!(memory.packs.len(), packs);
}

#[test]
fn content_of_many_chunks_goes_through_content_lists() {
    let (source, target, keys) = (tempfile::tempdir().expect("scratch"), tempfile::tempdir().expect("scratch"), keys());
    std::fs::write(source.path().join("many"), noise(5 << 20, 3)).expect("written");
    std::thread::sleep(Duration::from_millis(60));
    let chunker = ChunkerParams::Fixed { block: 128, header: 0 };
    let mut memory = Memory::default();
    let start = now();
    let root = memory.create(&keys, plan(source.path(), chunker, None)).root.expect("a root");
    memory.extract(&keys, root, target.path());
    assert_same(source.path(), target.path());
    assert_eq!(memory.check(&keys, root), Vec::<String>::new());
    let again = memory.create(&keys, plan(source.path(), chunker, Some((root, start))));
    assert_eq!(again.root, Some(root));
}

#[test]
fn every_flipped_byte_of_a_pack_is_found_by_a_check() {
    let (source, keys) = (tempfile::tempdir().expect("scratch"), keys());
    std::fs::write(source.path().join("a"), noise(3000, 1)).expect("written");
    let mut memory = Memory::default();
    let root = memory.create(&keys, plan(source.path(), GEAR, None)).root.expect("a root");
    let names: Vec<Id> = memory.packs.keys().copied().collect();
    for name in names {
        for at in (0..memory.packs[&name].len()).step_by(37) {
            memory.packs.get_mut(&name).expect("known")[at] ^= 0x40;
            assert!(!memory.check(&keys, root).is_empty(), "byte {at}");
            memory.packs.get_mut(&name).expect("known")[at] ^= 0x40;
        }
    }
    assert_eq!(memory.check(&keys, root), Vec::<String>::new());
}

#[test]
fn what_archives_share_is_looked_at_once_if_it_is_sound_and_told_of_each_of_them_if_it_is_not() {
    let (source, keys) = (tempfile::tempdir().expect("scratch"), keys());
    for number in 0..3000 {
        std::fs::write(source.path().join(format!("{number:04}")), b"").expect("written");
    }
    std::fs::write(source.path().join("1500-content"), noise(3000, 1)).expect("written");
    let mut memory = Memory::default();
    let root = memory.create(&keys, plan(source.path(), GEAR, None)).root.expect("a root");
    let archives = [("a", root), ("b", root), ("c", root)];
    let index = memory.index(&keys);
    let once = memory.check_these(&keys, &index, vec![], &archives[..1]);
    assert!(once > 3, "a root and leaves: {once}");
    assert_eq!(memory.check_these(&keys, &index, vec![], &archives), once);
    let data = |pack: &Vec<u8>| pack[9] == Kind::Data as u8;
    let (name, pack) = memory.packs.iter_mut().find(|(_, pack)| data(pack)).expect("one with content");
    pack[100] ^= 1;
    let damaged = vec![(*name, pack.len() as u64)];
    memory.check_these(&keys, &index, damaged, &[]);
    memory.problems.clear();
    let looks = memory.check_these(&keys, &index, vec![], &archives);
    assert_eq!(looks, once + 2 * 2, "the way to the damage again for each archive, and nothing else");
    assert_eq!(memory.problems.len(), 3);
    for ((archive, _), problem) in archives.iter().zip(&memory.problems) {
        assert!(problem.starts_with(&format!("damaged {archive}: 1500-content Chunk ")), "{problem}");
    }
}

/// Changes a byte in the first object of each pack.
fn damage(memory: &mut Memory) {
    for pack in memory.packs.values_mut() {
        pack[100] ^= 1;
    }
}

#[test]
fn of_two_copies_the_one_that_can_be_read_is_read_whatever_the_order_of_the_indexes() {
    let (source, keys) = (tree(), keys());
    let (mut damaged, mut good) = (Memory::default(), Memory::default());
    let root = damaged.create(&keys, plan(source.path(), GEAR, None)).root.expect("a root");
    assert_eq!(good.create(&keys, plan(source.path(), GEAR, None)).root, Some(root));
    damage(&mut damaged);
    damaged.packs.extend(good.packs);
    damaged.indexes.extend(good.indexes);
    for _ in 0..2 {
        damaged.indexes.reverse();
        let target = tempfile::tempdir().expect("scratch");
        damaged.extract(&keys, root, target.path());
        assert_eq!(damaged.problems, Vec::<String>::new());
        assert_same(source.path(), target.path());
    }
}

#[test]
fn metadata_that_was_found_damaged_is_stored_again_and_the_archive_restores() {
    let (source, keys) = (tempfile::tempdir().expect("scratch"), keys());
    std::fs::create_dir(source.path().join("d")).expect("made");
    std::thread::sleep(Duration::from_millis(60));
    let mut memory = Memory::default();
    let start = now();
    let root = memory.create(&keys, plan(source.path(), GEAR, None)).root.expect("a root");
    damage(&mut memory);
    assert_eq!(memory.create(&keys, plan(source.path(), GEAR, Some((root, start)))).root, Some(root));
    for _ in 0..2 {
        memory.indexes.reverse();
        let target = tempfile::tempdir().expect("scratch");
        memory.extract(&keys, root, target.path());
        assert!(target.path().join("d").is_dir());
    }
}

#[test]
fn a_long_pack_is_checked_in_pieces() {
    let (source, keys) = (tempfile::tempdir().expect("scratch"), keys());
    std::fs::write(source.path().join("large"), noise(70 << 20, 4)).expect("written");
    let mut memory = Memory::default();
    let mut large = plan(source.path(), ChunkerParams::Fixed { block: 3 << 20, header: 0 }, None);
    large.packs.pack_length = 64 << 20;
    let root = memory.create(&keys, large).root.expect("a root");
    assert_eq!(memory.check(&keys, root), Vec::<String>::new());
    let (name, length) =
        memory.packs.iter().map(|(name, pack)| (*name, pack.len())).max_by_key(|(_, length)| *length).expect("a pack");
    assert!(length > 33 << 20, "{length}");
    for at in [0, 100, 17 << 20, 32 << 20, length - 50, length - 1] {
        memory.packs.get_mut(&name).expect("known")[at] ^= 0x40;
        assert!(!memory.check(&keys, root).is_empty(), "byte {at}");
        memory.packs.get_mut(&name).expect("known")[at] ^= 0x40;
    }
}

#[test]
fn an_engine_that_is_dropped_early_ends_its_threads() {
    let (source, keys) = (tree(), keys());
    for _ in 0..20 {
        let engine = CreateEngine::start(plan(source.path(), GEAR, None), Arc::clone(&keys), Arc::default());
        drop(engine.expect("starts"));
    }
}

fn recreation(root: Id, index: &ChunkIndex, recompress: Recompress, chunker: Option<ChunkerParams>) -> RecreatePlan {
    RecreatePlan {
        threads: 2,
        root,
        filter: ItemFilter::default(),
        tags: TagOptions::default(),
        dry_run: false,
        lines: None,
        recompress,
        chunker,
        packs: plan(Path::new("/"), GEAR, None).packs,
        tables: index.table_count(),
    }
}

#[test]
fn an_archive_that_is_cut_in_another_way_is_the_one_that_a_backup_would_have_made() {
    let (source, target, keys) = (tree(), tempfile::tempdir().expect("scratch"), keys());
    let fixed = ChunkerParams::Fixed { block: 64 << 10, header: 100 };
    let mut memory = Memory::default();
    let first = memory.create(&keys, plan(source.path(), GEAR, None));
    let direct = memory.create(&keys, plan(source.path(), fixed, None));
    let index = memory.index(&keys);
    let plan = recreation(first.root.expect("a root"), &index, Recompress::Never, Some(fixed));
    let recreated = memory.recreate(&keys, index, plan);
    assert_eq!(recreated.root, direct.root);
    let count =
        |outcome: &Outcome, name| outcome.numbers.iter().find(|(key, _)| *key == name).map(|(_, number)| *number);
    for name in ["items", "files", "original_size"] {
        assert_eq!(count(&recreated, name), count(&direct, name), "{name}");
    }
    // The second name of a file counts, too, if the first one was still being read when a worker came to it.
    let of_large = 1 + ((9_u64 << 20) - 100).div_ceil(64 << 10);
    let chunks = [&recreated, &direct].map(|outcome| count(outcome, "chunks").expect("counted"));
    assert_eq!(chunks[0].abs_diff(chunks[1]) % of_large, 0, "{chunks:?}");
    memory.extract(&keys, recreated.root.expect("a root"), target.path());
    assert_same(source.path(), target.path());
}

#[test]
fn what_is_only_in_condemned_packs_is_stored_again() {
    let (source, target, keys) = (tree(), tempfile::tempdir().expect("scratch"), keys());
    std::fs::write(source.path().join("many"), noise(5 << 20, 3)).expect("written");
    let lists = ChunkerParams::Fixed { block: 128, header: 0 };
    let mut memory = Memory::default();
    let root = memory.create(&keys, plan(source.path(), lists, None)).root.expect("a root");
    let index = memory.index(&keys);
    let condemned: std::collections::HashSet<Id> = memory.packs.keys().copied().collect();
    index.condemn_packs(&condemned);
    let plan = recreation(root, &index, Recompress::Never, None);
    let recreated = memory.recreate(&keys, index, plan);
    assert_eq!(recreated.root, Some(root));
    memory.packs.retain(|name, _| !condemned.contains(name));
    memory.indexes.remove(0);
    memory.extract(&keys, root, target.path());
    assert_same(source.path(), target.path());
}

#[test]
fn recompressing_stores_each_chunk_once_more_and_only_once() {
    let (source, keys) = (tree(), keys());
    let mut memory = Memory::default();
    let root = memory.create(&keys, plan(source.path(), GEAR, None)).root.expect("a root");
    let index = memory.index(&keys);
    let tables = index.table_count();
    let stored = |memory: &Memory| memory.packs.values().map(Vec::len).sum::<usize>();
    let before = stored(&memory);
    for _ in 0..2 {
        let plan = RecreatePlan { tables, ..recreation(root, &index, Recompress::Always, None) };
        assert_eq!(memory.recreate(&keys, Arc::clone(&index), plan).root, Some(root));
        // The tree is not stored again, and groups may be cut otherwise.
        let added = stored(&memory) - before;
        assert!(added.abs_diff(before) < before / 50, "{added} {before}");
    }
    assert_eq!(memory.check(&keys, root), Vec::<String>::new());
}

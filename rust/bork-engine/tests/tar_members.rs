//! Members of tar streams: what is written is read back, and nothing that is not whole is taken for a whole.

use bork_core::metadata::NameCache;
use bork_engine::tar::header::{Header, MAGIC_POSIX, at, kind};
use bork_engine::tar::item::{Meaning, clean, interpret};
use bork_engine::tar::member::Member;
use bork_engine::tar::pax;
use bork_engine::tar::read::{Fault, Reader};
use bork_engine::tar::sparse::{Blocks, HEADER_REGIONS, Regions, Survey, region_text};
use bork_engine::tar::{BLOCK, END, Format, ITEM_RECORD, padding};
use bork_format::item::{
    AclEntry, Content, Item, Link, Slice, TYPE_BLOCK_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_SYMLINK, Time,
    missing,
};
use proptest::prelude::*;

const FORMATS: [Format; 3] = [Format::Gnu, Format::Pax, Format::Borg];

/// Appends a member as the exporter does; data is the letter `d`.
fn put(format: Format, path: &[u8], item: &Item, link: Option<&[u8]>, out: &mut Vec<u8>) {
    let Content::Slices(slices) = &item.content else { panic!("no lists here") };
    let (mut survey, mut regions, mut all) = (Survey::default(), Regions::default(), Vec::new());
    let mut again = Regions::default();
    for slice in slices {
        survey.slice(slice, &mut regions);
        all.extend(again.slice(slice));
    }
    survey.region(regions.finish());
    all.push(again.finish());
    if link.is_some() {
        survey = Survey::default();
    }
    Member { path, item, link, survey: &survey }.encode(format, out);
    let start = out.len();
    if survey.is_sparse() && format == Format::Gnu {
        let mut blocks = Blocks::new(survey.count);
        all.iter().skip(HEADER_REGIONS).filter_map(|region| blocks.region(*region)).for_each(|b| out.extend(b));
    } else if survey.is_sparse() {
        out.extend(format!("{}\n", survey.count).bytes());
        all.iter().for_each(|region| out.extend(region_text(*region).bytes()));
        out.resize(start + survey.map_length() as usize, 0);
    }
    out.resize(out.len() + survey.data as usize, b'd');
    out.resize(out.len() + padding(survey.data), 0);
}

/// Appends a header as others write it: of this kind, for a member called `m`.
fn put_header(kind: u8, set: impl FnOnce(&mut Header), out: &mut Vec<u8>) {
    let mut header = Header::new(kind, MAGIC_POSIX);
    header.text(at::NAME, b"m");
    set(&mut header);
    header.finish(out);
}

/// Appends an extended header with these records: for the next member, or for all.
fn put_records(kind: u8, records: &[(&str, &[u8])], out: &mut Vec<u8>) {
    let mut text = Vec::new();
    records.iter().for_each(|(key, value)| pax::put(&mut text, key.as_bytes(), value));
    put_header(kind, |header| header.number(at::SIZE, text.len() as i128), out);
    out.extend(&text);
    out.resize(out.len() + padding(text.len() as u64), 0);
}

/// Reads all members: path, meaning, length, regions.
type Found = (Vec<u8>, Option<Item>, u64, Option<Vec<(u64, u64)>>);

fn read(bytes: &[u8], ignore_zeros: bool) -> Result<Vec<Found>, Fault> {
    let mut names = NameCache::from_files(b"", b"");
    let mut reader = Reader::new(bytes, ignore_zeros);
    let mut found = Vec::new();
    while let Some(member) = reader.next_member()? {
        let mut data = Vec::new();
        let mut piece = [0; 1000];
        loop {
            match reader.read_data(&mut piece)? {
                0 => break,
                count => data.extend_from_slice(&piece[..count]),
            }
        }
        assert_eq!(data.len() as u64, member.data);
        let size = member.sparse.as_ref().map_or(member.data, |(size, _)| *size);
        let item = match interpret(&member, &mut names) {
            Ok((Meaning::Item(item), problems)) => {
                let mut body = Vec::new();
                item.encode(&mut body);
                assert_eq!(Item::decode(&body).as_ref(), Ok(&*item), "no archive can hold it");
                problems.is_empty().then_some(*item)
            }
            _ => None,
        };
        found.push((clean(&member.path).unwrap_or_default(), item, size, member.sparse.map(|(_, regions)| regions)));
    }
    Ok(found)
}

fn time() -> impl Strategy<Value = Time> {
    (-(1_i64 << 40)..1_i64 << 40, 0_u32..1_000_000_000).prop_map(|(seconds, nanoseconds)| Time { seconds, nanoseconds })
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z]{1,40}".prop_map(String::into_bytes),
        "[ü日\\n]{1,120}".prop_map(String::into_bytes),
        prop::collection::vec((1_u8..=255).prop_filter("slash", |byte| *byte != b'/' && *byte != b'.'), 1..250),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(name(), 1..4).prop_map(|parts| parts.join(&b'/'))
}

fn slices() -> impl Strategy<Value = Vec<Slice>> {
    let slice = (any::<bool>(), 1_u32..3000)
        .prop_map(|(hole, length)| if hole { Slice::hole(length) } else { Slice { id: [1; 32], offset: 0, length } });
    prop::collection::vec(slice, 0..60)
}

fn acl() -> impl Strategy<Value = Vec<AclEntry>> {
    let entry = |tag, permissions, id, name: &str| AclEntry { tag, permissions, id, name: name.into() };
    let some = (0_u16..8, any::<u32>(), "[a-z]{1,9}").prop_map(move |(permissions, id, name)| {
        vec![
            entry(1, 6, 0, ""),
            entry(2, permissions, id, &name),
            entry(4, 5, 0, ""),
            entry(16, 7, 0, ""),
            entry(32, 0, 0, ""),
        ]
    });
    prop_oneof![Just(Vec::new()), some]
}

fn item() -> impl Strategy<Value = Item> {
    let kinds = vec![TYPE_FILE, TYPE_DIRECTORY, TYPE_SYMLINK, TYPE_FIFO, TYPE_BLOCK_DEVICE];
    let kind = prop::sample::select(kinds);
    let owners = ("[a-z]{0,40}", "[a-zä]{0,33}", any::<u32>(), any::<u32>());
    let times = (time(), prop::option::of(time()), prop::option::of(time()), prop::option::of(time()));
    let xattrs = prop::collection::btree_map("user\\.[a-z=%]{1,20}", prop::collection::vec(any::<u8>(), 0..600), 0..4);
    let device = (any::<u32>(), any::<u32>());
    let rest = (path(), device, slices(), xattrs, acl(), prop_oneof![Just(0), Just(0x40), Just(0x10 | 0x80)]);
    (kind, 0_u32..0o10000, owners, times, rest).prop_map(|(kind, mode, owners, times, rest)| {
        let (target, device, slices, xattrs, acl, flags) = rest;
        let mut item = Item {
            mode: kind | mode,
            uid: owners.2,
            gid: owners.3,
            user: owners.0.into_bytes(),
            group: owners.1.into_bytes(),
            mtime: times.0,
            ctime: times.1,
            atime: times.2,
            birthtime: times.3,
            xattrs: xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect(),
            flags,
            ..Item::default()
        };
        match kind {
            TYPE_FILE => {
                item.size = slices.iter().map(|slice| u64::from(slice.length)).sum();
                item.content = Content::Slices(slices);
            }
            TYPE_SYMLINK => item.target = target,
            TYPE_BLOCK_DEVICE => item.device = Some(device),
            _ => {}
        }
        if kind != TYPE_SYMLINK {
            item.acl_access = acl;
        }
        item
    })
}

/// What a format carries of an item.
fn carried(format: Format, item: &Item) -> Item {
    let mut item = Item { content: Content::default(), size: 0, ..item.clone() };
    if format != Format::Borg {
        item.birthtime = None;
    }
    if format == Format::Gnu {
        item.mtime.nanoseconds = 0;
        (item.ctime, item.atime, item.flags) = (None, None, 0);
        (item.xattrs, item.acl_access) = (Vec::new(), Vec::new());
        for name in [&mut item.user, &mut item.group] {
            if name.len() > 31 {
                name.clear();
            }
        }
    }
    item
}

proptest! {
    #[test]
    fn every_format_carries_what_it_says(members in prop::collection::vec((path(), item()), 0..5)) {
        for format in FORMATS {
            let mut stream = Vec::new();
            members.iter().for_each(|(path, item)| put(format, path, item, None, &mut stream));
            stream.extend(END);
            let found = read(&stream, false).unwrap();
            prop_assert_eq!(found.len(), members.len());
            for ((path, item), (found_path, found_item, size, regions)) in members.iter().zip(found) {
                prop_assert_eq!(path, &found_path);
                prop_assert_eq!(Some(carried(format, item)), found_item);
                prop_assert_eq!(item.size, size);
                let Content::Slices(slices) = &item.content else { panic!() };
                prop_assert_eq!(slices.iter().any(Slice::is_hole), regions.is_some());
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        members in prop::collection::vec((path(), item()), 1..3), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        for format in FORMATS {
            let mut stream = Vec::new();
            members.iter().for_each(|(path, item)| put(format, path, item, None, &mut stream));
            stream.extend(END);
            let at = at.index(stream.len());
            stream[at] = byte;
            let _ = read(&stream, false);
        }
    }
}

fn sample(format: Format) -> Vec<u8> {
    let slice = |length| Slice { id: [1; 32], offset: 0, length };
    let mut file = Item { mode: TYPE_FILE | 0o644, size: 1300, ..Item::default() };
    file.mtime.nanoseconds = 1;
    file.content = Content::Slices(vec![slice(1300)]);
    let mut holes = Item { size: 24 * 1020, ..file.clone() };
    holes.content = Content::Slices((0..24).flat_map(|_| [slice(20), Slice::hole(1000)]).collect());
    let mut stream = Vec::new();
    put(format, b"file", &file, None, &mut stream);
    put(format, &[b'l'; 300], &file, None, &mut stream);
    put(format, b"link", &file, Some(&[b'l'; 300]), &mut stream);
    put(format, b"holes", &holes, None, &mut stream);
    put(format, b"directory", &Item { mode: TYPE_DIRECTORY | 0o755, ..Item::default() }, None, &mut stream);
    stream
}

#[test]
fn a_stream_that_is_cut_anywhere_is_never_complete() {
    for format in FORMATS {
        let mut stream = sample(format);
        let members = stream.len();
        stream.extend(END);
        assert_eq!(read(&stream, false).unwrap().len(), 5);
        for length in 0..stream.len() {
            assert!(read(&stream[..length], false).is_err(), "{format:?}, {length}");
        }
        // Several streams in one: at least the last of them has to have its end.
        let twice = [&stream[..], &stream].concat();
        assert_eq!(read(&twice, true).unwrap().len(), 10);
        assert_eq!(read(&twice, false).unwrap().len(), 5);
        for length in stream.len() + 1..stream.len() + members + 2 * BLOCK {
            assert!(read(&twice[..length], true).is_err(), "{format:?}, {length}");
        }
    }
}

#[test]
fn all_ways_of_gnu_tar_to_write_holes_are_read() {
    let expected = vec![(0, 4), (1000, 3), (2000, 0)];
    for records in [
        &[("GNU.sparse.size", "2000"), ("GNU.sparse.map", "0,4,1000,3,2000,0")][..],
        &[
            ("GNU.sparse.size", "2000"),
            ("GNU.sparse.offset", "0"),
            ("GNU.sparse.numbytes", "4"),
            ("GNU.sparse.offset", "1000"),
            ("GNU.sparse.numbytes", "3"),
            ("GNU.sparse.offset", "2000"),
            ("GNU.sparse.numbytes", "0"),
        ],
    ] {
        let records: Vec<_> = records.iter().map(|(key, value)| (*key, value.as_bytes())).collect();
        let mut stream = Vec::new();
        put_records(kind::PAX, &records, &mut stream);
        put_header(kind::FILE, |header| header.number(at::SIZE, 7), &mut stream);
        stream.resize(stream.len() + BLOCK, b'd');
        stream.extend(END);
        let found = read(&stream, false).unwrap();
        assert_eq!((found[0].2, found[0].3.as_ref()), (2000, Some(&expected)));
    }
}

#[test]
fn a_sparse_map_that_contradicts_itself_is_refused() {
    let slices = vec![Slice { id: [1; 32], offset: 0, length: 600 }, Slice::hole(1000)];
    let item = Item { mode: TYPE_FILE, size: 1600, content: Content::Slices(slices), ..Item::default() };
    let mut stream = Vec::new();
    put(Format::Pax, b"s", &item, None, &mut stream);
    stream.extend(END);
    assert!(read(&stream, false).is_ok());
    let text = stream.windows(5).position(|window| window == b"\n600\n").unwrap() + 1;
    for wrong in [b"601\n", b"599\n", b"6x0\n"] {
        let mut changed = stream.clone();
        changed[text..text + 4].copy_from_slice(wrong);
        assert!(matches!(read(&changed, false), Err(Fault::Malformed { .. })), "{wrong:?}");
    }
}

/// What is read of one member: these records and this header, without data.
fn read_one(records: &[(&str, &[u8])], kind: u8, set: impl FnOnce(&mut Header)) -> (Item, u64) {
    let mut stream = Vec::new();
    put_records(kind::PAX, records, &mut stream);
    put_header(kind, set, &mut stream);
    stream.extend(END);
    let (_, item, size, _) = read(&stream, false).expect("a whole stream").swap_remove(0);
    (item.expect("understood without problems"), size)
}

#[test]
fn what_a_member_is_its_stream_says_and_no_item_record() {
    let key = std::str::from_utf8(ITEM_RECORD).unwrap();
    let read_with = |record: &Item, kind, set: fn(&mut Header)| {
        let mut body = Vec::new();
        record.encode(&mut body);
        read_one(&[(key, &body)], kind, set)
    };
    let known = Item { uid: 7, missing: missing::ACLS, birthtime: Some(Time::default()), ..Item::default() };
    let record = Item { inode: 5, link: Some(Link { group: 1, count: 2 }), ..known.clone() };

    let file = Item { mode: TYPE_FILE | 0o600, ..record.clone() };
    let slices = Content::Slices(vec![Slice { id: [7; 32], offset: 0, length: 5000 }]);
    for (size, content) in [(5000, slices), (5000, Content::Lists(vec![[7; 32]]))] {
        let found = read_with(&Item { size, content, ..file.clone() }, kind::FILE, |_| {});
        assert_eq!(found, (Item { mode: file.mode, ..known.clone() }, 0));
    }
    let link = Item { mode: TYPE_SYMLINK | 0o777, target: b"elsewhere".to_vec(), ..record.clone() };
    let (found, _) = read_with(&link, kind::SYMLINK, |header| header.text(at::LINK, b"target"));
    assert_eq!(found, Item { mode: link.mode, target: b"target".to_vec(), ..known.clone() });
    let disk = Item { mode: TYPE_BLOCK_DEVICE | 0o660, device: Some((8, 0)), ..record };
    let (found, _) = read_with(&disk, kind::BLOCK_DEVICE, |header| header.number(at::MAJOR, 1));
    assert_eq!(found, Item { mode: disk.mode, device: Some((1, 0)), ..known });
}

#[test]
fn global_records_hold_for_all_members_behind_them_and_are_no_more_than_a_mebibyte() {
    let stream = |comment: &[u8], label: &[u8]| {
        let mut stream = Vec::new();
        put_header(kind::FILE, |_| {}, &mut stream);
        for key in ["comment", "uname", "first", "second"] {
            let value = if key == "comment" { comment } else { label };
            put_records(kind::PAX_GLOBAL, &[(key, value)], &mut stream);
        }
        put_header(kind::FILE, |_| {}, &mut stream);
        put_records(kind::PAX, &[("uname", b"own")], &mut stream);
        put_header(kind::FILE, |_| {}, &mut stream);
        stream.extend(END);
        stream
    };
    let found = read(&stream(&[b'c'; 3 << 20], b"all"), false).unwrap();
    let users: Vec<_> = found.iter().map(|(_, item, ..)| &item.as_ref().unwrap().user[..]).collect();
    assert_eq!(users, [&b""[..], b"all", b"own"]);
    let error = read(&stream(b"", &[b'l'; 400_000]), false).unwrap_err();
    assert!(error.to_string().ends_with(": more than 1 MiB of global records"), "{error}");
}

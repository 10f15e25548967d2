//! The server's plan as options of the source half.

use bork_core::chunker::ChunkerParams;
use bork_core::compress::CompressionSpec;
use bork_core::metadata::{MetadataOptions, NameTables};
use bork_core::pattern::{Action, Matcher, Style};
use bork_core::source::{Changed, FilesCache, LineFormat, SourceOptions};
use bork_format::pack::Codec;
use bork_format::pull::Plan;
use std::sync::{Arc, OnceLock};

/// Compiled expressions of the server's patterns, all together, and what each may take in any case. Unit: bytes.
const EXPRESSIONS_LENGTH_MAX: usize = 48 << 20;
const EXPRESSION_LENGTH_MIN: usize = 128 << 10;

/// How content is cut.
pub fn chunker(plan: &Plan) -> Result<ChunkerParams, String> {
    let params = plan.chunking;
    if params.is_valid() { Ok(params) } else { Err("the server asks for a chunker that cannot be".into()) }
}

/// How chunks are compressed on the way.
pub fn compression(plan: &Plan) -> Result<CompressionSpec, String> {
    let codec = Codec::from_byte(plan.wire.codec).map_err(|error| error.to_string())?;
    let level = u8::try_from(plan.wire.level).map_err(|_| "the compression level is too high".to_string())?;
    Ok(CompressionSpec { codec, level, auto: plan.wire.auto, obfuscate: 0 })
}

/// What is left out.
pub fn matcher(plan: &Plan) -> Result<Matcher, String> {
    let patterns = plan.patterns.iter().map(|(action, style, text)| {
        let action = match action {
            b'+' => Action::Include,
            b'-' => Action::Exclude,
            b'!' => Action::ExcludeNoRecurse,
            _ => return Err("a pattern has an unknown action".to_string()),
        };
        let style = match style {
            b"fm" => Style::Fnmatch,
            b"sh" => Style::Shell,
            b"re" => Style::Regex,
            b"pp" => Style::PathPrefix,
            b"pf" => Style::PathFull,
            _ => return Err("a pattern has an unknown style".to_string()),
        };
        Ok((action, style, text.clone()))
    });
    let patterns: Vec<_> = patterns.collect::<Result<_, _>>()?;
    let length_max = (EXPRESSIONS_LENGTH_MAX / patterns.len().max(1)).max(EXPRESSION_LENGTH_MIN);
    Matcher::within(patterns, length_max).map_err(|error| error.to_string())
}

/// The users and groups of this machine's files: a static program cannot ask the C library's services. Read once, and
/// for the first time before the fences go up.
pub fn names() -> Arc<NameTables> {
    static TABLES: OnceLock<Arc<NameTables>> = OnceLock::new();
    let read = |path: &str| std::fs::read(path).unwrap_or_default();
    Arc::clone(TABLES.get_or_init(|| Arc::new(NameTables::parse(&read("/etc/passwd"), &read("/etc/group")))))
}

/// What is read and how.
pub fn source(plan: &Plan, chunker: ChunkerParams) -> SourceOptions {
    let cache = |bit: usize| plan.files_cache >> bit & 1 == 1;
    SourceOptions {
        metadata: MetadataOptions {
            xattrs: plan.has("xattrs"),
            acls: plan.has("acls"),
            flags: plan.has("flags"),
            atime: plan.has("atime"),
            ctime: plan.has("ctime"),
            birthtime: plan.has("birthtime"),
            numeric_ids: plan.has("numeric_ids"),
        },
        names: Some(names()),
        file_systems: Vec::new(),
        files_cache: FilesCache {
            ctime: cache(0),
            mtime: cache(1),
            size: cache(2),
            inode: cache(3),
            rechunk: cache(4),
            disabled: cache(5),
        },
        files_changed: [Changed::Ctime, Changed::Mtime, Changed::Disabled][plan.files_changed.min(2) as usize],
        read_special: plan.has("read_special"),
        exclude_nodump: plan.has("exclude_nodump"),
        dry_run: plan.has("dry_run"),
        stdin: None,
        start: plan.start,
        previous_start: plan.previous_start,
        chunker,
        lines: plan.statuses.clone().map(|filter| LineFormat { json: false, filter: Some(filter) }),
    }
}

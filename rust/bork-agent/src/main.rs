//! `bork-agent`: what `bork pull` and `bork push` run on the client.
//!
//! One static program with the source half of the engine, and the writing half of a restore: it walks, reads, cuts,
//! names and compresses, or writes what it is sent below one directory. It speaks the pull protocol (docs/protocol.md,
//! "The agent") on standard input and output. It holds no key that opens anything, executes nothing, and opens no
//! network connection.

mod arguments;
mod backup;
mod confine;
mod fence;
mod link;
mod options;
mod outbox;
mod restore;
mod serve;
mod sink;
mod sources;

use arguments::{Arguments, USAGE};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next().as_deref().and_then(|word| word.to_str()) {
        Some("serve") => match Arguments::parse(words).and_then(|arguments| run(&arguments)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => {
                eprintln!("bork-agent: {text}");
                ExitCode::from(2)
            }
        },
        Some("--version") => {
            println!("bork-agent {} (pull protocol {})", env!("CARGO_PKG_VERSION"), bork_format::pull::VERSION);
            ExitCode::SUCCESS
        }
        Some("--help" | "-h") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.remove_self {
        remove_self();
    }
    serve::serve(arguments)
}

/// Removes the file that this program was sent as, and the private directory around it.
fn remove_self() {
    let Ok(path) = std::env::current_exe() else { return };
    let is_private = |directory: &&Path| {
        directory.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("bork-agent."))
    };
    if let Some(directory) = path.parent().filter(is_private) {
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_dir(directory);
    }
}

//! Repository checks: `cargo run -p xtask` (or `cargo run -p xtask -- tidy`).
//!
//! Checks what neither the compiler nor clippy nor ruff can: where things may stand, how long files
//! may grow, what they must open with. Every rule is one file of [`rules`], with its tests.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

mod python;
mod rules;
mod rust;
mod source;
mod tree;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None | Some("tidy"), None) => tidy(),
        _ => {
            eprintln!("usage: cargo run -p xtask [-- tidy]");
            ExitCode::from(2)
        }
    }
}

/// Runs every rule over every file and reports what is not in order.
fn tidy() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = match tree::sources(&root) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("tidy: cannot read the work tree: {error}");
            return ExitCode::FAILURE;
        }
    };
    let findings: Vec<_> = files.iter().flat_map(rules::check).collect();
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files in order", files.len());
        ExitCode::SUCCESS
    } else {
        eprintln!("tidy: {} findings", findings.len());
        ExitCode::FAILURE
    }
}

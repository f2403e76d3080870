//! Finds and reads the files that belong to the repository.

use std::fs;
use std::io;
use std::path::Path;

use crate::source::Source;

/// Reads every text file below `root` that a rule may look at, in path order.
///
/// # Errors
/// Those of reading folders and files. A file that is not UTF-8 is none of ours and is left out.
pub fn sources(root: &Path) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    collect(root, "", &mut found)?;
    found.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(found)
}

/// Adds the sources in `folder`, whose path in the repository is `prefix`.
fn collect(folder: &Path, prefix: &str, found: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}/{name}")
        };
        let kind = entry.file_type()?;
        if kind.is_dir() && !is_foreign(&name) {
            collect(&entry.path(), &path, found)?;
        } else if kind.is_file() && is_text(&name) {
            match fs::read_to_string(entry.path()) {
                Ok(text) => found.push(Source::new(&path, &text)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Whether a folder holds what is built, downloaded or cached rather than written.
fn is_foreign(name: &str) -> bool {
    // `.ci` is the one hidden folder that is ours.
    name != ".ci" && (name.starts_with('.') || matches!(name, "target" | "__pycache__" | "dist"))
}

/// Whether a file is one that people write and read.
fn is_text(name: &str) -> bool {
    const ENDINGS: [&str; 9] = ["rs", "py", "pyi", "md", "toml", "txt", "sh", "yml", "json"];
    match name.rsplit_once('.') {
        Some((_, ending)) => ENDINGS.contains(&ending),
        // `Makefile`, `.ci/run`, the licences.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_folders_and_caches_are_not_ours() {
        assert!(is_foreign("target"));
        assert!(is_foreign(".venv"));
        assert!(!is_foreign(".ci"));
        assert!(!is_foreign("crates"));
    }

    #[test]
    fn this_crate_is_found_in_its_own_tree() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = sources(root).expect("the crate's folder can be read");
        assert!(found.iter().any(|source| source.path == "src/tree.rs"));
    }
}

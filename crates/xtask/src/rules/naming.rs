//! A file is named after the one thing it holds.

use super::Finding;
use crate::source::{Language, Source};

/// Names that hold whatever has found no home yet.
const BANNED: [&str; 8] = [
    "common",
    "helper",
    "helpers",
    "misc",
    "miscellaneous",
    "shared",
    "util",
    "utils",
];

/// Looks at every part of the path of a Rust or Python file.
pub fn check(source: &Source) -> Vec<Finding> {
    if source.language == Language::Other {
        return Vec::new();
    }
    let parts = source.path.split('/');
    let names = parts.map(|part| part.split_once('.').map_or(part, |(stem, _)| stem));
    names
        .filter(|name| BANNED.contains(&name.trim_matches('_')))
        .map(|name| Finding::new(source, 1, format!("`{name}` says nothing of what is inside")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    fn folders_and_files_are_looked_at() {
        assert_eq!(lines(check, "tests/utils/a.py", ""), [1]);
        assert_eq!(lines(check, "python/aioxide/_helpers.py", ""), [1]);
        assert_eq!(lines(check, "crates/a/src/timers.rs", ""), []);
    }
}

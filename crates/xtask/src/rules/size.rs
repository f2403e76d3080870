//! A file of more than 600 lines of code has two subjects: one of them moves out. A stub file is as long as the
//! module that it describes: Python wants one for each.

use super::Finding;
use crate::source::{Language, Source};

/// The most lines of code a file may have; blank lines and comments do not count.
const LIMIT: usize = 600;

/// Counts the lines of code of a Rust or Python file.
pub fn check(source: &Source) -> Vec<Finding> {
    if source.language == Language::Other || source.path.ends_with(".pyi") {
        return Vec::new();
    }
    let is_code = |line: &&crate::source::Line| !line.code.trim().is_empty();
    let count = source.lines.iter().filter(is_code).count();
    if count <= LIMIT {
        return Vec::new();
    }
    let message = format!("{count} lines of code; {LIMIT} is the limit: split the file");
    vec![Finding::new(source, 1, message)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    fn only_code_counts() {
        let long = "x = 1\n".repeat(LIMIT) + &"# a comment\n\n".repeat(100);
        assert_eq!(lines(check, "a.py", &long), []);
        assert_eq!(lines(check, "a.py", &(long + "y = 2\n")), [1]);
    }

    #[test]
    fn prose_may_be_long() {
        assert_eq!(lines(check, "a.md", &"x\n".repeat(2 * LIMIT)), []);
    }
}

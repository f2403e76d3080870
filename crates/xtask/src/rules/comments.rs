//! A promise to come back names the issue that keeps it.

use super::Finding;
use crate::source::{Language, Source, has_word};

/// Finds marks of unfinished work without `#` and a number on the same line.
pub fn check(source: &Source) -> Vec<Finding> {
    if source.language == Language::Other {
        return Vec::new();
    }
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut findings = Vec::new();
    for (number, line) in source.numbered() {
        for mark in marks {
            if has_word(&line.comment, mark) && !names_an_issue(&line.comment) {
                findings.push(Finding::new(source, number, format!("{mark} without an issue")));
            }
        }
    }
    findings
}

/// Whether the comment holds `#` and a digit.
fn names_an_issue(comment: &str) -> bool {
    comment
        .split('#')
        .skip(1)
        .any(|after| after.starts_with(|character: char| character.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    fn a_mark_needs_an_issue() {
        let mark = concat!("TO", "DO");
        assert_eq!(lines(check, "a.rs", &format!("x(); // {mark}: later")), [1]);
        assert_eq!(lines(check, "a.rs", &format!("x(); // {mark}(#12): later")), []);
        assert_eq!(lines(check, "a.rs", &format!("x(\"{mark}\");")), []);
        assert_eq!(lines(check, "a.py", &format!("\n# {mark} this")), [2]);
    }
}

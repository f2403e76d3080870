//! The rules, and what they report.

use std::fmt;

use crate::source::Source;

mod comments;
mod lints;
mod machine;
mod naming;
mod opening;
mod platforms;
mod safety;
mod size;

/// Something that is not in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    /// Reports `message` at a line of `source`; the first line is 1.
    fn new(source: &Source, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: source.path.clone(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Applies every rule to one file.
pub fn check(source: &Source) -> Vec<Finding> {
    let rules = [
        comments::check,
        lints::check,
        machine::check,
        naming::check,
        opening::check,
        platforms::check,
        safety::check,
        size::check,
    ];
    rules.iter().flat_map(|rule| rule(source)).collect()
}

#[cfg(test)]
mod testing {
    //! What the rules' tests share.

    use super::{Finding, Source};

    /// Returns the lines that `rule` finds fault with.
    pub fn lines(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        let findings = rule(&Source::new(path, text));
        findings.into_iter().map(|finding| finding.line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        let source = Source::new("a/b.rs", "");
        let finding = Finding::new(&source, 3, "is wrong");
        assert_eq!(finding.to_string(), "a/b.rs:3: is wrong");
    }
}

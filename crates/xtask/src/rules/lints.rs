//! An exception from a lint is expected, and gives its reason.

use super::Finding;
use crate::source::{Language, Source};

/// Finds `#[allow(..)]`, and `#[expect(..)]` with no reason before its closing bracket.
pub fn check(source: &Source) -> Vec<Finding> {
    if source.language != Language::Rust {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in source.numbered() {
        let code = &line.code;
        if code.contains("#[allow(") || code.contains("#![allow(") {
            let message = "use `#[expect(lint, reason = \"..\")]`, which tells when it is not needed";
            findings.push(Finding::new(source, number, message));
        }
        if code.contains("#[expect(") || code.contains("#![expect(") {
            let attribute = source.lines[number - 1..].iter().map(|line| line.code.as_str());
            if !until_closed(attribute).contains("reason") {
                findings.push(Finding::new(source, number, "`expect` without a reason"));
            }
        }
    }
    findings
}

/// Joins lines up to the one that closes the attribute.
fn until_closed<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut attribute = String::new();
    for line in lines {
        attribute.push_str(line);
        if line.contains(")]") {
            break;
        }
    }
    attribute
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    fn allow_is_not_used() {
        assert_eq!(lines(check, "a.rs", "#[allow(dead_code)]\nfn f() {}"), [1]);
        assert_eq!(lines(check, "a.rs", "// #[allow(dead_code)]\nfn f() {}"), []);
    }

    #[test]
    fn expect_gives_a_reason() {
        let with = "#[expect(\n    dead_code,\n    reason = \"later\"\n)]\nfn f() {}";
        assert_eq!(lines(check, "a.rs", with), []);
        assert_eq!(lines(check, "a.rs", "#[expect(dead_code)]\nfn f() { reason(); }"), [1]);
    }
}

//! `unsafe` stands in its rooms only, and every use of it says why it is sound.

use super::Finding;
use crate::source::{Language, Line, Source, has_word, position_of_word};

/// The only places where `unsafe` may be written.
const ROOMS: [&str; 6] = [
    "crates/aioxide/src/sys/",
    "crates/aioxide/src/sys.rs",
    "crates/aioxide/src/tasks/raw.rs",
    "crates/aioxide/src/tasks/waker.rs",
    "crates/aioxide-py/src/object/",
    "crates/aioxide-pyo3/src/sys.rs",
];

/// Finds `unsafe` elsewhere, and `unsafe` without its reason.
pub fn check(source: &Source) -> Vec<Finding> {
    if source.language != Language::Rust {
        return Vec::new();
    }
    let allowed = ROOMS.iter().any(|room| source.path.starts_with(room));
    let mut findings = Vec::new();
    for (number, line) in source.numbered() {
        if !has_word(&line.code, "unsafe") {
            continue;
        }
        if !allowed {
            findings.push(Finding::new(source, number, "`unsafe` outside of its rooms"));
            continue;
        }
        let lines = &source.lines[..number];
        let message = match owed(&line.code) {
            Owed::Nothing => continue,
            Owed::Comment if explained(lines, "SAFETY:") => continue,
            Owed::Heading if explained(lines, "# Safety") => continue,
            Owed::Comment => "`unsafe` without a `SAFETY:` comment above it",
            Owed::Heading => "an unsafe function without `# Safety` in its documentation",
        };
        findings.push(Finding::new(source, number, message));
    }
    findings
}

/// What a line with `unsafe` owes its reader.
enum Owed {
    Nothing,
    Comment,
    Heading,
}

/// Tells the three uses of the word apart.
fn owed(code: &str) -> Owed {
    let after = position_of_word(code, "unsafe").map_or("", |start| &code[start + 6..]);
    match after.split_whitespace().next() {
        Some("{" | "impl") | None => Owed::Comment,
        Some("fn") => Owed::Heading,
        // A trait, an attribute, a function pointer's type; and a function with C's calling convention,
        // which only CPython calls: what it is owed is the contract of the slot that it fills.
        Some(_) => Owed::Nothing,
    }
}

/// Whether `mark` stands in the comments that belong to the last of `lines`.
///
/// The comment belongs to the whole statement or item: attributes and the statement's earlier lines
/// lie between.
fn explained(lines: &[Line], mark: &str) -> bool {
    let Some((last, before)) = lines.split_last() else {
        return false;
    };
    if last.comment.contains(mark) {
        return true;
    }
    let mut in_comment = false;
    for line in before.iter().rev() {
        let code = line.code.trim();
        if code.is_empty() {
            if line.comment.contains(mark) {
                return true;
            }
            if line.text.trim().is_empty() {
                return false;
            }
            in_comment = true;
        } else if in_comment || (!code.starts_with('#') && code.ends_with([';', '{', '}', ','])) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    const ROOM: &str = "crates/aioxide-py/src/object/call.rs";

    #[test]
    fn unsafe_stands_in_its_rooms() {
        let text = "// SAFETY: because.\nunsafe { f() }";
        assert_eq!(lines(check, "crates/aioxide-py/src/tasks/mod.rs", text), [2]);
        assert_eq!(lines(check, ROOM, text), []);
        assert_eq!(lines(check, "crates/a/src/lib.rs", "#![forbid(unsafe_code)]"), []);
    }

    #[test]
    fn a_block_needs_its_reason() {
        assert_eq!(lines(check, ROOM, "f();\nunsafe { g() }"), [2]);
        assert_eq!(lines(check, ROOM, "// SAFETY: x.\nlet a =\n    unsafe { g() };"), []);
        assert_eq!(lines(check, ROOM, "// SAFETY: x.\nf();\nunsafe { g() }"), [3]);
        assert_eq!(lines(check, ROOM, "// SAFETY: x.\n\nunsafe { g() }"), [3]);
    }

    #[test]
    fn an_implementation_needs_its_reason() {
        assert_eq!(lines(check, ROOM, "unsafe impl Send for X {}"), [1]);
        assert_eq!(lines(check, ROOM, "// SAFETY: x.\nunsafe impl Send for X {}"), []);
    }

    #[test]
    fn a_function_documents_what_its_caller_owes() {
        let documented = "/// Does.\n///\n/// # Safety\n/// `x` is alive.\n#[inline]\npub unsafe fn f() {}";
        assert_eq!(lines(check, ROOM, documented), []);
        assert_eq!(lines(check, ROOM, "/// Does.\nunsafe fn f() {}"), [2]);
    }

    #[test]
    fn a_slot_and_a_function_pointer_owe_nothing() {
        assert_eq!(lines(check, ROOM, "unsafe extern \"C\" fn f() {}"), []);
        assert_eq!(lines(check, ROOM, "type F = unsafe extern \"C\" fn(*mut u8);"), []);
        assert_eq!(lines(check, ROOM, "#[unsafe(no_mangle)]"), []);
    }
}

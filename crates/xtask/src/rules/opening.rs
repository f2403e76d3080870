//! A file opens by saying what it is.

use super::Finding;
use crate::source::{Language, Source};

/// Looks at the first line that is neither blank nor a `#!`.
pub fn check(source: &Source) -> Vec<Finding> {
    let first = source
        .numbered()
        .find(|(_, line)| !line.text.trim().is_empty() && !is_directive(&line.text));
    let text = first.map_or("", |(_, line)| line.text.as_str());
    let (opens, wanted) = match source.language {
        Language::Rust => (text.starts_with("//!"), "`//!` documentation"),
        Language::Python => (is_docstring(text), "a documentation string"),
        Language::Other => return Vec::new(),
    };
    if opens {
        return Vec::new();
    }
    let number = first.map_or(1, |(number, _)| number);
    vec![Finding::new(source, number, format!("does not open with {wanted}"))]
}

/// Whether the line speaks to the machine: `#!/usr/bin/env python`, `# -*- coding`.
fn is_directive(text: &str) -> bool {
    (text.starts_with("#!") && !text.starts_with("#![")) || text.starts_with("# -*-")
}

/// Whether a documentation string opens here.
fn is_docstring(text: &str) -> bool {
    let text = text.strip_prefix(['r', 'R']).unwrap_or(text);
    text.starts_with("\"\"\"") || text.starts_with("'''")
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    fn rust_opens_with_module_documentation() {
        assert_eq!(lines(check, "a.rs", "//! The inbox.\nuse x;"), []);
        assert_eq!(lines(check, "a.rs", "\n// The inbox.\nuse x;"), [2]);
        assert_eq!(lines(check, "a.rs", "#![forbid(unsafe_code)]\n//! Late."), [1]);
    }

    #[test]
    fn python_opens_with_a_documentation_string() {
        assert_eq!(lines(check, "a.py", "#!/usr/bin/env python3\n\"\"\"Says so.\"\"\""), []);
        assert_eq!(lines(check, "a.py", "import x"), [1]);
        assert_eq!(lines(check, "__init__.py", ""), [1]);
    }
}

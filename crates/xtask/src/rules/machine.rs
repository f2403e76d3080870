//! No path of the machine on which something was written gets into the repository.

use super::Finding;
use crate::source::Source;

/// Folders that exist on somebody's machine only.
const FOLDERS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
];

/// Looks at every line of every file: comments, strings and prose alike.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.numbered() {
        if let Some(folder) = FOLDERS.iter().find(|folder| stands_alone(&line.text, folder)) {
            findings.push(Finding::new(source, number, format!("a machine's own path: {folder}")));
        }
    }
    findings
}

/// Whether a path begins with `folder` here, rather than going through a folder of that name.
fn stands_alone(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(start, _)| {
        !text[..start].ends_with(|before: char| before.is_alphanumeric() || "._-}~)".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::lines;
    use super::*;

    #[test]
    fn absolute_paths_are_found_and_relative_ones_are_not() {
        let folder = FOLDERS[0];
        assert_eq!(lines(check, "a.md", &format!("see `{folder}me/x`")), [1]);
        assert_eq!(lines(check, "a.py", &format!("open('{folder}x')")), [1]);
        assert_eq!(lines(check, "a.md", &format!("see `docs{folder}x`")), []);
    }
}

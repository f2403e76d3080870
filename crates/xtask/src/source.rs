//! A file cut into lines whose code, comments and strings are told apart.

use crate::{python, rust};

/// The languages that rules tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Rust,
    Python,
    /// Prose, configuration, scripts: only the rules for all text apply.
    Other,
}

/// One line, split by what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The line as it stands in the file.
    pub text: String,
    /// Its code; the insides of strings are left out, their quotes stay.
    pub code: String,
    /// Its comment, or its part of a documentation string, without the marker.
    pub comment: String,
}

/// One file of the repository.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the root of the repository, with `/` between the names.
    pub path: String,
    pub language: Language,
    pub lines: Vec<Line>,
}

impl Source {
    /// Cuts `text` into lines, by the language that `path` ends in.
    pub fn new(path: &str, text: &str) -> Self {
        let (language, lines) = match path.rsplit_once('.') {
            Some((_, "rs")) => (Language::Rust, rust::split(text)),
            Some((_, "py" | "pyi")) => (Language::Python, python::split(text)),
            _ => (Language::Other, text.lines().map(plain).collect()),
        };
        Self {
            path: path.to_owned(),
            language,
            lines,
        }
    }

    /// Lines with their numbers, which begin at 1.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Makes a line of a file whose language is not known.
fn plain(text: &str) -> Line {
    Line {
        text: text.to_owned(),
        ..Line::default()
    }
}

/// Whether `word` stands in `code` as a word of its own.
pub fn has_word(code: &str, word: &str) -> bool {
    position_of_word(code, word).is_some()
}

/// Returns where `word` stands in `code` as a word of its own.
pub fn position_of_word(code: &str, word: &str) -> Option<usize> {
    let part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word)
        .map(|(start, _)| start)
        .find(|&start| !code[..start].ends_with(part_of_word) && !code[start + word.len()..].starts_with(part_of_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_found_inside_another() {
        assert!(has_word("unsafe {", "unsafe"));
        assert!(!has_word("#![forbid(unsafe_code)]", "unsafe"));
        assert_eq!(position_of_word("an_unsafe unsafe", "unsafe"), Some(10));
    }

    #[test]
    fn the_ending_decides_the_language() {
        assert_eq!(Source::new("a/b.rs", "").language, Language::Rust);
        assert_eq!(Source::new("a/b.pyi", "").language, Language::Python);
        assert_eq!(Source::new("Makefile", "x").language, Language::Other);
    }
}

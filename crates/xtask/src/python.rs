//! Splits Python into code, comments and strings.
//!
//! A triple-quoted string that begins its line is taken for a documentation string and counts as
//! comment; every other string is code whose inside is left out.

use crate::source::Line;

/// A string that is open at the end of a line.
struct Open {
    quote: char,
    /// Whether its text is documentation.
    documentation: bool,
}

/// Splits a whole file.
pub fn split(text: &str) -> Vec<Line> {
    let mut open = None;
    text.lines().map(|line| split_line(line, &mut open)).collect()
}

/// Splits one line; a triple-quoted string may go on into the next.
fn split_line(text: &str, open: &mut Option<Open>) -> Line {
    let mut line = Line {
        text: text.to_owned(),
        ..Line::default()
    };
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = if let Some(string) = open {
            inside(rest, character, string, &mut line)
        } else if character == '#' {
            line.comment.push_str(&rest[1..]);
            rest.len()
        } else if matches!(character, '"' | '\'') {
            let triple = character.to_string().repeat(3);
            if rest.starts_with(&triple) {
                let before = line.code.trim_start();
                let documentation = before.is_empty() || before.eq_ignore_ascii_case("r");
                *open = Some(Open {
                    quote: character,
                    documentation,
                });
                if documentation {
                    line.code.clear();
                } else {
                    line.code.push_str(&triple);
                }
                3
            } else {
                line.code.push(character);
                line.code.push(character);
                short_string(rest, character)
            }
        } else {
            line.code.push(character);
            character.len_utf8()
        };
        if length == 0 {
            // The closing quotes of a triple-quoted string.
            *open = None;
            rest = &rest[3..];
        } else {
            rest = &rest[length..];
        }
    }
    line
}

/// Reads on inside a triple-quoted string; 0 means that it closes here.
fn inside(rest: &str, character: char, string: &Open, line: &mut Line) -> usize {
    if character == '\\' {
        return 1 + rest.chars().nth(1).map_or(0, char::len_utf8);
    }
    if rest.starts_with(&string.quote.to_string().repeat(3)) {
        if !string.documentation {
            line.code.push_str(&string.quote.to_string().repeat(3));
        }
        return 0;
    }
    if string.documentation {
        line.comment.push(character);
    }
    character.len_utf8()
}

/// Returns the length of the one-line string at `rest`, quotes included.
fn short_string(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, character) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return index + 1;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_counts_as_comment() {
        let lines = split("\"\"\"Says so.\n\nMore.\n\"\"\"\nx = 1  # one");
        assert_eq!(lines[0].comment, "Says so.");
        assert_eq!(lines[2].comment, "More.");
        assert!(lines[..4].iter().all(|line| line.code.is_empty()));
        assert_eq!((lines[4].code.trim(), lines[4].comment.trim()), ("x = 1", "one"));
    }

    #[test]
    fn a_hash_in_a_string_is_not_a_comment() {
        let lines = split("a = '#' + \"\\\"#\"  # c");
        assert_eq!(lines[0].code.trim(), "a = '' + \"\"");
        assert_eq!(lines[0].comment, " c");
    }

    #[test]
    fn an_assigned_text_is_code() {
        let lines = split("PROBE = \"\"\"\nimport x\n\"\"\"\ny");
        assert_eq!(lines[0].code, "PROBE = \"\"\"");
        assert_eq!(lines[1].comment, "");
        assert_eq!(lines[3].code, "y");
    }
}

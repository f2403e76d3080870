//! Splits Rust into code, comments and strings.
//!
//! Not a parser: it knows only what is needed to never take a comment or a string for code. Those are
//! nested block comments, raw strings, and the quote that is a lifetime and not a character.

use crate::source::Line;

/// Where the reader stands between two characters.
enum State {
    Code,
    LineComment,
    /// Inside this many nested `/* */`.
    BlockComment(usize),
    String,
    /// Inside a raw string that closes with this many `#`.
    RawString(usize),
}

/// Splits a whole file.
pub fn split(text: &str) -> Vec<Line> {
    let mut state = State::Code;
    text.lines()
        .map(|line| {
            if matches!(state, State::LineComment) {
                state = State::Code;
            }
            split_line(line, &mut state)
        })
        .collect()
}

/// Splits one line; `state` goes on into the next.
fn split_line(text: &str, state: &mut State) -> Line {
    let mut line = Line {
        text: text.to_owned(),
        ..Line::default()
    };
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = match state {
            State::Code => code(rest, character, state, &mut line),
            State::LineComment => {
                line.comment.push_str(rest);
                rest.len()
            }
            State::BlockComment(depth) => {
                if rest.starts_with("*/") {
                    *depth -= 1;
                    if *depth == 0 {
                        *state = State::Code;
                    }
                    2
                } else if rest.starts_with("/*") {
                    *depth += 1;
                    2
                } else {
                    line.comment.push(character);
                    character.len_utf8()
                }
            }
            State::String => match character {
                // The character behind a backslash cannot close the string.
                '\\' => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
                '"' => {
                    line.code.push('"');
                    *state = State::Code;
                    1
                }
                _ => character.len_utf8(),
            },
            State::RawString(hashes) => {
                let end = 1 + *hashes;
                if character == '"' && rest[1..].bytes().take_while(|&b| b == b'#').count() >= *hashes {
                    line.code.push('"');
                    *state = State::Code;
                    end
                } else {
                    character.len_utf8()
                }
            }
        };
        rest = &rest[length..];
    }
    line
}

/// Handles what begins at `rest` in code; returns how many bytes it took.
fn code(rest: &str, character: char, state: &mut State, line: &mut Line) -> usize {
    if rest.starts_with("//") {
        *state = State::LineComment;
        return 2;
    }
    if rest.starts_with("/*") {
        *state = State::BlockComment(1);
        return 2;
    }
    if character == '"' {
        line.code.push('"');
        *state = State::String;
        return 1;
    }
    if let Some(hashes) = raw_string(rest, &line.code) {
        line.code.push_str("r\"");
        *state = State::RawString(hashes);
        return rest.find('"').map_or(rest.len(), |quote| quote + 1);
    }
    if character == '\'' {
        let length = character_literal(rest).unwrap_or(1);
        line.code.push('\'');
        return length;
    }
    line.code.push(character);
    character.len_utf8()
}

/// Returns the number of `#` when a raw string begins at `rest`, behind the code `before`.
fn raw_string(rest: &str, before: &str) -> Option<usize> {
    let prefixed = before.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !before.ends_with(['b', 'c']);
    let after = rest.strip_prefix('r')?;
    let hashes = after.bytes().take_while(|&byte| byte == b'#').count();
    (!prefixed && after[hashes..].starts_with('"')).then_some(hashes)
}

/// Returns the length of the character literal at `rest`; `None` when its quote opens a lifetime.
fn character_literal(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        // The escaped character itself may be a quote.
        characters.next()?;
        return characters
            .find(|&(_, character)| character == '\'')
            .map(|(index, _)| index + 1);
    }
    let (index, second) = characters.next()?;
    (second == '\'').then_some(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(text: &str) -> Vec<String> {
        split(text).into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn strings_and_comments_are_not_code() {
        let lines = split("let a = \"unsafe // x\"; // unsafe\n/* unsafe\n/* x */ unsafe */ b");
        assert_eq!(lines[0].code, "let a = \"\"; ");
        assert_eq!(lines[0].comment, " unsafe");
        assert_eq!(lines[1].code, "");
        assert_eq!(lines[2].code, " b");
    }

    #[test]
    fn a_string_may_hold_an_escaped_quote_and_go_over_lines() {
        assert_eq!(code_of("f(\"a\\\"b\nunsafe\", c)"), ["f(\"", "\", c)"]);
    }

    #[test]
    fn raw_strings_close_with_their_own_hashes() {
        assert_eq!(code_of("r#\"a\" unsafe \"#; br\"x\""), ["r\"\"; br\"\""]);
        assert_eq!(code_of("bar\"x\""), ["bar\"\""]);
    }

    #[test]
    fn a_lifetime_is_not_a_character() {
        assert_eq!(code_of("fn f<'a>(x: &'a str) {}"), ["fn f<'a>(x: &'a str) {}"]);
        assert_eq!(code_of("('\"', '\\'', b)"), ["(', ', b)"]);
    }
}

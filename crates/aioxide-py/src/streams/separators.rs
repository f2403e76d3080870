//! `Separators`: what `readuntil()` looks for.

#![forbid(unsafe_code)]

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// Separators, the shortest first; at least one, and none of them empty.
pub struct Separators(Vec<Vec<u8>>);

impl Separators {
    /// The line's end.
    pub fn newline() -> Self {
        Self(vec![b"\n".to_vec()])
    }

    /// One separator, or a tuple of them.
    ///
    /// # Errors
    /// ValueError, with asyncio's words, if there is none or an empty one; TypeError if one is not bytes-like.
    pub fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut all = match given.cast::<PyTuple>() {
            Ok(tuple) => tuple
                .iter()
                .map(|separator| content_of(&separator))
                .collect::<PyResult<_>>()?,
            Err(_) => vec![content_of(given)?],
        };
        all.sort_by_key(Vec::len);
        match all.first() {
            None => Err(PyValueError::new_err("Separator should contain at least one element")),
            Some(shortest) if shortest.is_empty() => {
                Err(PyValueError::new_err("Separator should be at least one-byte string"))
            }
            Some(_) => Ok(Self(all)),
        }
    }

    /// Where the match begins and ends that ends first, from `seen` on; of those the shortest separator's.
    #[inline]
    pub fn find(&self, data: &[u8], seen: usize) -> Option<(usize, usize)> {
        let unseen = data.get(seen..)?;
        let mut first: Option<(usize, usize)> = None;
        for separator in &self.0 {
            let found = match separator.as_slice() {
                [byte] => memchr::memchr(*byte, unseen),
                longer => memchr::memmem::find(unseen, longer),
            };
            let Some(start) = found else { continue };
            let end = start + separator.len();
            if first.is_none_or(|(_, before)| end < before) {
                first = Some((start, end));
            }
        }
        first.map(|(start, end)| (seen + start, seen + end))
    }

    /// The length of the shortest.
    pub fn shortest(&self) -> usize {
        self.0.first().map_or(1, Vec::len)
    }

    /// The length of the longest.
    pub fn longest(&self) -> usize {
        self.0.last().map_or(1, Vec::len)
    }
}

fn content_of(separator: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = separator.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    match PyBuffer::<u8>::get(separator) {
        Ok(view) => view.to_vec(separator.py()),
        // asyncio asks for the length first.
        Err(_) => separator.len().and(Err(PyTypeError::new_err(format!(
            "a bytes-like object is required, not '{}'",
            separator.get_type().name()?
        )))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separators(all: &[&[u8]]) -> Separators {
        let mut all: Vec<Vec<u8>> = all.iter().map(|one| one.to_vec()).collect();
        all.sort_by_key(Vec::len);
        Separators(all)
    }

    #[test]
    fn the_match_that_ends_first_wins() {
        assert_eq!(separators(&[b"#", b"\r\n"]).find(b"abc\r\nd#", 0), Some((3, 5)));
        assert_eq!(separators(&[b"\n", b"\r\n"]).find(b"abc\r\n", 0), Some((4, 5)));
        assert_eq!(separators(&[b"\n", b"\r\n"]).find(b"abc", 0), None);
    }

    #[test]
    fn what_was_seen_is_not_searched() {
        assert_eq!(separators(&[b"ab"]).find(b"ab..ab", 1), Some((4, 6)));
        assert_eq!(separators(&[b"ab"]).find(b"ab", 7), None);
    }
}

//! `ReadBuffer`: bytes that came and were not read yet.
//!
//! ```text
//!   | read already |  waiting  |  room  |
//!   0              start       len      capacity
//! ```
//! Reading moves `start` and copies nothing; what was read already is overwritten when room is short, so each
//! byte is moved at most once or twice. Invariant: `start <= bytes.len()`, and both are zero when nothing waits.

#![forbid(unsafe_code)]

use std::ops::Deref;

/// A queue of bytes.
#[derive(Default)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl ReadBuffer {
    /// Appends a copy of `data`.
    #[inline]
    pub fn extend(&mut self, data: &[u8]) {
        let room = self.bytes.capacity() - self.bytes.len();
        // Moving fewer bytes than were read since the last move keeps the sum of all moves below that of all
        // reads.
        if data.len() > room && self.start >= self.bytes.len() - self.start {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    /// Removes the first `count` bytes, or as many as there are.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        if count >= self.len() {
            self.clear();
        } else {
            self.start += count;
        }
    }

    /// Removes everything, and gives memory back if it is much.
    #[inline]
    pub fn clear(&mut self) {
        self.start = 0;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

impl Deref for ReadBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// 4 KiB: what an empty buffer may keep. A connection that waits for its next small message need not allocate;
/// 10,000 of them hold 40 MB at most.
const KEPT: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_went_in() {
        let mut buffer = ReadBuffer::default();
        let (mut written, mut read) = (0_usize, 0_usize);
        let byte = |index: usize| u8::try_from(index % 251).expect("below 251");
        for round in 0..2000_usize {
            let piece: Vec<u8> = (written..written + round * 13 % 700).map(byte).collect();
            written += piece.len();
            buffer.extend(&piece);
            let count = (round * 29 % 800).min(buffer.len());
            let taken = buffer.get(..count).expect("no more than there is").to_vec();
            assert_eq!(taken, (read..read + count).map(byte).collect::<Vec<_>>());
            buffer.consume(count);
            read += count;
            assert_eq!(buffer.len(), written - read);
        }
    }

    #[test]
    fn a_drained_buffer_gives_its_memory_back() {
        let mut buffer = ReadBuffer::default();
        buffer.extend(&[0; 1 << 20]);
        buffer.consume(1 << 20);
        assert!(buffer.bytes.capacity() <= KEPT);
        buffer.extend(b"small");
        buffer.consume(5);
        assert!(buffer.bytes.capacity() > 0);
    }

    #[test]
    fn a_buffer_that_is_never_empty_does_not_grow() {
        let mut buffer = ReadBuffer::default();
        buffer.extend(b"x");
        for _ in 0..10_000 {
            buffer.extend(&[0; 100]);
            buffer.consume(100);
        }
        assert!(buffer.bytes.capacity() < 4096, "{}", buffer.bytes.capacity());
    }

    #[test]
    fn consuming_more_than_there_is_empties_it() {
        let mut buffer = ReadBuffer::default();
        buffer.extend(b"abc");
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
    }
}

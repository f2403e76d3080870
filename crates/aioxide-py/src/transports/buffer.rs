//! `WriteBuffer`: bytes that the socket did not take yet, in the chunks in which they came.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, IoSlice};

/// Chunks in order; the first may be partly sent.
#[derive(Default)]
pub struct WriteBuffer {
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first chunk was sent.
    sent: usize,
    length: usize,
}

impl WriteBuffer {
    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Copies `data` to the end. Small pieces share a chunk.
    pub fn push(&mut self, data: &[u8]) {
        self.length += data.len();
        if let Some(last) = self.chunks.back_mut()
            && last.len() + data.len() <= SHARED_CHUNK
        {
            last.extend_from_slice(data);
            return;
        }
        self.chunks.push_back(data.to_vec());
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Offers what waits to `send`, at most `MOST_SLICES` chunks, and forgets what it took.
    pub fn send_with(&mut self, send: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            let start = if used == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(chunk.get(start..).unwrap_or_default());
            used += 1;
        }
        let taken = send(slices.get(..used).unwrap_or_default())?;
        self.forget(taken);
        Ok(taken)
    }

    fn forget(&mut self, mut taken: usize) {
        self.length = self.length.saturating_sub(taken);
        while let Some(first) = self.chunks.front() {
            let left = first.len() - self.sent;
            if taken < left {
                self.sent += taken;
                return;
            }
            taken -= left;
            self.sent = 0;
            self.chunks.pop_front();
        }
    }

    /// How many chunks there are.
    #[cfg(test)]
    fn chunks(&self) -> usize {
        self.chunks.len()
    }
}

/// A write system call gathers at most this many chunks; more would only lengthen the array on the stack.
const MOST_SLICES: usize = 64;
/// Pieces are copied together up to 16 KiB, so that many small writes do not mean many chunks.
const SHARED_CHUNK: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_pushed_is_sent_in_order_whatever_the_socket_takes() {
        for step in [1, 3, 7, 1000, 100_000] {
            let mut buffer = WriteBuffer::default();
            let mut expected = Vec::new();
            for index in 0..200_usize {
                let piece = vec![u8::try_from(index % 251).expect("below 251"); index * 7 % 5000];
                buffer.push(&piece);
                expected.extend(piece);
            }
            assert_eq!(buffer.len(), expected.len());
            let mut sent = Vec::new();
            while !buffer.is_empty() {
                let taken = buffer
                    .send_with(|slices| {
                        let all: Vec<u8> = slices
                            .iter()
                            .flat_map(|slice| slice.iter().copied())
                            .take(step)
                            .collect();
                        sent.extend_from_slice(&all);
                        Ok(all.len())
                    })
                    .expect("never fails");
                assert!(taken > 0);
            }
            assert_eq!(sent, expected);
            assert_eq!(buffer.chunks(), 0);
        }
    }

    #[test]
    fn a_failed_send_forgets_nothing() {
        let mut buffer = WriteBuffer::default();
        buffer.push(b"abc");
        assert!(
            buffer
                .send_with(|_| Err(io::Error::from(io::ErrorKind::WouldBlock)))
                .is_err()
        );
        assert_eq!(buffer.len(), 3);
    }
}

//! OpenSSL, as the interpreter's `_ssl` uses it: records straight into and out of our buffers.
//!
//! A [`Connection`] is the `SSL*` of one `ssl.SSLObject`, with a BIO of ours instead of the two memory BIOs:
//! it reads from a slice that the caller lends and appends to one vector, so that a record is not copied into
//! a BIO and out of it again, and an idle connection holds no buffer. Handshake, shutdown and errors stay
//! `_ssl`'s: whatever is not plain reading or writing goes through the Python object.
//!
//! Nothing of this is assumed to work. [`library`] looks up the functions, checks the facts below and lets two
//! connections talk in memory; if anything is not as expected it says no, and `ssl.MemoryBIO` is used.
//!
//! Invariants, cited by the SAFETY comments of this folder (`O` tells them from those of `object/mod.rs`):
//!
//! - **O1** The functions in [`Functions`] are those of the libraries that `_ssl` itself is bound to: found
//!   through `_ssl`'s own handle, not hidden by others of the same name, of the version that `ssl` reports.
//!   Neither library is ever unloaded, because `_ssl` is not.
//! - **O2** The `SSL*` of a `Connection` belongs to the `_ssl._SSLSocket` that the connection keeps alive:
//!   the two words beside it in the object were what they had to be, and OpenSSL, asked for that `SSL*`'s
//!   application data, named the object.
//! - **O3** We call OpenSSL with the GIL held and not from within another call of ours on the same `SSL*`.
//! - **O4** The data of our BIO is a `Mutex<Pipe>` that the BIO owns a share of, from `attach` until OpenSSL
//!   calls `destroy`. A BIO callback may run without the GIL (`_ssl` releases it in `do_handshake`); it
//!   touches nothing but that mutex, and never waits for it.
//! - **O5** What a pipe has been lent is alive: the loan ends, under the mutex, before the lender goes on.

mod connection;
mod functions;
mod pipe;
mod trial;

pub use connection::{Connection, Outcome};
pub use trial::library;

//! Streams: `StreamReader`, `StreamWriter`, `StreamReaderProtocol`, `FlowControlMixin`.
//!
//! ```text
//!   transport ─feed()─► protocol ─► reader ─► read(), readline(), … (reading.rs, requests.rs)
//!   transport ◄─write()─ writer ◄─ write()
//!   transport ─pause_writing()─► protocol ─► drain() (flow.rs, draining.rs)
//! ```
//! Each type is the base of a Python class in `aioxide.streams`, which adds asyncio's class of the same name as
//! another base: so `isinstance` holds, and what is cold is inherited. Where a subclass or an instance replaces a
//! method that native code would bypass, the method is called (`overrides`).
//! A transport of any kind gives a protocol that [`takes_bytes`] what it received through [`feed`].
//! Counterpart: `Lib/asyncio/streams.py`.

#![forbid(unsafe_code)]

mod buffer;
mod draining;
mod feeding;
mod flow;
mod protocol;
mod reader;
mod reading;
mod requests;
mod separators;
mod waiters;
mod writer;

pub use draining::build_coroutines as build_draining;
pub use flow::build as build_flow_control;
pub use protocol::{Fed, build as build_protocol, feed, feed_eof, takes_bytes};
pub use reader::build as build_reader;
pub use reading::build_coroutines as build_reading;
pub use writer::build as build_writer;

use waiters::{assign, finish_waiter};

//! The unsafe room: the only folder of this crate with `unsafe`.
//!
//! It makes native objects (a Python object whose state is a safe Rust struct, the *body*) and offers the
//! few calls that safe PyO3 lacks. Logic lives outside, in files that forbid `unsafe`.
//!
//! Invariants, cited by the SAFETY comments:
//!
//! 1. **The GIL is held** whenever a body, an [`Owned`] or a [`Slot`] is touched. The module declares that it
//!    uses the GIL; an [`Owned`] that crosses threads does so inside an inbox, which is filled, drained and
//!    dropped with the GIL held.
//! 2. **An object of a native type always has a body.** `create` and `tp_new` write it right after the
//!    allocation, before anyone else can see the object; `dealloc` drops it last, when the reference count
//!    is zero and no weak reference is left.
//! 3. **A body is behind a shared reference.** It changes through cells. No reference into a cell lives
//!    across a call into Python, because that call may come back to the same body.
//! 4. **An object is whole while its `finalize` runs** (PEP 442) and may come back to life there; `unlink`
//!    runs after that point of no return.
//! 5. **List links** (see `links`) point only to objects that have not been unlinked; an object unlinks
//!    itself when it is done and, at the latest, first thing in `dealloc`. So does a task with CPython's own
//!    list (see `published`).

mod args;
mod call;
pub mod compat;
mod contexts;
pub mod descriptor;
mod dict_entry;
mod driver;
mod links;
mod memory;
mod methods;
mod native;
pub mod openssl;
mod owned;
pub mod published;
mod types;

pub use args::Args;
pub use call::{
    Sent, StaticMethod, audit_address, bound_function, bytes, call_method_one, call_method_two, call_tuple,
    copy_context, copy_of, in_context, send, throw,
};
pub use contexts::{context_in, in_slot, learn as learn_contexts, snapshot};
pub use dict_entry::DictEntry;
pub use driver::driver_in;
pub use links::{Head, Links, linked};
pub use methods::{
    Resumed, Returned, aiter_slot, anext_slot, await_slot, class_method_one, finalize_slot, function, getter,
    getter_setter, init_slots, iter_slot, method, method_noargs, method_one, new_slot, repr_slot, resume_slots,
    setattr_slot,
};
pub use native::{
    Body, BodyOf, Layout, Native, Visitor, as_exact, as_native, create, create_untracked, give_back, prefetch, track,
    track_if_shared,
};
pub use owned::{Owned, Slot};
pub use types::{TypeBuilder, set_metaclass};

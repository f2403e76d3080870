//! The private attributes and methods of an `SSLProtocol` that tests and libraries look at.

#![forbid(unsafe_code)]

use std::rc::Rc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::session::Session;
use super::{SslProtocol, boolean, none, transport, use_app_protocol};
use crate::object::{Args, BodyOf, Returned, TypeBuilder, getter, getter_setter, method, method_one};

/// Adds them.
pub fn protocol_attributes(builder: TypeBuilder) -> TypeBuilder {
    builder
        .attribute(getter(c"_loop", event_loop))
        .attribute(getter(c"_app_protocol", app_protocol))
        .attribute(getter(c"_app_transport", app_transport))
        .attribute(getter(c"_transport", lower_transport))
        .attribute(getter(c"_sslcontext", context))
        .attribute(getter(c"_extra", extra))
        .attribute(getter(c"_waiter", waiter))
        .attribute(getter(c"_server_side", server_side))
        .attribute(getter(c"_server_hostname", server_hostname))
        .attribute(getter(c"_app_reading_paused", app_reading_paused))
        .attribute(getter(c"_is_direct", is_direct))
        .attribute(getter_setter(c"_sslobj", ssl_object, set_ssl_object))
        .method(method_one(
            c"_set_app_protocol",
            c"Sets the protocol that gets what is read.",
            set_app_protocol,
        ))
        .method(method(
            c"_get_extra_info",
            c"What is known of the connection, by name.",
            extra_info,
        ))
}

fn event_loop<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(this.body().event_loop.get_or_none(this.py()))
}

fn app_protocol<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(this.body().app_protocol.get_or_none(this.py()))
}

fn app_transport<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(this.body().app_transport.get_or_none(this.py()))
}

fn lower_transport<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(this.body().transport.get_or_none(this.py()))
}

fn context<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    let extra = this.body().extra.get_or_none(this.py());
    match extra.cast::<PyDict>() {
        Ok(extra) => Ok(extra.get_item("sslcontext")?.unwrap_or_else(|| none(this.py()))),
        Err(_) => Ok(none(this.py())),
    }
}

fn extra<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(this.body().extra.get_or_none(this.py()))
}

fn waiter<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(this.body().waiter.get_or_none(this.py()))
}

fn server_side<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().server_side.get()))
}

fn server_hostname<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(this.body().server_hostname.get_or_none(this.py()))
}

fn app_reading_paused<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    Ok(boolean(this.py(), this.body().app_reading_paused.get()))
}

/// Whether OpenSSL is used directly.
fn is_direct<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    let direct = this.body().session().is_some_and(|session| session.is_direct());
    Ok(boolean(this.py(), direct))
}

fn ssl_object<'py>(this: &Bound<'py, SslProtocol>) -> Returned<'py> {
    let py = this.py();
    match this.body().session() {
        Some(session) => Ok(session.object(py).clone()),
        None => Ok(none(py)),
    }
}

fn set_ssl_object(this: &Bound<'_, SslProtocol>, object: &Bound<'_, PyAny>) -> PyResult<()> {
    let session = Session::with_object(object)?;
    drop(this.body().session.replace(Some(Rc::new(session))));
    Ok(())
}

fn set_app_protocol<'py>(this: &Bound<'py, SslProtocol>, protocol: &Bound<'py, PyAny>) -> Returned<'py> {
    use_app_protocol(this, protocol)?;
    Ok(none(this.py()))
}

fn extra_info<'py>(this: &Bound<'py, SslProtocol>, args: Args<'_, 'py>) -> Returned<'py> {
    let [name, default] = args.bind("_get_extra_info", ["name", "default"], 2, 1)?;
    let py = this.py();
    let default = default.map_or_else(|| none(py), Clone::clone);
    match name {
        Some(name) => transport::known(this, name, default),
        None => Ok(default),
    }
}

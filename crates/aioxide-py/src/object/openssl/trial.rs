//! The trial: two connections talk to each other in memory before any other may be made.

use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::connection::{Connection, Outcome};
use super::functions::Functions;

/// Whether OpenSSL may be used directly, as the trial found: all functions, or none.
static VERDICT: OnceLock<Option<&'static Functions>> = OnceLock::new();

/// OpenSSL's functions, if they may be used. The first call finds out; it takes 2 ms.
///
/// `pair` makes the two ends for the trial: `[(ssl.SSLObject, its first ssl.MemoryBIO), …]`, client first.
pub fn library<'py>(
    py: Python<'py>,
    pair: impl FnOnce() -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>>,
) -> Option<&'static Functions> {
    if let Some(verdict) = VERDICT.get() {
        return *verdict;
    }
    // Whatever goes wrong in the trial means no; there is another way, which does the same.
    let verdict = trial(py, pair).unwrap_or_else(ignore_unfit);
    *VERDICT.get_or_init(|| verdict)
}

/// An exception in the trial is an answer like the others.
fn ignore_unfit(_error: PyErr) -> Option<&'static Functions> {
    None
}

fn trial<'py>(
    py: Python<'py>,
    pair: impl FnOnce() -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>>,
) -> PyResult<Option<&'static Functions>> {
    let Some(functions) = Functions::load(py)? else {
        return Ok(None);
    };
    let mut ends = Vec::new();
    for (object, incoming) in pair()? {
        let Some(connection) = Connection::attach(functions, &object, &incoming)? else {
            return Ok(None);
        };
        ends.push((object, connection));
    }
    let [client, server] = &*ends else {
        return Ok(None);
    };
    shake_hands(py, client, server)?;
    let (client_object, client) = client;
    let (server_object, server) = server;

    // More than one record, read in pieces and in one piece.
    let message: Vec<u8> = (0..40_000_usize).map(|index| (index % 251) as u8).collect();
    send(client, &message)?;
    let records = client.take_output();
    let (part, rest) = records.split_at(records.len() / 3);
    let mut received = vec![0; 5000];
    let mut all = Vec::new();
    server.lend(part, || {
        while let Outcome::Some(count) = server.read(&mut received) {
            all.extend_from_slice(received.get(..count).unwrap_or_default());
        }
    });
    let end = server.lend(rest, || {
        let (data, last) = server.read_bytes(py, server.readable())?;
        all.extend_from_slice(data.cast::<pyo3::types::PyBytes>()?.as_bytes());
        Ok::<_, PyErr>(last)
    })?;
    require(all == message && end == Outcome::Wait && server.unread() == 0)?;

    // An end that was announced, and a record that is forged: both are for `_ssl` to tell.
    send(server, b"x")?;
    client.lend(&server.take_output(), || {
        require(client.read(&mut received) == Outcome::Some(1))
    })?;
    require(client_object.call_method0("unwrap").is_err())?;
    let end = client.take_output();
    server.lend(&end, || {
        require(server.read(&mut received) == Outcome::Ask)?;
        require(server_object.call_method1("read", (1,))?.len()? == 0)
    })?;
    let forged = [&[23, 3, 3, 0, 64][..], &[b'f'; 64]].concat();
    client.lend(&forged, || {
        require(client.read(&mut received) == Outcome::Ask)?;
        let told = client_object.call_method1("read", (1,));
        let reason = told.err().map(|error| error.value(py).getattr("reason"));
        let reason: Option<String> = reason.transpose()?.map(|reason| reason.extract()).transpose()?;
        require(reason.is_some())
    })?;
    Ok(Some(functions))
}

fn shake_hands(
    py: Python<'_>,
    client: &(Bound<'_, PyAny>, Connection),
    server: &(Bound<'_, PyAny>, Connection),
) -> PyResult<()> {
    let want_read = py.import("ssl")?.getattr("SSLWantReadError")?;
    let mut flight = Vec::new();
    for _ in 0..3 {
        let mut done = true;
        for (object, connection) in [client, server] {
            let shaken = connection.lend(&flight, || object.call_method0("do_handshake"));
            if let Err(error) = shaken {
                if !error.value(py).is_instance(&want_read)? {
                    return Err(error);
                }
                done = false;
            }
            flight = connection.take_output();
        }
        if done {
            return Ok(());
        }
    }
    require(false)
}

fn send(connection: &Connection, mut data: &[u8]) -> PyResult<()> {
    while !data.is_empty() {
        match connection.write(data) {
            Outcome::Some(count) => data = data.get(count..).unwrap_or_default(),
            _ => return require(false),
        }
    }
    Ok(())
}

fn require(fact: bool) -> PyResult<()> {
    if fact {
        return Ok(());
    }
    Err(PyRuntimeError::new_err("OpenSSL does not do what was expected"))
}

//! Socket addresses: Python's tuples, strings and bytes, and the system's structs.
//!
//! Only what needs no name look-up is translated here: numeric IPv4 and IPv6 addresses, and names of unix
//! sockets. Everything else, mistakes included, is left to Python's own socket object, which knows the words.
//! Counterpart: `makesockaddr` and `getsockaddrarg` in `Modules/socketmodule.c`.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::imports::imports;
use crate::object::Owned;

/// The families whose addresses are known here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
    /// `AF_UNIX`.
    Unix,
}

impl Family {
    /// The family of a Python socket; None if its addresses are not known here.
    pub fn of(socket: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let py = socket.py();
        let [family, ..] = &imports(py)?.socket_numbers;
        let number = family.bind(py).call_method1(pyo3::intern!(py, "__get__"), (socket,))?;
        Ok(match AddressFamily::from_raw(number.extract()?) {
            AddressFamily::INET => Some(Self::V4),
            AddressFamily::INET6 => Some(Self::V6),
            AddressFamily::UNIX => Some(Self::Unix),
            _ => None,
        })
    }
}

/// The system's form of an address; None if Python has to make it, or to refuse it.
pub fn parse(family: Family, address: &Bound<'_, PyAny>) -> Option<SocketAddrAny> {
    match family {
        Family::V4 => parse_v4(address.cast_exact::<PyTuple>().ok()?).map(Into::into),
        Family::V6 => parse_v6(address.cast_exact::<PyTuple>().ok()?).map(Into::into),
        Family::Unix => parse_unix(address).map(Into::into),
    }
}

fn parse_v4(address: &Bound<'_, PyTuple>) -> Option<SocketAddrV4> {
    let (host, port) = host_and_port(address)?;
    let host = host.to_str().ok()?.parse::<Ipv4Addr>().ok()?;
    (address.len() == 2).then(|| SocketAddrV4::new(host, port))
}

fn parse_v6(address: &Bound<'_, PyTuple>) -> Option<SocketAddrV6> {
    let (host, port) = host_and_port(address)?;
    let host = host.to_str().ok()?.parse::<Ipv6Addr>().ok()?;
    let number = |index| match address.get_item(index) {
        Ok(number) => number.cast_exact::<PyInt>().ok()?.extract::<u32>().ok(),
        Err(_) => Some(0),
    };
    let (flow, scope) = (number(2)?, number(3)?);
    // 20 bits: more is an OverflowError.
    (address.len() <= 4 && flow < 1 << 20).then(|| SocketAddrV6::new(host, port, flow, scope))
}

fn host_and_port<'py>(address: &Bound<'py, PyTuple>) -> Option<(Bound<'py, PyString>, u16)> {
    let host = address.get_item(0).ok()?.cast_into_exact::<PyString>().ok()?;
    let port = address.get_item(1).ok()?.cast_into_exact::<PyInt>().ok()?;
    Some((host, port.extract().ok()?))
}

fn parse_unix(address: &Bound<'_, PyAny>) -> Option<SocketAddrUnix> {
    let name = match address.cast_exact::<PyBytes>() {
        Ok(bytes) => bytes.as_bytes(),
        // ASCII is the same in every file system's encoding.
        Err(_) => address
            .cast_exact::<PyString>()
            .ok()?
            .to_str()
            .ok()
            .filter(|text| text.is_ascii())?
            .as_bytes(),
    };
    match name {
        [] => None,
        [0, name @ ..] => SocketAddrUnix::new_abstract_name(name).ok(),
        path if path.contains(&0) || path.len() >= LONGEST_PATH => None,
        path => SocketAddrUnix::new(path).ok(),
    }
}

/// Python's form of an address that the system gave; None is the sender without a name.
pub fn to_python<'py>(py: Python<'py>, address: Option<&SocketAddrAny>) -> PyResult<Bound<'py, PyAny>> {
    let Some(address) = address else {
        return Ok(py.None().into_bound(py));
    };
    match address.address_family() {
        AddressFamily::INET => v4_to_python(py, SocketAddrV4::try_from(address.clone()).unwrap_or(NOWHERE)),
        AddressFamily::INET6 => match SocketAddrV6::try_from(address.clone()) {
            Ok(address) => v6_to_python(py, &address),
            Err(_) => Ok(py.None().into_bound(py)),
        },
        // Only the family: a socket without a name.
        _ if address.addr_len() <= 2 => Ok(PyString::new(py, "").into_any()),
        _ => match SocketAddrUnix::try_from(address.clone()) {
            Ok(address) => unix_to_python(py, &address),
            Err(_) => Ok(py.None().into_bound(py)),
        },
    }
}

fn v4_to_python(py: Python<'_>, address: SocketAddrV4) -> PyResult<Bound<'_, PyAny>> {
    Ok((address.ip().to_string(), address.port()).into_pyobject(py)?.into_any())
}

fn v6_to_python<'py>(py: Python<'py>, address: &SocketAddrV6) -> PyResult<Bound<'py, PyAny>> {
    let parts = (
        v6_text(address.ip()),
        address.port(),
        address.flowinfo(),
        address.scope_id(),
    );
    Ok(parts.into_pyobject(py)?.into_any())
}

/// As `inet_ntop` writes it: an address with an IPv4 one in its last 32 bits ends in dots.
fn v6_text(ip: &Ipv6Addr) -> String {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let last = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
            format!("::{last}")
        }
        _ => ip.to_string(),
    }
}

fn unix_to_python<'py>(py: Python<'py>, address: &SocketAddrUnix) -> PyResult<Bound<'py, PyAny>> {
    if let Some(name) = address.abstract_name() {
        let name = [b"\0", name].concat();
        return Ok(PyBytes::new(py, &name).into_any());
    }
    let path = OsStr::from_bytes(address.path_bytes().unwrap_or_default());
    Ok(path.into_pyobject(py)?.into_any())
}

/// The tuples of the IPv4 addresses seen last: peers send more than one datagram.
///
/// Making a tuple, its string and its number takes 0.2 µs, an eighth of what receiving takes besides the
/// system call.
#[derive(Default)]
pub struct AddressCache {
    entries: RefCell<Vec<Option<(SocketAddrV4, Owned)>>>,
    /// The place of the one that was asked for last.
    last: Cell<usize>,
}

impl AddressCache {
    /// The system's form of a tuple, if it is the one that was given last.
    #[inline]
    pub fn last(&self, address: &Bound<'_, PyAny>) -> Option<SocketAddrAny> {
        match self.entries.borrow().get(self.last.get()) {
            Some(Some((known, tuple))) if tuple.as_ptr() == address.as_ptr() => Some((*known).into()),
            _ => None,
        }
    }

    /// As [`to_python`].
    pub fn to_python<'py>(&self, py: Python<'py>, address: Option<&SocketAddrAny>) -> PyResult<Bound<'py, PyAny>> {
        let known = address
            .filter(|address| address.address_family() == AddressFamily::INET)
            .and_then(|address| SocketAddrV4::try_from(address.clone()).ok());
        let Some(address) = known else {
            return to_python(py, address);
        };
        let place = usize::from(address.port()) % CACHED;
        self.last.set(place);
        if let Some(Some((known, tuple))) = self.entries.borrow().get(place)
            && *known == address
        {
            return Ok(tuple.bind(py).clone());
        }
        let tuple = v4_to_python(py, address)?;
        drop(self.remember(place, (address, Owned::new(&tuple))));
        Ok(tuple)
    }

    fn remember(&self, place: usize, entry: (SocketAddrV4, Owned)) -> Option<(SocketAddrV4, Owned)> {
        let mut entries = self.entries.borrow_mut();
        if entries.is_empty() {
            entries.resize_with(CACHED, || None);
        }
        entries.get_mut(place)?.replace(entry)
    }
}

/// `sun_path` has 108 bytes on Linux, and Python wants the last to be zero.
const LONGEST_PATH: usize = 108;
/// What an address is that the system calls IPv4 and that is not.
const NOWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
/// 64 peers; a miss costs what each address would cost without a cache.
const CACHED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_inet_ntop_writes_them() {
        for (text, written) in [
            ("::", "::"),
            ("::1", "::1"),
            ("::1:2", "::0.1.0.2"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("fe80:0:0:1::", "fe80:0:0:1::"),
        ] {
            assert_eq!(v6_text(&text.parse().expect("an address")), written);
        }
    }
}

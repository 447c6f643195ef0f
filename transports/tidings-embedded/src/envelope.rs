//! A call as bytes: one compact notation for the journal and for the link between processes.
//!
//! The payload comes last and is not copied: [`decode`] returns a slice of its input, and a writer may send
//! [`encode_head`] and the payload one after the other. Origin, deadline and extensions do not travel.

use bytes::Bytes;
use tidings_core::{Address, Call, Envelope, Error, ErrorKind, Result};

/// Writes everything but the payload of a call. Head and payload, one after the other, are what [`decode`] reads.
///
/// # Errors
/// [`Misuse`](ErrorKind::Misuse) if headers are nested more than 32 deep.
pub fn encode_head(
    address: &Address,
    envelope: &Envelope,
    mandatory: bool,
    to: &mut Vec<u8>,
) -> Result<()> {
    let _ = (address, envelope, mandatory, to);
    Err(Error::new(ErrorKind::Unsupported, "not yet"))
}

/// Reads a call, whatever the bytes are.
///
/// # Errors
/// [`Corrupt`](ErrorKind::Corrupt) if they are not what [`encode_head`] writes.
pub fn decode(bytes: &Bytes) -> Result<Call> {
    let _ = bytes;
    Err(Error::new(ErrorKind::Unsupported, "not yet"))
}

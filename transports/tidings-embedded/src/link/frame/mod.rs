//! What two processes of one file say to each other: one length-prefixed frame per request, answer or delivery.
//!
//! A frame is a `u32` length, one byte that names it, and its fields as [`wire`](super::wire) writes them.
//! Decoding is total: any bytes lead to a frame or to a [`Corrupt`](tidings_core::ErrorKind::Corrupt) error.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use tidings_core::{
    Call, Error, ErrorKind, Result, Settlement,
    topology::{Difference, Topology},
    transport::{QueueStatus, Subscription},
};

use super::{
    topology,
    wire::{self, Reader, Write, corrupt},
};

/// What both sides must speak. It changes with every change of a frame: the processes of one file are
/// upgraded together, and until they are the younger is told so.
pub(super) const VERSION: u16 = 2;

/// The first bytes of a connection, so that a stranger on the socket is recognised at once.
const MAGIC: u32 = u32::from_le_bytes(*b"TdLk");

/// The name of a `Publish`: the one frame that is written in two places.
const PUBLISH: u8 = 3;

/// The largest frame, checked before anything is allocated for it.
pub(super) const MAX_FRAME: usize = 64 << 20;

/// What a client asks. Answers carry the `id` of the request, publishes are answered by their `seq`.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// The first frame: who it is. The same number for as long as the process uses the file.
    Hello { version: u16, client: u128 },
    /// Make it exist.
    Declare { id: u64, topology: Topology },
    /// Make it vanish.
    Delete { id: u64, topology: Topology },
    /// Take responsibility. Sent again with the same number after a take-over.
    Publish { seq: u64, call: Call },
    /// Deliver; deliveries name the subscription by the client's own number.
    Subscribe {
        id: u64,
        subscription: u32,
        to: Subscription,
    },
    /// Deliver no more; what was delivered may still be settled.
    Cancel { subscription: u32 },
    /// Settle one delivery.
    Settle { id: u64, tag: u64, how: Settlement },
    /// Give one delivery back, without an answer.
    Abandon { tag: u64 },
    /// Tell the state of these queues, of all if none is named.
    Queues { id: u64, named: Vec<Arc<str>> },
    /// Nothing more will come.
    Close,
    /// Tell how this differs from what exists.
    Compare { id: u64, topology: Topology },
}

/// What the owner says.
#[derive(Debug)]
pub(super) enum Answer {
    /// Answers `Hello`.
    Welcome { version: u16 },
    /// The connection is about to be closed because of this.
    Refused { error: Error },
    /// Answers `Publish`.
    Published { seq: u64, result: Result<()> },
    /// Answers `Declare`, `Delete`, `Subscribe`, `Settle`.
    Done { id: u64, result: Result<()> },
    /// Answers `Queues`.
    Queues {
        id: u64,
        result: Result<Vec<QueueStatus>>,
    },
    /// One message; `tag` names it on this connection.
    Delivery {
        subscription: u32,
        tag: u64,
        call: Call,
    },
    /// No more deliveries: closed, or broken because of this.
    Ended {
        subscription: u32,
        error: Option<Error>,
    },
    /// The owner ends: somebody else take over.
    Goodbye,
    /// Answers `Compare`.
    Differences {
        id: u64,
        result: Result<Vec<Difference>>,
    },
}

/// Appends one frame.
///
/// # Errors
/// `Misuse` if the frame would be larger than [`MAX_FRAME`] or cannot be written; `to` is then as before.
fn put_frame(to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = to.len();
    to.put_u32_le(0);
    if let Err(error) = write(to) {
        to.truncate(start);
        return Err(error);
    }
    let len = to.len() - start - 4;
    match u32::try_from(len) {
        Ok(prefix) if len <= MAX_FRAME => {
            to[start..start + 4].copy_from_slice(&prefix.to_le_bytes());
            Ok(())
        }
        _ => {
            to.truncate(start);
            Err(Error::new(
                ErrorKind::Misuse,
                format!(
                    "the message takes {len} bytes between two processes, at most {MAX_FRAME} are possible: make it smaller, or publish a reference to it"
                ),
            ))
        }
    }
}

/// Appends a `Publish`, without owning the call.
pub(super) fn put_publish(to: &mut Vec<u8>, seq: u64, call: &Call) -> Result<()> {
    put_frame(to, |to| {
        put_name(to, PUBLISH, seq);
        wire::put_call(to, call)
    })
}

impl Request {
    /// Appends this request as a frame.
    pub(super) fn put(&self, to: &mut Vec<u8>) -> Result<()> {
        put_frame(to, |to| self.put_body(to))
    }

    fn put_body(&self, to: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Hello { version, client } => {
                to.put_u8(0);
                to.put_u32_le(MAGIC);
                to.put_u16_le(*version);
                to.put_u128_le(*client);
            }
            Self::Declare { id, topology } => {
                put_name(to, 1, *id);
                return topology::put_topology(to, topology);
            }
            Self::Delete { id, topology } => {
                put_name(to, 2, *id);
                return topology::put_topology(to, topology);
            }
            Self::Publish { seq, call } => {
                put_name(to, PUBLISH, *seq);
                return wire::put_call(to, call);
            }
            Self::Subscribe {
                id,
                subscription,
                to: wanted,
            } => {
                put_name(to, 4, *id);
                to.put_u32_le(*subscription);
                wire::put_subscription(to, wanted);
            }
            Self::Cancel { subscription } => {
                to.put_u8(5);
                to.put_u32_le(*subscription);
            }
            Self::Settle { id, tag, how } => {
                put_name(to, 6, *id);
                to.put_u64_le(*tag);
                wire::put_settlement(to, how);
            }
            Self::Abandon { tag } => put_name(to, 7, *tag),
            Self::Queues { id, named } => {
                put_name(to, 8, *id);
                to.put_list(named, |to, name| to.put_text(name));
            }
            Self::Close => to.put_u8(9),
            Self::Compare { id, topology } => {
                put_name(to, 10, *id);
                return topology::put_topology(to, topology);
            }
        }
        Ok(())
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// `Corrupt` for anything that [`put`](Self::put) would not write.
    pub(super) fn read(frame: Bytes) -> Result<Self> {
        let mut from = Reader(frame);
        let request = match from.u8()? {
            0 => {
                if from.u32()? != MAGIC {
                    return Err(corrupt("it does not begin as ours do"));
                }
                Self::Hello {
                    version: from.u16()?,
                    client: from.u128()?,
                }
            }
            1 => Self::Declare {
                id: from.u64()?,
                topology: topology::topology(&mut from)?,
            },
            2 => Self::Delete {
                id: from.u64()?,
                topology: topology::topology(&mut from)?,
            },
            PUBLISH => Self::Publish {
                seq: from.u64()?,
                call: wire::call(&mut from)?,
            },
            4 => Self::Subscribe {
                id: from.u64()?,
                subscription: from.u32()?,
                to: wire::subscription(&mut from)?,
            },
            5 => Self::Cancel {
                subscription: from.u32()?,
            },
            6 => Self::Settle {
                id: from.u64()?,
                tag: from.u64()?,
                how: wire::settlement(&mut from)?,
            },
            7 => Self::Abandon { tag: from.u64()? },
            8 => Self::Queues {
                id: from.u64()?,
                named: from.list(4, Reader::text)?,
            },
            9 => Self::Close,
            10 => Self::Compare {
                id: from.u64()?,
                topology: topology::topology(&mut from)?,
            },
            other => return Err(corrupt(format_args!("no request has the number {other}"))),
        };
        from.end()?;
        Ok(request)
    }
}

impl Answer {
    /// Appends this answer as a frame.
    pub(super) fn put(&self, to: &mut Vec<u8>) -> Result<()> {
        put_frame(to, |to| self.put_body(to))
    }

    fn put_body(&self, to: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Welcome { version } => {
                to.put_u8(0);
                to.put_u32_le(MAGIC);
                to.put_u16_le(*version);
            }
            Self::Refused { error } => {
                to.put_u8(1);
                wire::put_error(to, error);
            }
            Self::Published { seq, result } => {
                put_name(to, 2, *seq);
                wire::put_result(to, result);
            }
            Self::Done { id, result } => {
                put_name(to, 3, *id);
                wire::put_result(to, result);
            }
            Self::Queues { id, result } => {
                put_name(to, 4, *id);
                to.put_bool(result.is_ok());
                match result {
                    Ok(queues) => to.put_list(queues, wire::put_status),
                    Err(error) => wire::put_error(to, error),
                }
            }
            Self::Delivery {
                subscription,
                tag,
                call,
            } => {
                put_name(to, 5, *tag);
                to.put_u32_le(*subscription);
                to.put_bool(call.is_redelivered());
                to.put_text(call.queue());
                return wire::put_call(to, call);
            }
            Self::Ended {
                subscription,
                error,
            } => {
                to.put_u8(6);
                to.put_u32_le(*subscription);
                to.put_option(error.as_ref(), wire::put_error);
            }
            Self::Goodbye => to.put_u8(7),
            Self::Differences { id, result } => {
                put_name(to, 8, *id);
                to.put_bool(result.is_ok());
                match result {
                    Ok(differences) => to.put_list(differences, topology::put_difference),
                    Err(error) => wire::put_error(to, error),
                }
            }
        }
        Ok(())
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// `Corrupt` for anything that [`put`](Self::put) would not write.
    pub(super) fn read(frame: Bytes) -> Result<Self> {
        let mut from = Reader(frame);
        let answer = match from.u8()? {
            0 => {
                if from.u32()? != MAGIC {
                    return Err(corrupt("it does not begin as ours do"));
                }
                Self::Welcome {
                    version: from.u16()?,
                }
            }
            1 => Self::Refused {
                error: wire::error(&mut from)?,
            },
            2 => Self::Published {
                seq: from.u64()?,
                result: wire::result(&mut from)?,
            },
            3 => Self::Done {
                id: from.u64()?,
                result: wire::result(&mut from)?,
            },
            4 => Self::Queues {
                id: from.u64()?,
                result: if from.bool()? {
                    Ok(from.list(24, wire::status)?)
                } else {
                    Err(wire::error(&mut from)?)
                },
            },
            5 => {
                let (tag, subscription) = (from.u64()?, from.u32()?);
                let (redelivered, queue) = (from.bool()?, from.text()?);
                Self::Delivery {
                    subscription,
                    tag,
                    call: wire::call(&mut from)?.with_origin(queue, redelivered),
                }
            }
            6 => Self::Ended {
                subscription: from.u32()?,
                error: from.option(wire::error)?,
            },
            7 => Self::Goodbye,
            8 => Self::Differences {
                id: from.u64()?,
                result: if from.bool()? {
                    Ok(from.list(6, topology::difference)?)
                } else {
                    Err(wire::error(&mut from)?)
                },
            },
            other => return Err(corrupt(format_args!("no answer has the number {other}"))),
        };
        from.end()?;
        Ok(answer)
    }
}

/// The name of a frame and the number that it is about.
fn put_name(to: &mut Vec<u8>, name: u8, about: u64) {
    to.put_u8(name);
    to.put_u64_le(about);
}

#[cfg(test)]
mod tests;

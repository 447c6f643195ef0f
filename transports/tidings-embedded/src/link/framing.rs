//! Cuts a stream of bytes into frames.
//!
//! The length of a frame is checked before anything is allocated for it, and memory grows with what has arrived,
//! not with what was announced. What a frame means is [`frame`](super::frame)'s business.

use bytes::{Buf, Bytes, BytesMut};
use tidings_core::Result;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{frame::MAX_FRAME, wire::corrupt};

/// Cuts what arrives into frames.
#[derive(Debug)]
pub(super) struct Frames<R> {
    from: R,
    buffer: BytesMut,
}

/// How much is read at a time: many small frames per system call.
const CHUNK: usize = 64 << 10;

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            buffer: BytesMut::new(),
        }
    }

    /// The body of the next frame; `None` if the other side is gone, in the middle of a frame or between two.
    ///
    /// # Errors
    /// `Corrupt` if the next frame claims to be larger than [`MAX_FRAME`].
    ///
    /// # Cancel safety
    /// Yes: what has arrived stays in the buffer.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(CHUNK);
            // Cancel-safe: promised by `read_buf`. An error (reset, broken pipe) means gone, like an end.
            match self.from.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }

    /// The next frame if it is complete.
    pub(super) fn buffered(&mut self) -> Result<Option<Bytes>> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
        if len > MAX_FRAME {
            return Err(corrupt(format_args!(
                "it claims to have {len} bytes, at most {MAX_FRAME} are possible"
            )));
        }
        if self.buffer.len() < 4 + len {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(len).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tidings_core::ErrorKind;
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn framed(bodies: &[&[u8]]) -> Vec<u8> {
        let mut wire = Vec::new();
        for body in bodies {
            wire.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            wire.extend(*body);
        }
        wire
    }

    #[tokio::test]
    async fn frames_arrive_whole_however_they_are_cut() {
        let wire = framed(&[b"one", b"", b"three"]);
        for cut in 0..=wire.len() {
            let (mut near, far) = tokio::io::duplex(64);
            let mut frames = Frames::new(far);
            near.write_all(&wire[..cut]).await.unwrap();
            let mut seen = Vec::new();
            while let Some(frame) = frames.next().now_or_never() {
                seen.push(frame.unwrap().unwrap());
            }
            near.write_all(&wire[cut..]).await.unwrap();
            drop(near);
            while let Some(frame) = frames.next().await.unwrap() {
                seen.push(frame);
            }
            assert_eq!(seen, [&b"one"[..], b"", b"three"], "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn an_end_in_the_middle_of_a_frame_is_an_end() {
        let wire = framed(&[b"whole", b"half"]);
        let mut frames = Frames::new(&wire[..wire.len() - 1]);
        assert_eq!(frames.next().await.unwrap().unwrap(), &b"whole"[..]);
        assert_eq!(frames.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_announced_monster_is_refused_before_it_comes() {
        let wire = u32::MAX.to_le_bytes();
        let error = Frames::new(&wire[..]).next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}

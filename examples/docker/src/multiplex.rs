//! Two output streams on one connection, as docker frames them.

use bytes::{BufMut as _, Bytes, BytesMut};
use portlayer::stream::StdStream;

/// Media type of an unframed stream, as a terminal's output is sent.
pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";
/// Media type of a stream with frames of both outputs.
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// Returns the media type of a container's output.
pub(crate) fn media_type(tty: bool) -> &'static str {
    if tty { RAW } else { MULTIPLEXED }
}

/// Encodes output for a client: framed unless it is a terminal's. A frame is the stream's number
/// (1 or 2), three zero bytes, the length in four bytes (big-endian), and the bytes.
pub(crate) fn frame(tty: bool, stream: StdStream, bytes: Bytes) -> Bytes {
    if tty {
        return bytes;
    }
    let mut frame = BytesMut::with_capacity(8 + bytes.len());
    frame.put_u8(match stream {
        StdStream::Stdout => 1,
        StdStream::Stderr => 2,
    });
    frame.put_bytes(0, 3);
    frame.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&bytes);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_dockers_header_and_a_terminal_none() {
        let bytes = Bytes::from_static(b"hello");
        assert_eq!(
            frame(false, StdStream::Stderr, bytes.clone()),
            Bytes::from_static(b"\x02\0\0\0\0\0\0\x05hello")
        );
        assert_eq!(frame(true, StdStream::Stdout, bytes.clone()), bytes);
    }
}

//! What an answer carries: text in a few pieces, or a stream whose length is not known beforehand.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

/// How many pieces a text may have.
const PIECES: usize = 3;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// Text whose pieces may be shared with other answers: they are sent as they are, never joined.
    Pieces(Pieces),
    /// Chunks as they come; whoever makes them waits while the client is slow.
    Stream(mpsc::Receiver<Result<Bytes, Interrupted>>),
}

/// Pieces of a text, in their order; those that were sent are empty.
#[derive(Debug, Default)]
pub(crate) struct Pieces([Bytes; PIECES]);

/// A stream that could not be finished: the connection is cut, so that its client cannot take the part for the whole.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the rest of the answer could not be made")
    }
}

impl std::error::Error for Interrupted {}

impl From<Infallible> for Interrupted {
    fn from(never: Infallible) -> Interrupted {
        match never {}
    }
}

impl Body {
    /// No body.
    pub(crate) fn empty() -> Body {
        Body::Pieces(Pieces::default())
    }

    /// The length in bytes, where it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Body::Pieces(pieces) => Some(pieces.length()),
            Body::Stream(_) => None,
        }
    }
}

impl Pieces {
    fn length(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }

    fn next(&mut self) -> Option<Bytes> {
        self.0.iter_mut().find(|piece| !piece.is_empty()).map(std::mem::take)
    }
}

impl From<Bytes> for Body {
    fn from(text: Bytes) -> Body {
        Body::Pieces(Pieces([text, Bytes::new(), Bytes::new()]))
    }
}

impl From<[Bytes; PIECES]> for Body {
    fn from(pieces: [Bytes; PIECES]) -> Body {
        Body::Pieces(Pieces(pieces))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        match self.get_mut() {
            Body::Pieces(pieces) => Poll::Ready(pieces.next().map(|piece| Ok(Frame::data(piece)))),
            Body::Stream(chunks) => chunks.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn pieces_come_in_their_order_and_empty_ones_not_at_all() {
        let body = Body::from([Bytes::from("a"), Bytes::new(), Bytes::from("bc")]);
        assert_eq!(body.length(), Some(3));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert!(http_body::Body::is_end_stream(&Body::empty()));
    }

    #[tokio::test]
    async fn a_stream_that_breaks_is_an_error() {
        let (sender, chunks) = mpsc::channel(2);
        sender.send(Ok(Bytes::from("a"))).await.unwrap();
        sender.send(Err(Interrupted)).await.unwrap();
        assert!(Body::Stream(chunks).collect().await.is_err());
    }
}

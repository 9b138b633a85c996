//! Lists that may be long: read, turned into text and sent part by part.
//!
//! **Invariant:** a list that is longer than a part is never in memory as a whole, however slowly its client reads: what
//! is there is the part on its way, the next one, and as much text as waits in the queue. No connection to the database
//! waits for the client.

use std::sync::Arc;
use std::time::Duration;

use archstone_core::error::{Error, Result};
use archstone_core::list::{ListQuery, Part, Parts, Rest};
use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::future::join;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::mpsc::{self, OwnedPermit, Sender};

use super::body::{Body, Interrupted};
use super::call::Call;
use super::collection::PageLinks;
use super::error;
use super::reply::Reply;

/// How much text goes out at once, in bytes; the last member may make it a little more.
const CHUNK: usize = 64 * 1024;

/// How many chunks wait for a slow client.
const QUEUE: usize = 8;

/// How long a client may take nothing at all.
const PATIENCE: Duration = Duration::from_mins(1);

/// A list, and how its members are shown.
pub(crate) struct LongList<T, W> {
    /// The name of the list in the body: `users`.
    pub(crate) name: &'static str,
    /// What was asked.
    pub(crate) query: ListQuery,
    /// The most members that are shown, where the storage has not applied the limit.
    pub(crate) most: Option<u64>,
    /// What the next page comes after.
    pub(crate) id: fn(&T) -> &str,
    /// Writes a member as JSON; false for one that is not shown.
    pub(crate) write: W,
}

/// What went wrong after the answer had begun.
enum Stopped {
    ClientGone,
    ClientStalled,
    Failed(Error),
}

impl Call {
    /// Answers with a list. What fits into one part has a length as any answer; what does not is sent while it is read.
    ///
    /// # Errors
    /// Those of the first part. A later one cuts the connection, and is told to the operator.
    pub(crate) async fn long_list<T, W>(&self, list: LongList<T, W>, mut parts: Parts<T>) -> Result<Reply>
    where
        T: Send + 'static,
        W: FnMut(&T, &mut Vec<u8>) -> serde_json::Result<bool> + Send + 'static,
    {
        let first = parts.try_next().await?.unwrap_or_else(|| last(Vec::new()));
        let mut text = Text::new(list, PageLinks::new(self));
        if let Rest::Nothing { truncated } = first.rest {
            for item in &first.items {
                text.add(item)?;
            }
            text.end(truncated);
            return Ok(Reply::rendered(StatusCode::OK, Bytes::from(text.out)));
        }
        let (sender, chunks) = mpsc::channel(QUEUE + 1);
        // Nobody reads the body of an answer to HEAD.
        if *self.method() != Method::HEAD {
            let (request, origin) = (Arc::clone(&self.parts), self.initiator.clone());
            let cut = Cut::reserve(&sender);
            tokio::spawn(async move {
                match send(text, first, parts, &sender).await {
                    Ok(()) => cut.disarm(),
                    Err(Stopped::ClientGone) => {}
                    Err(Stopped::ClientStalled) => tracing::info!("a client that took nothing of a list was cut off"),
                    Err(Stopped::Failed(failure)) => {
                        error::log_cut(&failure, &request.method, request.uri.path(), origin.request_id.as_deref());
                    }
                }
            });
        }
        Ok(Reply::rendered(StatusCode::OK, Body::Stream(chunks)))
    }
}

async fn send<T, W>(
    mut text: Text<T, W>,
    mut part: Part<T>,
    mut parts: Parts<T>,
    sender: &Sender<Result<Bytes, Interrupted>>,
) -> Result<(), Stopped>
where
    W: FnMut(&T, &mut Vec<u8>) -> serde_json::Result<bool>,
{
    loop {
        if let Rest::Nothing { truncated } = part.rest {
            send_members(&mut text, part.items, sender).await?;
            text.end(truncated);
            return send_chunk(text.out, sender).await;
        }
        // The database finds the next part while this one goes out.
        let (next, sent) = join(parts.try_next(), send_members(&mut text, part.items, sender)).await;
        sent?;
        part = match next.map_err(Stopped::Failed)? {
            Some(next) if !text.is_full => next,
            _ => last(Vec::new()),
        };
    }
}

async fn send_members<T, W>(
    text: &mut Text<T, W>,
    items: Vec<T>,
    sender: &Sender<Result<Bytes, Interrupted>>,
) -> Result<(), Stopped>
where
    W: FnMut(&T, &mut Vec<u8>) -> serde_json::Result<bool>,
{
    for item in items {
        text.add(&item).map_err(Stopped::Failed)?;
        if text.out.len() >= CHUNK {
            let next = Vec::with_capacity(text.out.capacity());
            send_chunk(std::mem::replace(&mut text.out, next), sender).await?;
            // Others have waited for this thread.
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

async fn send_chunk(chunk: Vec<u8>, sender: &Sender<Result<Bytes, Interrupted>>) -> Result<(), Stopped> {
    match tokio::time::timeout(PATIENCE, sender.send(Ok(Bytes::from(chunk)))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Stopped::ClientGone),
        Err(_) => Err(Stopped::ClientStalled),
    }
}

fn last<T>(items: Vec<T>) -> Part<T> {
    Part { items, rest: Rest::Nothing { truncated: false } }
}

/// The text of a list as far as it has not gone out yet.
struct Text<T, W> {
    list: LongList<T, W>,
    links: PageLinks,
    out: Vec<u8>,
    shown: u64,
    /// The id of the last member that is shown, if a next page may come after it.
    last: Option<String>,
    /// There were more than may be shown.
    is_full: bool,
}

impl<T, W> Text<T, W>
where
    W: FnMut(&T, &mut Vec<u8>) -> serde_json::Result<bool>,
{
    fn new(list: LongList<T, W>, links: PageLinks) -> Text<T, W> {
        let out = format!("{{\"{}\":[", list.name).into_bytes();
        Text { list, links, out, shown: 0, last: None, is_full: false }
    }

    fn add(&mut self, item: &T) -> Result<()> {
        if self.is_full {
            return Ok(());
        }
        let before = self.out.len();
        if self.shown > 0 {
            self.out.push(b',');
        }
        let written = (self.list.write)(item, &mut self.out)
            .map_err(|error| Error::internal(format!("writing an entry of {}: {error}", self.list.name)))?;
        self.is_full = written && self.list.most == Some(self.shown);
        if self.is_full || !written {
            self.out.truncate(before);
            return Ok(());
        }
        self.shown += 1;
        if self.list.query.limit.is_some() || self.list.query.marker.is_some() {
            self.last = Some((self.list.id)(item).to_owned());
        }
        Ok(())
    }

    /// The members come first, because whether there are more of them is only known then.
    fn end(&mut self, truncated: bool) {
        let truncated = truncated || self.is_full;
        let links = self.links.render(&self.list.query, self.last.as_deref().filter(|_| truncated));
        let truncated = if truncated { format!(",\"truncated\":{}", json!(true)) } else { String::new() };
        self.out.extend_from_slice(format!("],\"links\":{links}{truncated}}}\n").as_bytes());
    }
}

/// Ends a body as one that is not whole, unless it is disarmed at the end: also where the sending ends in a panic.
struct Cut(Option<OwnedPermit<Result<Bytes, Interrupted>>>);

impl Cut {
    /// Takes a place in the queue, which is empty yet.
    fn reserve(sender: &Sender<Result<Bytes, Interrupted>>) -> Cut {
        Cut(sender.clone().try_reserve_owned().ok())
    }

    fn disarm(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            place.send(Err(Interrupted));
        }
    }
}

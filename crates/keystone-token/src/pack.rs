//! The msgpack of the payloads: a reader that takes exactly what Keystone writes, and the packers of its fields.

use rmp::{decode, encode};

use crate::audit::{AuditId, AuditIds};
use crate::error::Error;
use crate::ids::{hex, parse_uuid};
use crate::time::UnixMicros;

/// Reads one payload from front to back.
///
/// `bin` and `str` are taken for each other wherever bytes or text are expected: writers before msgpack 1.0 had only one
/// type for both, and the reference still reads theirs.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// The payload must end here.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::Payload("trailing bytes")) }
    }

    pub(crate) fn array(&mut self) -> Result<usize, Error> {
        let length = decode::read_array_len(&mut self.rest).map_err(|_| Error::Payload("array expected"))?;
        let length = length as usize;
        // An element takes a byte at least: a longer count lies, and must not be allocated for.
        if length > self.rest.len() { Err(Error::Payload("array longer than the payload")) } else { Ok(length) }
    }

    pub(crate) fn int(&mut self) -> Result<u64, Error> {
        decode::read_int(&mut self.rest).map_err(|_| Error::Payload("integer expected"))
    }

    pub(crate) fn time(&mut self) -> Result<UnixMicros, Error> {
        let seconds = decode::read_f64(&mut self.rest).map_err(|_| Error::Payload("float64 time expected"))?;
        UnixMicros::from_float(seconds).ok_or(Error::Payload("time out of range"))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        const ERROR: Error = Error::Payload("bytes or text expected");
        let length = match self.rest.first() {
            Some(0xc4..=0xc6) => decode::read_bin_len(&mut self.rest).map_err(|_| ERROR)?,
            _ => decode::read_str_len(&mut self.rest).map_err(|_| ERROR)?,
        };
        let (bytes, rest) = self.rest.split_at_checked(length as usize).ok_or(ERROR)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<String, Error> {
        utf8(self.bytes()?)
    }

    /// An id that is a UUID by definition.
    pub(crate) fn uuid(&mut self) -> Result<String, Error> {
        uuid_text(self.bytes()?)
    }

    /// `[is a UUID, id]`.
    pub(crate) fn id(&mut self) -> Result<String, Error> {
        self.optional_id()?.ok_or(Error::Payload("id is null"))
    }

    pub(crate) fn optional_id(&mut self) -> Result<Option<String>, Error> {
        if self.array()? != 2 {
            return Err(Error::Payload("pair expected"));
        }
        let is_uuid = decode::read_bool(&mut self.rest).map_err(|_| Error::Payload("boolean expected"))?;
        if is_uuid {
            return self.uuid().map(Some);
        }
        if let Some((0xc0, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(None);
        }
        self.text().map(Some)
    }

    pub(crate) fn audit_ids(&mut self) -> Result<AuditIds, Error> {
        match self.array()? {
            1 => Ok(AuditIds { id: self.audit_id()?, parent: None }),
            2 => Ok(AuditIds { id: self.audit_id()?, parent: Some(self.audit_id()?) }),
            _ => Err(Error::Payload("one or two audit ids expected")),
        }
    }

    fn audit_id(&mut self) -> Result<AuditId, Error> {
        let bytes = self.bytes()?;
        bytes.try_into().map(AuditId).map_err(|_| Error::Payload("audit id is not 16 bytes"))
    }
}

pub(crate) fn utf8(bytes: &[u8]) -> Result<String, Error> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Error::Payload("text is not UTF-8"))
}

pub(crate) fn uuid_text(bytes: &[u8]) -> Result<String, Error> {
    if bytes.len() == 16 { Ok(hex(bytes)) } else { Err(Error::Payload("UUID is not 16 bytes")) }
}

/// Writes one payload. Writing into memory cannot fail, and no length here passes 2^32.
pub(crate) struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(fields: u32) -> Self {
        // The usual token is some 70 bytes.
        let mut writer = Self { buffer: Vec::with_capacity(128) };
        writer.array(fields);
        writer
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.buffer
    }

    pub(crate) fn array(&mut self, length: u32) {
        written(encode::write_array_len(&mut self.buffer, length));
    }

    pub(crate) fn int(&mut self, value: u64) {
        written(encode::write_uint(&mut self.buffer, value));
    }

    pub(crate) fn time(&mut self, time: UnixMicros) {
        written(encode::write_f64(&mut self.buffer, time.to_float()));
    }

    pub(crate) fn text(&mut self, text: &str) {
        written(encode::write_str(&mut self.buffer, text));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        written(encode::write_bin(&mut self.buffer, bytes));
    }

    pub(crate) fn id(&mut self, id: &str) {
        match parse_uuid(id) {
            Some(bytes) => {
                self.pair(true);
                self.bytes(&bytes);
            }
            None => self.text_pair(id),
        }
    }

    pub(crate) fn optional_id(&mut self, id: Option<&str>) {
        if let Some(id) = id {
            self.id(id);
        } else {
            self.pair(false);
            self.buffer.push(0xc0);
        }
    }

    /// `[false, text]`, for what is never packed as a UUID even if it looks like one.
    pub(crate) fn text_pair(&mut self, text: &str) {
        self.pair(false);
        self.text(text);
    }

    pub(crate) fn audit_ids(&mut self, ids: AuditIds) {
        self.array(1 + u32::from(ids.parent.is_some()));
        self.bytes(&ids.id.0);
        if let Some(parent) = ids.parent {
            self.bytes(&parent.0);
        }
    }

    fn pair(&mut self, is_uuid: bool) {
        self.array(2);
        self.buffer.push(if is_uuid { 0xc3 } else { 0xc2 });
    }
}

/// A `Vec` takes every write.
fn written<T, E: std::fmt::Debug>(result: Result<T, E>) {
    debug_assert!(result.is_ok(), "writing to memory failed: {:?}", result.err());
}

//! What can be wrong with a token, a key or a value.

/// Why a text was not read or a value not written. Never carries the token or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not in its format's canonical form, so no key was tried.
    #[error("not in canonical form: {0}")]
    Malformed(&'static str),
    /// Well formed, but no key of the ring made it: forged, altered, or made with a key that is not here (any more, or
    /// yet). The one failure after which keys are worth reading again.
    #[error("no key of the ring authenticates it")]
    Unauthentic,
    /// Authentic, but its contents are not what this version writes or reads.
    #[error("payload not understood: {0}")]
    Payload(&'static str),
    /// The values have no layout in the format.
    #[error("cannot be written in this format: {0}")]
    Unrepresentable(&'static str),
    /// A key text or file is unusable.
    #[error("unusable key: {0}")]
    Key(&'static str),
    /// The signed time of issue lies in the future.
    #[error("issued in the future")]
    Immature,
    /// The cryptographic library failed; not caused by the input.
    #[error("cryptographic operation failed")]
    Crypto,
}

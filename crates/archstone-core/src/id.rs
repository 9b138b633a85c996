//! Identifiers, one type for each kind of thing, so that a project's id cannot pass for a user's.

use std::fmt::{self, Write as _};
use std::ops::Deref;

use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(String);

        impl $name {
            /// A new random id: a version 4 UUID in 32 hexadecimal digits.
            pub fn new_random() -> Self {
                Self(new_hex_id())
            }
        }
        impl From<String> for $name { fn from(text: String) -> Self { Self(text) } }
        impl From<&str> for $name { fn from(text: &str) -> Self { Self(text.to_owned()) } }
        impl From<$name> for String { fn from(id: $name) -> String { id.0 } }
        impl Deref for $name { type Target = str; fn deref(&self) -> &str { &self.0 } }
        impl AsRef<str> for $name { fn as_ref(&self) -> &str { &self.0 } }
        impl std::borrow::Borrow<str> for $name { fn borrow(&self) -> &str { &self.0 } }
        impl fmt::Display for $name { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) } }
        impl PartialEq<str> for $name { fn eq(&self, other: &str) -> bool { self.0 == other } }
        impl PartialEq<&str> for $name { fn eq(&self, other: &&str) -> bool { self.0 == *other } }
    )+};
}

ids! {
    /// Names a user.
    UserId
    /// Names a group of users.
    GroupId
    /// Names a domain, which is a project that is its own domain.
    DomainId
    /// Names a project.
    ProjectId
    /// Names a role.
    RoleId
    /// Names a region; the caller may choose it.
    RegionId
    /// Names a service of the catalog.
    ServiceId
    /// Names an endpoint of the catalog.
    EndpointId
    /// Names a group of endpoints of the catalog.
    EndpointGroupId
    /// Names a policy that is kept for another service.
    PolicyId
    /// Names a registered limit.
    RegisteredLimitId
    /// Names a limit of a project or domain.
    LimitId
    /// Names a trust.
    TrustId
    /// Names an application credential.
    ApplicationCredentialId
    /// Names a credential: an EC2 key, a TOTP seed, a certificate.
    CredentialId
    /// Names an OAuth 1 access token.
    AccessTokenId
}

/// A new random id in 32 hexadecimal digits, as the reference makes them for every resource.
pub fn new_hex_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Bytes in hexadecimal digits, as the reference writes digests.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

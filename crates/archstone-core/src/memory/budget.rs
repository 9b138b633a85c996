//! How the memory for caches is shared out.

/// Bytes that each kind of cache may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caches {
    /// Validated tokens.
    pub(crate) tokens: u64,
    /// Catalogs as they are sent.
    pub(crate) catalogs: u64,
    /// Users and their groups.
    pub(crate) users: u64,
    /// Projects and domains.
    pub(crate) projects: u64,
    /// Who has which roles where.
    pub(crate) assignments: u64,
    /// Application credentials.
    pub(crate) credentials: u64,
    /// Users and projects as logins name them.
    pub(crate) logins: u64,
}

impl Caches {
    /// Shares so many bytes out. Most goes to what is asked for most; what tokens are made of is small beside them.
    pub(crate) fn share(total: u64) -> Caches {
        let hundredth = total / 100;
        Caches {
            tokens: 56 * hundredth,
            catalogs: 16 * hundredth,
            users: 6 * hundredth,
            projects: 5 * hundredth,
            assignments: 7 * hundredth,
            credentials: 2 * hundredth,
            logins: 8 * hundredth,
        }
    }
}

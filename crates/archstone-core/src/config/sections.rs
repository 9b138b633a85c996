//! The options that the program reads, as plain fields. An option is added here, and its row in
//! `support.rs` says that it works.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oslo_config::{Origin, Settings};

use super::field::{Reader, Secret, words};
use super::memory_size::MemorySize;
use super::network::Network;
use super::report::Problem;

words! {
    /// `[token] provider`.
    TokenProvider {
        /// Encrypted with the keys of `[fernet_tokens]`.
        Fernet = "fernet",
        /// Signed with the keys of `[jwt_tokens]`.
        Jws = "jws",
    }
}

words! {
    /// Signature algorithms of JWS tokens.
    JwsAlgorithm {
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// ECDSA on P-384.
        Es384 = "ES384",
        /// ECDSA on P-521.
        Es512 = "ES512",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

words! {
    /// How new passwords are hashed.
    PasswordHashAlgorithm {
        /// bcrypt of the first 72 bytes.
        Bcrypt = "bcrypt",
        /// bcrypt of the SHA-256 of the whole password.
        BcryptSha256 = "bcrypt_sha256",
        /// scrypt.
        Scrypt = "scrypt",
        /// PBKDF2 with SHA-512.
        Pbkdf2Sha512 = "pbkdf2_sha512",
    }
}

words! {
    /// `[catalog] driver`.
    CatalogDriver {
        /// The tables, which the API changes.
        Sql = "sql",
        /// A file.
        Templated = "templated",
    }
}

words! {
    /// Whether names must be usable in a URL unescaped.
    UrlSafe {
        /// Any name.
        Off = "off",
        /// New names must be.
        New = "new",
        /// New names must be, and nobody logs in to a scope whose name isn't.
        Strict = "strict",
    }
}

words! {
    /// `[unified_limit] enforcement_model`.
    EnforcementModel {
        /// Each project by itself.
        Flat = "flat",
        /// A project and its children together, two levels.
        StrictTwoLevel = "strict_two_level",
    }
}

words! {
    /// `[DEFAULT] notification_format`.
    NotificationFormat {
        /// The resource's id alone.
        Basic = "basic",
        /// CADF events.
        Cadf = "cadf",
    }
}

words! {
    /// Whose failed logins are counted together.
    LockoutBy {
        /// Those of a user from one network.
        Network = "network",
        /// Those of a user, from wherever they come: as the reference does it.
        User = "user",
    }
}

words! {
    /// How a remote policy check is asked.
    RemoteContentType {
        /// A form.
        Form = "application/x-www-form-urlencoded",
        /// A JSON document.
        Json = "application/json",
    }
}

/// Defines a struct per section, and `Sections` that holds them all.
macro_rules! sections {
    ($(
        $(#[$section_doc:meta])*
        $section:ident: $type:ident, $group:literal {
            $($(#[$doc:meta])* $field:ident: $field_type:ty,)*
        }
    )*) => {
        $(
            $(#[$section_doc])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $type {
                $($(#[$doc])* pub $field: $field_type,)*
            }
        )*

        /// Everything that the program reads of its configuration. See `docs/` of the reference for what
        /// each option means to an operator.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            $($(#[$section_doc])* pub $section: $type,)*
            /// Where [`Config::find_file`] looks, best first.
            pub search_dirs: Vec<PathBuf>,
            /// The values of all options that are no secrets, by group and name.
            pub(super) open_values: BTreeMap<(String, String), serde_json::Value>,
            /// Where each option was set that was.
            pub(super) origins: BTreeMap<(String, String), Origin>,
        }

        impl Config {
            /// Reads all fields; a field that does not fit has its default and is named in the problems.
            pub(crate) fn read(settings: &Settings, defaults: &Settings) -> (Self, Vec<Problem>) {
                let mut reader = Reader { settings, defaults, problems: Vec::new() };
                let config = Self {
                    $($section: $type { $($field: reader.field($group, stringify!($field)),)* },)*
                    search_dirs: Vec::new(),
                    open_values: super::options::open_values(settings),
                    origins: settings
                        .given()
                        .map(|(group, name, setting)| ((group.to_owned(), name.to_owned()), setting.origin.clone()))
                        .collect(),
                };
                (config, reader.problems)
            }
        }

        /// Group and name of every option that is a field of [`Config`].
        #[cfg(test)]
        pub(crate) const FIELDS: &[(&str, &str)] = &[$($(($group, stringify!($field)),)*)*];
    };
}

sections! {
    /// `[DEFAULT]`
    default: DefaultSection, "DEFAULT" {
        /// A secret that passes for a token which no policy is asked about; unset in any cloud that has accounts.
        admin_token: Option<Secret>,
        /// Whether to log at debug level.
        debug: bool,
        /// Whether error bodies say what went wrong inside.
        insecure_debug: bool,
        /// Most rows of any list, unless the section of the resource says otherwise.
        list_limit: Option<usize>,
        /// Most rows that `?limit=` may ask for.
        max_db_limit: usize,
        /// Deepest project below its domain.
        max_project_tree_depth: usize,
        /// Body of notifications.
        notification_format: NotificationFormat,
        /// Event types that are not sent.
        notification_opt_out: Vec<String>,
        /// Publisher of notifications; default `identity.<host name>`.
        default_publisher_id: Option<String>,
        /// Base of the URLs in replies; default: as the client addressed us.
        public_endpoint: Option<String>,
        /// Whether a password beyond `[identity] max_password_length` is refused instead of cut.
        strict_password_check: bool,
    }
    /// `[application_credential]`
    application_credential: ApplicationCredentialSection, "application_credential" {
        /// Most per user; negative: no limit.
        user_limit: i64,
    }
    /// `[archstone]`: our own section.
    archstone: ArchstoneSection, "archstone" {
        /// `host:port` of each listener; empty: the program's default, 127.0.0.1:5000.
        listen: Vec<String>,
        /// Threads that answer requests; default: one per core.
        workers: Option<usize>,
        /// Threads that hash passwords; default: one per core.
        hash_threads: Option<usize>,
        /// Logins that may wait for one of those; default: 64 for each.
        hash_queue: Option<usize>,
        /// Seconds for which a password that was right need not be hashed again; 0: it always is.
        remember_verified_password_for: f64,
        /// What all caches together may take; default: a tenth of the machine's or its control group's memory.
        memory_for_caches: Option<MemorySize>,
        /// Most requests under way at once; further ones are refused.
        max_requests: usize,
        /// Most bytes of a request's head.
        max_request_header_size: usize,
        /// Seconds for which an answer from memory may miss a write of another program on the same
        /// database where no triggers report it.
        foreign_write_bound: f64,
        /// Whose failed logins are counted together.
        lockout_by: LockoutBy,
        /// Bits of an IPv4 address that make a network for that.
        lockout_ipv4_prefix: u32,
        /// Bits of an IPv6 address that make a network for that.
        lockout_ipv6_prefix: u32,
        /// Proxies that are believed in who and where the client is.
        trusted_proxies: Vec<Network>,
        /// The header in which they name the user that they have authenticated.
        remote_user_header: Option<String>,
        /// The header in which they name that user's domain.
        remote_domain_header: Option<String>,
    }
    /// `[assignment]`
    assignment: AssignmentSection, "assignment" {
        /// Names of roles that no role may imply.
        prohibited_implied_role: Vec<String>,
    }
    /// `[auth]`
    auth: AuthSection, "auth" {
        /// Methods by which clients may log in.
        methods: Vec<String>,
        /// Where the name of an external user is looked for: `DefaultDomain` or `Domain`.
        external: Option<String>,
    }
    /// `[cache]`: ours alone, memory needs none of the reference's.
    cache: CacheSection, "cache" {
        /// Seconds for which tokens in memory may be validated while the database does not answer.
        serve_stale_for: f64,
    }
    /// `[catalog]`
    catalog: CatalogSection, "catalog" {
        /// Where the catalog comes from.
        driver: CatalogDriver,
        /// Most rows of a list.
        list_limit: Option<usize>,
        /// The file of the `templated` driver, absolute or to be found by [`Config::find_file`].
        template_file: PathBuf,
    }
    /// `[cors]`
    cors: CorsSection, "cors" {
        /// Origins allowed; empty: CORS is off.
        allowed_origin: Vec<String>,
        /// Whether cookies and the like may come along.
        allow_credentials: bool,
        /// Headers that scripts may read.
        expose_headers: Vec<String>,
        /// Seconds for which a browser may keep a preflight answer.
        max_age: Option<i64>,
        /// Methods allowed.
        allow_methods: Vec<String>,
        /// Request headers allowed.
        allow_headers: Vec<String>,
    }
    /// `[credential]`
    credential: CredentialSection, "credential" {
        /// Folder of the keys that encrypt stored credentials.
        key_repository: PathBuf,
        /// Most per user; negative: no limit.
        user_limit: i64,
        /// Minutes for which a signed EC2 request is good.
        auth_ttl: u64,
    }
    /// `[database]`
    database: DatabaseSection, "database" {
        /// SQLAlchemy URL.
        connection: Option<Secret>,
        /// Parameters appended to the URL, `a=b&c=d`.
        connection_parameters: Option<String>,
        /// Connections kept open; 0: no limit.
        max_pool_size: Option<u32>,
        /// Connections beyond those when there is need; negative: no limit.
        max_overflow: Option<i64>,
        /// Seconds to wait for a connection.
        pool_timeout: Option<u64>,
        /// Seconds after which a connection is replaced; -1: never.
        connection_recycle_time: i64,
        /// Attempts to connect at start; -1: for ever.
        max_retries: i64,
        /// Seconds between them.
        retry_interval: u64,
        /// Attempts at a transaction that the database asks to repeat.
        db_max_retries: i64,
        /// MySQL's `sql_mode`; empty: as the server has it.
        mysql_sql_mode: Option<String>,
        /// Galera's `wsrep_sync_wait`.
        mysql_wsrep_sync_wait: Option<i64>,
        /// Whether SQLite waits for the disk.
        sqlite_synchronous: bool,
    }
    /// `[domain_config]`
    domain_config: DomainConfigSection, "domain_config" {
        /// Options that a domain may set besides those of the built-in drivers, by group.
        additional_whitelisted_options: BTreeMap<String, Vec<String>>,
        /// Options that are secrets besides the built-in ones, by group.
        additional_sensitive_options: BTreeMap<String, Vec<String>>,
    }
    /// `[endpoint_filter]`
    endpoint_filter: EndpointFilterSection, "endpoint_filter" {
        /// Whether a project without filters sees all endpoints.
        return_all_endpoints_if_no_filter: bool,
    }
    /// `[federation]`
    federation: FederationSection, "federation" {
        /// The name that stands for the domain of users without one, so that no domain may have it.
        federated_domain_name: String,
        /// Minutes for which an identity provider's word about a group holds, if the provider has no other.
        default_authorization_ttl: u64,
    }
    /// `[fernet_receipts]`
    fernet_receipts: FernetReceiptsSection, "fernet_receipts" {
        /// Folder of the keys.
        key_repository: PathBuf,
        /// Keys kept by rotation.
        max_active_keys: usize,
    }
    /// `[fernet_tokens]`
    fernet_tokens: FernetTokensSection, "fernet_tokens" {
        /// Folder of the keys.
        key_repository: PathBuf,
        /// Keys kept by rotation.
        max_active_keys: usize,
    }
    /// `[identity]`
    identity: IdentitySection, "identity" {
        /// Id of the domain that is meant where none is named.
        default_domain_id: String,
        /// Longest password, in characters.
        max_password_length: usize,
        /// Most rows of a list.
        list_limit: Option<usize>,
        /// For new hashes.
        password_hash_algorithm: PasswordHashAlgorithm,
        /// Rounds, log2 of the cost, or iterations; default: the algorithm's.
        password_hash_rounds: Option<u64>,
        /// scrypt's block size.
        scrypt_block_size: Option<u32>,
        /// scrypt's parallelism.
        scrypt_parallelism: Option<u32>,
        /// Bytes of salt for scrypt and PBKDF2.
        salt_bytesize: Option<usize>,
    }
    /// `[jwt_tokens]`
    jwt_tokens: JwtTokensSection, "jwt_tokens" {
        /// Folder of the public keys.
        jws_public_key_repository: PathBuf,
        /// Folder of the private key, `private.pem`.
        jws_private_key_repository: PathBuf,
        /// For new tokens.
        jws_algorithm: JwsAlgorithm,
        /// In tokens of clients.
        jws_accepted_algorithms: Vec<JwsAlgorithm>,
    }
    /// `[oslo_middleware]`
    oslo_middleware: OsloMiddlewareSection, "oslo_middleware" {
        /// Most bytes of a request's body.
        max_request_body_size: usize,
        /// Whether `Forwarded` and `X-Forwarded-*` are believed.
        enable_proxy_headers_parsing: bool,
    }
    /// `[oslo_policy]`
    oslo_policy: OsloPolicySection, "oslo_policy" {
        /// Whether deprecated forms of the default rules no longer count.
        enforce_new_defaults: bool,
        /// The file of rules, absolute or to be found by [`Config::find_file`].
        policy_file: PathBuf,
        /// Folders of further rules.
        policy_dirs: Vec<PathBuf>,
        /// The rule for names that have none.
        policy_default_rule: String,
        /// How remote checks are asked.
        remote_content_type: RemoteContentType,
        /// Whether the remote's certificate is checked.
        remote_ssl_verify_server_crt: bool,
        /// Authorities for that.
        remote_ssl_ca_crt_file: Option<PathBuf>,
        /// Our certificate for the remote.
        remote_ssl_client_crt_file: Option<PathBuf>,
        /// Its key.
        remote_ssl_client_key_file: Option<PathBuf>,
        /// Seconds to wait for the remote.
        remote_timeout: f64,
    }
    /// `[policy]`
    policy: PolicySection, "policy" {
        /// Most rows of a list.
        list_limit: Option<usize>,
    }
    /// `[receipt]`
    receipt: ReceiptSection, "receipt" {
        /// Seconds for which an authentication receipt is good.
        expiration: u64,
    }
    /// `[resource]`
    resource: ResourceSection, "resource" {
        /// Domain of the project whose tokens say `is_admin_project`.
        admin_project_domain_name: Option<String>,
        /// Its name.
        admin_project_name: Option<String>,
        /// Most rows of a list.
        list_limit: Option<usize>,
        /// For projects.
        project_name_url_safe: UrlSafe,
        /// For domains.
        domain_name_url_safe: UrlSafe,
    }
    /// `[revoke]`
    revoke: RevokeSection, "revoke" {
        /// Seconds that a revocation is kept beyond the life of the tokens it concerns.
        expiration_buffer: u64,
    }
    /// `[role]`
    role: RoleSection, "role" {
        /// Most rows of a list.
        list_limit: Option<usize>,
    }
    /// `[security_compliance]`
    security_compliance: SecurityComplianceSection, "security_compliance" {
        /// Days without a login after which a user is disabled.
        disable_user_account_days_inactive: Option<u64>,
        /// Failed logins after which a user is locked.
        lockout_failure_attempts: Option<u64>,
        /// Seconds for which.
        lockout_duration: Option<u64>,
        /// Days after which a password expires.
        password_expires_days: Option<u64>,
        /// How many earlier passwords may not be used again.
        unique_last_password_count: u64,
        /// Days before a user may change the password again.
        minimum_password_age: u64,
        /// What a password must match, in Python's syntax.
        password_regex: Option<String>,
        /// That, in words for people.
        password_regex_description: Option<String>,
        /// Whether a password set by an administrator must be changed at the first login.
        change_password_upon_first_use: bool,
        /// Where a keyed hash of a wrong password is reported.
        report_invalid_password_hash: Vec<String>,
        /// Its key.
        invalid_password_hash_secret_key: Option<Secret>,
        /// Its hash function.
        invalid_password_hash_function: String,
        /// How many characters of it are reported; default all.
        invalid_password_hash_max_chars: Option<usize>,
        /// Whether application credentials may manage trusts, as before the fix of CVE-2026-43000.
        allow_insecure_application_credential_trust_escalation: bool,
        /// Whether administrators' trusts reach credentials of other projects, as before its fix.
        allow_insecure_admin_trust_cross_project_credentials_access: bool,
    }
    /// `[token]`
    token: TokenSection, "token" {
        /// Seconds for which a new token is good.
        expiration: u64,
        /// Format of new tokens.
        provider: TokenProvider,
        /// Whether a scoped token can be exchanged for one of another scope.
        allow_rescope_scoped_token: bool,
        /// Seconds for which services may still validate an expired token.
        allow_expired_window: u64,
        /// Whether a token can be revoked by itself.
        revoke_by_id: bool,
    }
    /// `[totp]`
    totp: TotpSection, "totp" {
        /// Earlier time windows whose code still counts.
        included_previous_windows: u32,
    }
    /// `[trust]`
    trust: TrustSection, "trust" {
        /// How often a trust may be handed on.
        max_redelegation_count: i64,
    }
    /// `[unified_limit]`
    unified_limit: UnifiedLimitSection, "unified_limit" {
        /// Most rows of a list.
        list_limit: Option<usize>,
        /// How limits of a project tree are checked.
        enforcement_model: EnforcementModel,
    }
    /// `[v2]`: our own section.
    v2: V2Section, "v2" {
        /// Whether the Identity API v2.0 is answered.
        enabled: bool,
    }
}

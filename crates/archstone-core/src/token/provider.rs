//! The two forms of a token's text: Fernet and JWS (`[token] provider`).

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use keystone_token::jws::{self, Algorithm};
use keystone_token::{MethodMap, Payload, TokenFormat};

use crate::config::{Config, JwsAlgorithm, TokenProvider as Configured};
use crate::error::{Error, Result};
use crate::keys::{JwsRepository, KeyError, KeyRepository, OpenError, Purpose};
use crate::time::Timestamp;

/// Seals and opens the texts of tokens with the keys on disk.
#[derive(Debug)]
pub struct TokenProvider {
    format: TokenFormat,
    form: Form,
    random: SystemRandom,
}

#[derive(Debug)]
enum Form {
    Fernet(KeyRepository),
    Jws { keys: JwsRepository, accepted: Vec<Algorithm> },
}

impl TokenProvider {
    /// Opens the key repository that the configuration names.
    ///
    /// # Errors
    /// Keys that are missing or cannot be read.
    pub fn open_repository(config: &Config) -> Result<TokenProvider> {
        let format = TokenFormat {
            methods: MethodMap::new(&config.auth.methods),
            default_domain_id: config.identity.default_domain_id.clone(),
        };
        let form = match config.token.provider {
            Configured::Fernet => {
                Form::Fernet(KeyRepository::open(&config.fernet_tokens.key_repository, Purpose::Tokens).map_err(keys)?)
            }
            Configured::Jws => {
                let jwt = &config.jwt_tokens;
                let keys = JwsRepository::open(
                    &jwt.jws_private_key_repository,
                    &jwt.jws_public_key_repository,
                    algorithm(jwt.jws_algorithm),
                )
                .map_err(keys)?;
                Form::Jws { keys, accepted: jwt.jws_accepted_algorithms.iter().copied().map(algorithm).collect() }
            }
        };
        Ok(TokenProvider { format, form, random: SystemRandom::new() })
    }

    /// Changes with the keys: what was opened under another generation may be sealed with a key that has gone.
    pub(super) fn generation(&self) -> Result<u64> {
        match &self.form {
            Form::Fernet(repository) => repository.generation(),
            Form::Jws { keys, .. } => keys.generation(),
        }
        .map_err(keys)
    }

    /// The text of a token, and when it counts as issued: tokens know whole seconds only.
    pub(super) fn seal(&self, payload: &Payload, now: Timestamp) -> Result<(String, Timestamp)> {
        let seconds = u64::try_from(now.seconds()).map_err(|_| Error::internal("the clock stands before 1970"))?;
        let sealing = |error: keystone_token::Error| Error::internal(format!("sealing a token: {error}"));
        match &self.form {
            Form::Fernet(repository) => {
                let ring = repository.latest().map_err(keys)?;
                let text = self.format.seal(&ring, payload, seconds, self.random_bytes()?).map_err(sealing)?;
                Ok((text, now.truncated()))
            }
            Form::Jws { keys: repository, .. } => {
                let key = repository.signing().map_err(keys)?;
                let text = jws::sign(&key, payload, seconds, &self.random).map_err(sealing)?;
                Ok((text, now.truncated()))
            }
        }
    }

    /// What a token's text says.
    ///
    /// # Errors
    /// Token-not-found for a text that is none of ours, internal if the keys cannot be read.
    pub(super) fn open(&self, text: &str, now: Timestamp) -> Result<(Payload, Timestamp)> {
        let opened = match &self.form {
            Form::Fernet(repository) => repository.open_text(|ring| self.format.open(ring, text)),
            Form::Jws { keys, accepted } => {
                keys.open_text(|verifying| jws::verify(text, verifying, accepted, &self.format.methods, now.seconds()))
            }
        };
        let token = opened.map_err(|error| match error {
            OpenError::Keys(error) => keys(error),
            OpenError::Text(error) => Error::token_not_found(format!("the token cannot be read: {error}")),
        })?;
        let issued_at = Timestamp::from_seconds(token.issued_at)
            .ok_or_else(|| Error::token_not_found("the token was issued outside of the calendar"))?;
        Ok((token.payload, issued_at))
    }

    /// Random bytes for audit ids and initialization vectors.
    pub(super) fn random_bytes(&self) -> Result<[u8; 16]> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes).map_err(|_| Error::internal("the system gave no random bytes"))?;
        Ok(bytes)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands the error over")]
fn keys(error: KeyError) -> Error {
    Error::internal(error.to_string())
}

fn algorithm(configured: JwsAlgorithm) -> Algorithm {
    match configured {
        JwsAlgorithm::Es256 => Algorithm::Es256,
        JwsAlgorithm::Es384 => Algorithm::Es384,
        JwsAlgorithm::Es512 => Algorithm::Es512,
        JwsAlgorithm::EdDsa => Algorithm::EdDsa,
    }
}

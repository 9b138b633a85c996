//! The two forms of a token's text: Fernet and JWS (`[token] provider`).

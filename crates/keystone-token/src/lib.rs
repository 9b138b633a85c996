//! Keystone token formats: Fernet, JWS, receipts, credential blobs.

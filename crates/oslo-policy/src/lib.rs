//! The oslo.policy language: rules in, compiled checks out.

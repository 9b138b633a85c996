//! The keystone.conf language of oslo.config: text in, typed values and problems out.

//! Authentication methods as a bitmap over the configured list.

use std::sync::Arc;

/// The configured `[auth] methods`, in order: the first is bit 1, the second 2, the third 4. Changing the list changes
/// what the bits of existing tokens mean.
#[derive(Debug, Clone)]
pub struct MethodMap {
    names: Vec<Arc<str>>,
}

impl MethodMap {
    /// From the configured list. At most 63 methods have a bit; further ones are never recorded in a token.
    pub fn new<S: AsRef<str>>(configured: &[S]) -> Self {
        Self { names: configured.iter().take(63).map(|name| Arc::from(name.as_ref())).collect() }
    }

    /// The bits of these methods. Names that are not configured have none.
    ///
    /// A method named twice counts once. (The reference adds its bit twice there, so that two passwords read as a token;
    /// its callers de-duplicate before.)
    pub fn encode<S: AsRef<str>>(&self, methods: &[S]) -> u64 {
        self.names
            .iter()
            .enumerate()
            .filter(|(_, name)| methods.iter().any(|m| m.as_ref() == &***name))
            .fold(0, |bits, (position, _)| bits | 1 << position)
    }

    /// The methods of these bits, highest bit first. Bits above the configured list hide the lower ones' meaning as in
    /// the reference: a bit is taken only while no higher value is left over.
    pub fn decode(&self, mut bits: u64) -> Vec<Arc<str>> {
        let mut methods = Vec::with_capacity(bits.count_ones() as usize);
        for (position, name) in self.names.iter().enumerate().rev() {
            let bit = 1 << position;
            if bits / bit == 1 {
                methods.push(Arc::clone(name));
                bits -= bit;
            }
        }
        methods
    }

    /// The shared name, if configured.
    pub(crate) fn intern(&self, method: &str) -> Arc<str> {
        self.names.iter().find(|name| &***name == method).map_or_else(|| Arc::from(method), Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_left_over_by_a_shorter_list_are_not_guessed() {
        let map = MethodMap::new(&["external", "password"]);
        assert!(map.decode(6).is_empty());
        assert_eq!(map.decode(3).len(), 2);
        assert!(map.decode(u64::MAX).is_empty());
    }
}
